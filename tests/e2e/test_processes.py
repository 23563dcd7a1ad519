"""Each service a process of its own, over a real Kafka, each with a database of its own."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.journey import check, ledger, travel
from tests.faults.checker import settled, violations
from tests.faults.district import TRELLIS, District, district
from tests.harness import SERVICES
from tests.kafka.broker import Broker

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def made(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[District]:
    async with district("sis", "mtss", kafka=kafka, logs=tmp_path_factory.mktemp("logs")) as running:
        yield running


async def test_a_push_becomes_a_decision_with_its_reason_and_all_of_it_outlives_a_restart(made: District) -> None:
    school = await travel(made)
    await settled(made)
    before = await ledger(made, school)

    check(before)
    assert await violations(made, [school]) == []
    for member in made.members.values():
        await asyncio.to_thread(member.stop)
    await asyncio.to_thread(made.kafka.restart)
    await asyncio.to_thread(made.clusters["sis"].pg_ctl, "restart", "-m", "fast")
    await made.forget_connections()
    await made.start()
    assert await ledger(made, school) == before
    assert await violations(made, [school]) == []


def test_migrating_again_changes_nothing(made: District) -> None:
    for service in made.members:
        owner = {"TRELLIS_OWNER_DATABASE_URL": made.clusters[service].owner_url(service)}
        done = trellis("migrate", service, environment={**made.members[service].environment, **owner})
        assert done.splitlines() == [f"{service}: already current", "topics: all there"]


def test_keys_are_written_once(tmp_path: Path) -> None:
    first = trellis("keys", str(tmp_path / "keys"))
    held = {path: path.read_bytes() for path in (tmp_path / "keys").rglob("*") if path.is_file()}

    assert "keys written" in first
    assert {path.parent.name for path in held} == {"staff", *SERVICES}
    assert "nothing was written" in trellis("keys", str(tmp_path / "keys"))
    assert {path: path.read_bytes() for path in held} == held
    assert json.loads((tmp_path / "keys" / "mtss" / "trusted.json").read_text()).keys() == {"trellis-staff", *SERVICES}


def trellis(*arguments: str, environment: dict[str, str] | None = None) -> str:
    """What the command prints."""
    done = subprocess.run(
        [TRELLIS, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
