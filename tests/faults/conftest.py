"""Districts that the fault tests share: making one takes longer than most faults."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.faults.district import District, district
from tests.kafka.broker import Broker

sys.path.insert(0, str(Path(__file__).parent))  # the service `tally` lives here


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(kafka: Broker) -> AsyncIterator[District]:
    """One district for all faults after which the same district goes on."""
    async with district("sis", "mtss", "tally", kafka=kafka) as made:
        yield made
