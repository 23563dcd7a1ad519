"""Districts that the fault tests share: making one takes longer than most faults."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.district import District, district
from tests.kafka.broker import Broker

sys.path.insert(0, str(Path(__file__).parent))  # the service `tally` lives here


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where services log, kept by pytest for some runs."""
    return tmp_path_factory.mktemp("logs")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(kafka: Broker, logs: Path) -> AsyncIterator[District]:
    """One district for all faults after which the same district goes on."""
    async with district("sis", "mtss", "tally", logs=logs, kafka=kafka) as made:
        yield made
