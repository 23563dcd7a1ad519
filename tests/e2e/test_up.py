"""All services in one process without Kafka: the same journey comes to the same decisions, and an operator can mend it."""

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa

from common import embedded
from common.cli import make_token
from common.db import create_engine
from common.embedded import Cluster
from common.events import AttendanceKind, AttendanceRecorded
from tests.e2e.journey import DAYS, check, ledger, travel
from tests.faults.district import TRELLIS, district
from tests.faults.patience import eventually
from tests.harness import SERVICES, record
from tests.kafka.broker import Broker, _dies_with_us, _free_port

pytestmark = pytest.mark.slow


@dataclass
class Up:
    """``trellis up`` at work on a data folder."""

    data: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def http(self, service: str, role: str) -> AsyncIterator[httpx.AsyncClient]:
        headers = {"Authorization": f"Bearer {make_token(self.data, role)}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=20, trust_env=False) as client:
            yield client

    async def start(self) -> None:
        environment = {
            **os.environ,
            "TRELLIS_TIME_ZONE": "America/Denver",
            "TRELLIS_LOG_FOLDER": str(self.data / "logs"),
        }
        self.process = subprocess.Popen(
            [*_dies_with_us(), TRELLIS, "up", "--port", str(self.port), "--data", str(self.data)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        await eventually("trellis is up", self._answers, within=60)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(20)

    async def _answers(self) -> bool:
        try:
            async with httpx.AsyncClient(base_url=self.url, trust_env=False) as http:
                return (await http.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    def command(self, *arguments: str) -> str:
        """What ``trellis`` prints, asked about this one."""
        done = subprocess.run(
            [TRELLIS, *arguments, "--url", self.url, "--data", str(self.data)],
            env={**os.environ, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def cluster(self) -> Cluster:
        return embedded.start(self.data, SERVICES)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def up() -> AsyncIterator[Up]:
    running = Up(Path(mkdtemp(prefix="trellis-up-")), _free_port())
    running.data.chmod(0o711)
    try:
        await running.start()
        yield running
    finally:
        running.stop()
        embedded.stop(running.data)


async def test_the_same_journey_comes_to_the_same_decisions_with_and_without_kafka(
    up: Up, kafka: Broker, tmp_path: Path
) -> None:
    async with district("sis", "mtss", kafka=kafka, logs=tmp_path) as apart:
        here, there = await asyncio.gather(travel(up), travel(apart))
        with_kafka, without = await ledger(apart, there), await ledger(up, here)

    check(without)
    assert settled_lines(without) == settled_lines(with_kafka)


async def test_everything_is_there_after_a_restart(up: Up) -> None:
    school = await travel(up)
    before = await ledger(up, school)

    await asyncio.to_thread(up.stop)
    await up.start()

    assert await ledger(up, school) == before


async def test_an_operator_sees_mends_discards_and_resends(up: Up) -> None:
    poisoned, given_up = await said_by_hand(up, uuid4()), await said_by_hand(up, uuid4())
    await eventually("both are parked", lambda: shown(up, str(poisoned), str(given_up)))
    assert re.search(r"mtss.*current.*2", up.command("status"))

    await mend(up, poisoned)
    assert "1 events handled" in up.command("events", "replay", "mtss", str(poisoned))
    assert "Discarded" in up.command("events", "discard", "mtss", str(given_up))
    assert "No event is parked" in up.command("events", "parked", "mtss")

    count = re.compile(r"(\d+) facts")
    would_be = count.search(up.command("events", "resend", "sis", "--dry-run"))
    first = count.search(up.command("events", "resend", "sis"))
    again = count.search(up.command("events", "resend", "sis"))
    assert would_be and first and again
    assert would_be[1] == first[1] == again[1]


def settled_lines(decisions: list[list[dict[str, object]]]) -> list[list[dict[str, object]]]:
    """The first and the last line of each student: those between depend on how events fell into batches."""
    return [[each[-1]] for each in decisions]


async def shown(up: Up, *events: str) -> bool:
    listed = await asyncio.to_thread(up.command, "events", "parked")
    return all(each in listed for each in events)


async def said_by_hand(up: Up, student: UUID) -> UUID:
    """Put an event into sis' outbox that no handler can take: its revision is more than the column holds."""
    event = AttendanceRecorded(
        student_id=student,
        school_id="255901001",
        on=DAYS[0],
        hundredths_absent=100,
        kind=AttendanceKind.UNEXCUSED,
        revision=2**63,
    )
    said = record(event)
    await execute(
        up,
        "sis",
        "INSERT INTO outbox (id, type, subject, key, body) VALUES (:id, :type, :subject, :key, :body)",
        id=said.id,
        type=said.type,
        subject=said.subject,
        key=said.key,
        body=said.body,
    )
    return said.id


async def mend(up: Up, event: UUID) -> None:
    """What a release that fixes the bug would do."""
    await execute(
        up,
        "mtss",
        "UPDATE inbox_parked SET body = convert_to(replace(convert_from(body, 'UTF8'), :wrong, '1'), 'UTF8') WHERE id = :id",
        wrong=str(2**63),
        id=event,
    )


async def execute(up: Up, service: str, statement: str, **values: object) -> None:
    engine = create_engine(up.cluster().superuser_url(service), pool_size=1)
    async with engine.begin() as connection:
        await connection.execute(sa.text(statement), values)
    await engine.dispose()
