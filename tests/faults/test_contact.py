"""F1 at the sender, and F20: whatever is killed or set back, no family is told twice (I4)."""

import asyncio
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope
from aiosmtpd.smtp import Session as SmtpSession

from common import embedded
from tests.faults.checker import settled, violations
from tests.faults.district import District, district
from tests.faults.patience import eventually
from tests.faults.push import School, school
from tests.kafka.broker import Broker, _free_port

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

SENDER = "sender-after-send"
SET_BACK = ("mtss", "notifications")
FAMILIES = 6


@dataclass
class Ledger:
    """A mail server's own ledger: everything it accepted, whatever anybody else remembers."""

    accepted: list[str] = field(default_factory=list)

    async def handle_EHLO(
        self, server: SMTP, session: SmtpSession, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], "250-X-TRELLIS-MAIL-CATCHER", responses[-1]]

    async def handle_DATA(self, server: SMTP, session: SmtpSession, envelope: Envelope) -> str:
        self.accepted += envelope.rcpt_tos
        return "250 accepted"

    def told_twice(self) -> dict[str, int]:
        """Addresses with more than one message. Each family here has one ground to be told."""
        return {address: times for address, times in Counter(self.accepted).items() if times > 1}


@contextmanager
def serving(ledger: Ledger) -> Iterator[str]:
    controller = Controller(ledger, hostname="127.0.0.1", port=_free_port())
    controller.start()
    try:
        yield f"smtp://127.0.0.1:{controller.port}"
    finally:
        controller.stop()


@dataclass
class Told:
    """A district with a mail server, and that server's ledger."""

    district: District
    ledger: Ledger

    async def comes_to(self, families: int) -> None:
        """Wait until so many families were told."""

        async def told() -> bool:
            return len(self.ledger.accepted) >= families

        await eventually(f"{families} families are told", told, within=60)

    async def stays(self, seconds: float = 5) -> None:
        """Let the sender's loops come round several times: they tell nobody."""
        before = list(self.ledger.accepted)
        await asyncio.sleep(seconds)
        assert self.ledger.accepted == before

    async def sending(self) -> str:
        """Whether messages go out, in one word."""
        async with self.district.http("notifications", "district") as http:
            return str((await http.get("/notifications/v1/summary")).json()["sending"])


@pytest_asyncio.fixture(loop_scope="session")
async def told(kafka: Broker, tmp_path: Path) -> AsyncIterator[Told]:
    ledger = Ledger()
    with serving(ledger) as url:
        async with district("sis", *SET_BACK, logs=tmp_path, apart=SET_BACK, smtp_url=url) as made:
            yield Told(made, ledger)


async def test_a_sender_killed_after_sending_and_a_database_set_back_tell_no_family_twice(told: Told) -> None:
    notifications = told.district.notifications
    notifications.stop()
    await notifications.started(f"{SENDER}:2")

    first = await concerned(told.district)
    await notifications.killed_itself()
    assert len(told.ledger.accepted) == 2
    await notifications.started()
    await told.comes_to(FAMILIES)

    copy = await copied(told.district)
    second = await concerned(told.district)
    await told.comes_to(2 * FAMILIES)
    lost = {identity for (identity,) in await told.district.rows("mtss", "SELECT id FROM outbox")}

    await restored(told.district, copy)
    told.district.injected |= lost  # what mtss had said, and no longer knows of
    for service in SET_BACK:
        await eventually(f"{service} notices", partial(set_back, told.district, service))
    await settled(told.district)
    assert await told.sending() == "database_set_back"
    await told.stays()

    await a_person_has_reconciled(told.district)
    await told.stays()
    assert await shown_to_a_person(told.district) == FAMILIES
    third = await concerned(told.district)
    await told.comes_to(3 * FAMILIES)

    assert told.ledger.told_twice() == {}
    assert len(told.ledger.accepted) == 3 * FAMILIES
    assert await violations(told.district, [first, second, third]) == []


async def concerned(made: District) -> School:
    """A school, all pushed and closed, of whose students some have just become targeted."""
    concerned = school(made, students=FAMILIES + 4)
    await concerned.open()
    await with_families(concerned, sorted(concerned.ids)[:FAMILIES])
    for day in concerned.days:
        late = day in concerned.days[-7:]  # 6 of 59 days are the first to reach a tenth
        await concerned.record(day, dict.fromkeys(sorted(concerned.ids)[:FAMILIES], 100) if late else {})
        await concerned.close(day)
    await concerned.leave()
    return concerned


async def with_families(concerned: School, names: Sequence[str]) -> None:
    """Give each of these students a mother with an e-mail address of her own."""
    descriptor = "uri://ed-fi.org/RelationDescriptor#Mother"
    contacts = [
        {
            "contactUniqueId": f"c-{name}",
            "firstName": "C",
            "lastSurname": "D",
            "electronicMails": [{"electronicMailAddress": f"{name}@family.example"}],
        }
        for name in names
    ]
    associations = [
        {
            "studentReference": {"studentUniqueId": name},
            "contactReference": {"contactUniqueId": f"c-{name}"},
            "relationDescriptor": descriptor,
            "livesWith": True,
        }
        for name in names
    ]
    await concerned.push("contacts", contacts)
    await concerned.push("studentContactAssociations", associations)


async def set_back(made: District, service: str) -> bool:
    return bool(await made.rows(service, "SELECT topic FROM inbox_set_back"))


async def shown_to_a_person(made: District) -> int:
    """How many families may have been told by what the restored database does not know of."""
    shown = await made.rows(
        "notifications",
        "SELECT count(*) FROM notifications_notice AS n JOIN notifications_task AS t ON t.notice_id = n.id "
        "WHERE n.state = 'uncertain' AND n.reason = 'after_restore' AND t.resolved_at IS NULL",
    )
    return int(shown[0][0])


async def a_person_has_reconciled(made: District) -> None:
    """Somebody looks at the preview and lets sending go on."""
    async with made.http("notifications", "district") as http:

        async def switched() -> bool:
            seen = (await http.get("/notifications/v1/preview")).json()["families"]
            switch = (await http.get("/notifications/v1/sending")).headers["ETag"]
            on = {"on": True, "seen": seen}
            answer = await http.post("/notifications/v1/sending", json=on, headers={"If-Match": switch})
            return answer.is_success

        await eventually("sending goes on", switched)


async def copied(made: District) -> Path:
    """A backup of the databases of ``SET_BACK``, which go on afterwards."""
    copy = made.folder / "copy"
    await while_stopped(made, lambda cluster: subprocess.run(["cp", "-a", cluster, copy], check=True))
    return copy


async def restored(made: District, copy: Path) -> None:
    """The backup in the place of the databases, which are gone."""

    def replace(cluster: Path) -> None:
        shutil.rmtree(cluster)
        subprocess.run(["cp", "-a", copy, cluster], check=True)

    await while_stopped(made, replace)


async def while_stopped(made: District, change: Callable[[Path], object]) -> None:
    """Change the data folder of the stopped PostgreSQL, and start everything again."""
    data = made.folder / "apart"
    for name in SET_BACK:
        made.members[name].stop()
    await asyncio.to_thread(embedded.stop, data)
    await made.forget_connections()
    await asyncio.to_thread(change, data / "postgres" / "cluster")
    await asyncio.to_thread(embedded.start, data, SET_BACK)
    await made.start(*SET_BACK)
