"""Each service a process of its own over a real Kafka, as in containers; and the same journey in one process without."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import httpx
import pytest
import pytest_asyncio

from common import embedded
from common.commands import make_token
from tests.e2e.journey import check, courses, ledger, outcomes, travel
from tests.faults.checker import settled, violations
from tests.faults.district import TRELLIS, District, district
from tests.kafka.broker import Broker
from tests.processes import free_port, up

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@dataclass
class Alone:
    """All services in one process, under one address."""

    data: Path
    url: str

    @asynccontextmanager
    async def http(self, service: str, role: str) -> AsyncIterator[httpx.AsyncClient]:
        headers = {"Authorization": f"Bearer {make_token(self.data, role)}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=20, trust_env=False) as client:
            yield client


@pytest.fixture
def alone() -> Iterator[Alone]:
    folder, port = Path(mkdtemp(prefix="trellis-up-")), free_port()
    folder.chmod(0o711)  # PostgreSQL may run as another user
    data = folder / "var"
    try:
        with up(data, port):
            yield Alone(data, f"http://127.0.0.1:{port}")
    finally:
        embedded.stop(data)
        shutil.rmtree(folder)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def apart(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[District]:
    async with district("sis", "mtss", kafka=kafka, logs=tmp_path_factory.mktemp("logs")) as made:
        yield made


async def test_services_apart_decide_as_services_in_one_process_and_a_restart_of_everything_changes_nothing(
    apart: District, alone: Alone
) -> None:
    there, here = await asyncio.gather(travel(apart), travel(alone))
    await settled(apart)
    before = await ledger(apart, there)
    check(before)
    assert await courses(alone, here) == await courses(apart, there)
    assert outcomes(await ledger(alone, here)) == outcomes(before)

    for member in apart.members.values():
        await asyncio.to_thread(member.stop)
    await asyncio.to_thread(apart.kafka.restart)
    await asyncio.to_thread(apart.clusters["sis"].pg_ctl, "restart", "-m", "fast")
    await apart.forget_connections()
    await apart.start()

    assert await ledger(apart, there) == before
    assert await violations(apart, [there]) == []


def test_migrating_again_changes_nothing(apart: District) -> None:
    for service, member in apart.members.items():
        owner = {"TRELLIS_OWNER_DATABASE_URL": apart.clusters[service].owner_url(service)}
        done = subprocess.run(
            [TRELLIS, "migrate", service],
            env={**os.environ, **member.environment, **owner},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout.splitlines() == [f"{service}: already current", "topics: all there"], done.stderr
