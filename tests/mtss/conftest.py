"""mtss at work, empty before each test."""

from collections.abc import AsyncIterator

import pytest_asyncio

from common.embedded import Cluster
from tests.harness import Running, run_service


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def service(cluster: Cluster) -> AsyncIterator[Running]:
    async with run_service("mtss", cluster) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def mtss(service: Running) -> Running:
    await service.empty()
    return service
