"""What an operator does about events that could not be handled, at a running Trellis."""

import asyncio
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from common import embedded
from common.db import create_engine
from common.events import AttendanceKind, AttendanceRecorded
from tests.faults.patience import eventually
from tests.faults.push import LAST_DAY
from tests.harness import SERVICES, record
from tests.processes import free_port, trellis, up

pytestmark = pytest.mark.slow
TOO_HIGH = 2**63
"""A revision that is valid in an event, and more than the column takes: a bug of the handler."""


@dataclass
class Running:
    """Trellis on a data folder, and the command line beside it."""

    data: Path
    url: str

    def command(self, *arguments: str) -> str:
        """What ``trellis`` prints."""
        done = trellis(*arguments, "--url", self.url, "--data", str(self.data))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    async def execute(self, service: str, statement: str, **values: object) -> None:
        """Change something in a service's database by hand."""
        url = embedded.start(self.data, SERVICES).superuser_url(service)
        engine = create_engine(url, pool_size=1)
        async with engine.begin() as connection:
            await connection.execute(sa.text(statement), values)
        await engine.dispose()


@pytest.fixture
def running() -> Iterator[Running]:
    folder, port = Path(mkdtemp(prefix="trellis-up-")), free_port()
    folder.chmod(0o711)  # PostgreSQL may run as another user
    data = folder / "var"
    try:
        with up(data, port):
            yield Running(data, f"http://127.0.0.1:{port}")
    finally:
        embedded.stop(data)
        shutil.rmtree(folder)


async def test_an_operator_reads_who_looked_and_finds_what_was_changed_in_that_record(running: Running) -> None:
    running.command("audit", "show", "--service", "mtss")  # leaves a row

    async def told() -> bool:
        shown = await asyncio.to_thread(running.command, "audit", "show", "--service", "mtss")
        return "/mtss/v1/audit" in "".join(shown.split())

    await eventually("that somebody looked is on record", told)
    whole = running.command("audit", "verify")
    assert [line.split(":")[0] for line in whole.splitlines() if line.endswith("whole")] == sorted(SERVICES)

    await running.execute("mtss", "ALTER TABLE audit DISABLE TRIGGER USER")
    await running.execute("mtss", "UPDATE audit SET subject = 'nobody' WHERE number = 1")
    assert broken(running) == [("mtss", "row 1 was changed or added, or the one before it was")]


async def test_an_operator_finds_that_what_is_on_record_is_not_sealed(running: Running) -> None:
    await running.execute("surveys", "REVOKE UPDATE (number) ON audit FROM surveys_app")  # the sealer stands still
    running.command("audit", "show", "--service", "surveys")
    assert broken(running) == []

    await running.execute("surveys", "ALTER TABLE audit DISABLE TRIGGER USER")
    await running.execute("surveys", "UPDATE audit SET at = at - interval '2 minutes' WHERE number IS NULL")
    ((service, fault),) = broken(running)
    assert service == "surveys"
    assert fault.endswith("rows were not sealed in time: see that the service runs")


def broken(running: Running) -> list[tuple[str, str]]:
    """The services whose audit log is not whole, and why; the exit code says whether there are any."""
    done = trellis("audit", "verify", "--url", running.url, "--data", str(running.data))
    lines = [line.split(": ", 2) for line in done.stdout.splitlines()]
    faulty = [(service, fault) for service, _, fault in lines if fault != "whole"]
    assert (done.returncode, len(lines)) == (1 if faulty else 0, len(SERVICES))
    return faulty


async def test_an_operator_sees_replays_discards_and_lets_everything_be_said_again(running: Running) -> None:
    poisoned, given_up = await said_by_hand(running), await said_by_hand(running)

    async def shown() -> bool:
        listed = await asyncio.to_thread(running.command, "events", "parked")
        return str(poisoned) in listed and str(given_up) in listed

    await eventually("both events are parked", shown)
    assert re.search(r"mtss.*current.*0.*2", running.command("status"))

    await mended(running, poisoned)
    assert running.command("events", "replay", "mtss", str(poisoned)) == "1 events handled.\n"
    assert running.command("events", "discard", "mtss", str(given_up)).startswith("Discarded.")
    assert running.command("events", "parked", "mtss") == "No event is parked.\n"
    assert running.command("events", "resend", "sis", "--dry-run") == "0 facts would be said again.\n"


async def said_by_hand(running: Running) -> UUID:
    """Put an event into the outbox of sis that mtss cannot handle."""
    event = AttendanceRecorded(
        student_id=uuid4(),
        school_id="1",
        on=LAST_DAY,
        hundredths_absent=100,
        kind=AttendanceKind.UNEXCUSED,
        revision=TOO_HIGH,
    )
    said = record(event)
    await running.execute(
        "sis",
        "INSERT INTO outbox (id, type, subject, key, body) VALUES (:id, :type, :subject, :key, :body)",
        id=said.id,
        type=said.type,
        subject=said.subject,
        key=said.key,
        body=said.body,
    )
    return said.id


async def mended(running: Running, event: UUID) -> None:
    """What a release without the bug would come to."""
    await running.execute(
        "mtss",
        "UPDATE inbox_parked SET body = convert_to(replace(convert_from(body, 'UTF8'), :wrong, '1'), 'UTF8') WHERE id = :id",
        wrong=str(TOO_HIGH),
        id=event,
    )
