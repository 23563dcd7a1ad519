"""A made-up family, its sister services, and mail servers that behave well or badly."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from fastapi import FastAPI, Response

from common import problems
from common.errors import NotFound
from common.events import (
    AgreementCompleted,
    Cause,
    ConferenceOffered,
    SchoolCalendarSet,
    StudentEnrolled,
    Tier,
    TierDecided,
)
from notifications.loops.deciding import decide_recipients
from notifications.loops.sending import send_due
from tests.harness import Running

ZONE = ZoneInfo("America/Denver")
SCHOOL = "255901001"
THURSDAY = date(2026, 11, 19)
FRIDAY = date(2026, 11, 20)
FRIDAY_MORNING = datetime(2026, 11, 20, 9, 0, tzinfo=ZONE)


def contact(**given: Any) -> dict[str, Any]:
    """A guardian as sis describes one; unrestricted, with nothing but what is given."""
    blank: dict[str, Any] = {
        "contact_id": str(uuid4()),
        "first_name": "Alma",
        "last_name": "Reyes",
        "relation": "Mother",
        "language": "en",
        "emails": [],
        "phones": [],
        "address": None,
        "lives_with": True,
        "restriction": {"state": "none", "codes": [], "expires_on": None},
    }
    return blank | given


def address(line: str = "12 Ash Street") -> dict[str, Any]:
    return {"lines": [line], "city": "Denver", "state": "CO", "postal_code": "80201-1234"}


def restricted(state: str = "coded", *codes: str, expires_on: str | None = None) -> dict[str, Any]:
    return {"state": state, "codes": list(codes), "expires_on": expires_on}


@dataclass
class Sisters:
    """What sis and mtss answer: families by student, decisions that no longer stand, and whether they answer at all."""

    families: dict[UUID, list[dict[str, Any]]] = field(default_factory=dict)
    fallen: set[UUID] = field(default_factory=set)
    away: set[str] = field(default_factory=set)
    names: dict[UUID, str] = field(default_factory=dict)
    transferred: set[UUID] = field(default_factory=set)
    """Students who have left Mesa School for another one."""
    asked: list[str] = field(default_factory=list)
    staff: dict[str, list[str]] = field(default_factory=dict)
    """E-mail addresses of who is told of urgent help: ``emails`` and ``district_emails`` of every school."""
    misplaced: dict[str, Response] = field(default_factory=dict)
    """Whatever answers at the address of a sister instead of it."""

    def forget(self) -> None:
        self.families.clear()
        self.fallen.clear()
        self.away.clear()
        self.names.clear()
        self.transferred.clear()
        self.asked.clear()
        self.staff.clear()
        self.misplaced.clear()

    def sis(self) -> FastAPI:
        app = FastAPI()
        problems.install(app)
        app.state.runtime = SimpleNamespace(refused=Counter())  # what the log asks of a service that refuses

        @app.get("/sis/v1/students/{student_id}/contacts")
        async def contacts(student_id: UUID, school: str | None = None) -> Any:
            self.asked.append("sis")
            if "sis" in self.away:
                return Response(status_code=503)
            if "sis" in self.misplaced:
                return self.misplaced["sis"]
            if student_id not in self.families:
                raise NotFound(what="student")
            return {
                "student_id": student_id,
                "first_name": self.names.get(student_id, "Nico"),
                "last_name": "Reyes",
                "school_name": "Pine School" if student_id in self.transferred and school != SCHOOL else "Mesa School",
                "contacts": self.families[student_id],
            }

        @app.get("/sis/v1/schools/{school_id}/urgent-staff")
        async def urgent_staff(school_id: str) -> Any:
            if "sis" in self.away:
                return Response(status_code=503)
            if school_id != SCHOOL:
                raise NotFound(what="school")
            return {"school_name": "Mesa School", "emails": [], "district_emails": []} | self.staff

        @app.get("/sis/v1/students/{student_id}/contacts/{contact_id}/restriction")
        async def restriction(student_id: UUID, contact_id: UUID) -> Any:
            told = [each for each in self.families.get(student_id, []) if each["contact_id"] == str(contact_id)]
            if not told:
                raise NotFound(what="contact of this student")
            return told[0]["restriction"]

        return app

    def mtss(self) -> FastAPI:
        app = FastAPI()

        @app.get("/mtss/v1/decisions/{decision_id}")
        async def decision(decision_id: UUID) -> Any:
            self.asked.append("mtss")
            if "mtss" in self.away:
                return Response(status_code=503)
            if "mtss" in self.misplaced:
                return self.misplaced["mtss"]
            return {"id": decision_id, "stands": decision_id not in self.fallen}

        return app


def enrolled(student: UUID) -> StudentEnrolled:
    """The student at the school of every decision here."""
    return StudentEnrolled(student_id=student, school_id=SCHOOL, entry_on=date(2020, 8, 17), revision=1)


def targeted(
    student: UUID, *, on: date = THURSDAY, before: Tier | None = Tier.UNIVERSAL, revision: int = 1, **more: Any
) -> TierDecided:
    """A decision to targeted."""
    return decided(student, Tier.TARGETED, on=on, before=before, revision=revision, **more)


def withdrawn(student: UUID, *, on: date = THURSDAY, revision: int = 2, **more: Any) -> TierDecided:
    """The decision that takes targeted back."""
    return decided(
        student, Tier.UNIVERSAL, on=on, before=Tier.TARGETED, revision=revision, cause=Cause.WITHDRAWN, **more
    )


def decided(
    student: UUID,
    tier: Tier | None,
    *,
    on: date,
    before: Tier | None,
    revision: int,
    cause: Cause = Cause.ENTERED,
    **more: Any,
) -> TierDecided:
    return TierDecided(
        revision=revision,
        student_id=student,
        school_id=SCHOOL,
        decision_id=more.pop("decision_id", uuid.uuid5(student, str(revision))),
        number=revision,
        tier=tier,
        tier_before=before,
        cause=cause,
        policy="default-1",
        effective_on=on,
        known_at=datetime.now(UTC),
        **more,
    )


def offered(student: UUID, *, on: date = THURSDAY, conference: UUID | None = None, **more: Any) -> ConferenceOffered:
    return ConferenceOffered(
        **{"revision": 1, **more},
        conference_id=conference or uuid4(),
        student_id=student,
        school_id=SCHOOL,
        offered_on=on,
    )


def completed(student: UUID, *, on: date = THURSDAY, **more: Any) -> AgreementCompleted:
    return AgreementCompleted(
        **{"revision": 1, **more}, conference_id=uuid4(), student_id=student, school_id=SCHOOL, completed_on=on
    )


def calendar(*days: date, revision: int = 1, year: int = 2027) -> SchoolCalendarSet:
    return SchoolCalendarSet(revision=revision, school_id=SCHOOL, school_year=year, instructional_days=days)


def weekdays(first: date = date(2026, 8, 17), count: int = 180) -> list[date]:
    days = (first + timedelta(days=n) for n in range(count * 2))
    return [day for day in days if day.weekday() < 5][:count]


class MailServer:
    """A real SMTP server that writes down what it accepted, and misbehaves as told."""

    def __init__(self) -> None:
        self.accepted: list[Envelope] = []
        self.refuse: dict[str, str] = {}
        """Answers to the commands MAIL, RCPT or DATA (before the content) and END (after it)."""
        self.after_content = ""
        self.catcher = True
        self.calls = 0

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.calls += 1
        keywords = ["250-X-TRELLIS-MAIL-CATCHER"] if self.catcher else []
        return [*responses[:-1], *keywords, responses[-1]]

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        return self.refuse.get("MAIL", "250 OK")

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if f"RCPT {address}" in self.refuse or "RCPT" in self.refuse:
            return self.refuse.get(f"RCPT {address}") or self.refuse["RCPT"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.accepted.append(envelope)
        if self.after_content == "drop":
            transport: Any = server.transport
            transport.abort()
        if self.after_content == "hang":
            await asyncio.sleep(30)
        return self.refuse.get("END", "250 OK")

    def messages(self) -> list[str]:
        return [_text(envelope.content) for envelope in self.accepted]

    def recipients(self) -> list[str]:
        return sorted(address for envelope in self.accepted for address in envelope.rcpt_tos)


def _text(content: bytes | str | None) -> str:
    return content.decode() if isinstance(content, bytes) else content or ""


@asynccontextmanager
async def serving(mail: MailServer) -> AsyncIterator[str]:
    """The server's SMTP address, while it runs."""
    controller = Controller(mail, hostname="127.0.0.1", port=0)
    controller.port = _free_port()
    await asyncio.to_thread(controller.start)
    try:
        yield f"smtp://127.0.0.1:{controller.port}"
    finally:
        await asyncio.to_thread(controller.stop, no_assert=True)


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def send_through(running: Running, url: str) -> None:
    """Let the service use another mail server."""
    running.runtime.settings = running.runtime.settings.model_copy(update={"smtp_url": url})


async def switch(running: Running, **asked: Any) -> Any:
    """Switch sending, having seen how it stands."""
    headers = running.headers("district")
    seen = await running.http.get("/notifications/v1/sending", headers=headers)
    headers["If-Match"] = seen.headers["ETag"]
    return await running.http.post("/notifications/v1/sending", json=asked, headers=headers)


async def work(running: Running) -> None:
    """One pass of each loop."""
    await decide_recipients(running.runtime)
    await send_due(running.runtime)


async def rows(running: Running, table: str) -> list[Any]:
    async with running.session() as session:
        return list((await session.execute(sa.text(f"SELECT * FROM notifications_{table} ORDER BY 1"))).mappings())


async def notices(running: Running) -> list[tuple[str, str, str | None]]:
    """State, reason and channel of every notice, sorted."""
    return sorted(((n["state"], n["reason"], n["channel"]) for n in await rows(running, "notice")), key=str)


async def tasks(running: Running) -> list[str]:
    """The kinds of open tasks."""
    return sorted(task["kind"] for task in await rows(running, "task") if task["resolved_at"] is None)
