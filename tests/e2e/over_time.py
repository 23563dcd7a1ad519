"""A district over three school years: real sis, mtss and notifications on a real PostgreSQL, pushed to through the door.

What one of them says reaches the others as soon as it is committed, in the batches in which it would come without Kafka.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from common.embedded import Cluster
from common.keys import Trusted
from common.outbox import Record, drain
from notifications.loops.deciding import decide_recipients
from notifications.loops.sending import send_due
from tests.harness import Running, run_service
from tests.mtss.oracle import Day
from tests.mtss.oracle import District as Oracle
from tests.notifications.made_up import ZONE, MailServer, send_through, serving
from tests.sis.conftest import absence, behavior, enrolment, incident, school, student

ATTENDANCE, ENROLMENTS = "studentSchoolAttendanceEvents", "studentSchoolAssociations"
STUDENTS, CONTACTS, OF_CONTACTS = "students", "contacts", "studentContactAssociations"
INCIDENTS, PARTS = "disciplineIncidents", "studentDisciplineIncidentBehaviorAssociations"


def _weekdays(first: date, count: int = 60) -> list[date]:
    days = (first + timedelta(days=offset) for offset in range(count * 2))
    return [day for day in days if day.weekday() < 5][:count]


TWO_YEARS_AGO, LAST_YEAR, THIS_YEAR = 2025, 2026, 2027
YEARS: Mapping[int, list[date]] = {
    TWO_YEARS_AGO: _weekdays(date(2024, 8, 19)),
    LAST_YEAR: _weekdays(date(2025, 8, 18)),
    THIS_YEAR: _weekdays(date(2026, 8, 17)),
}
"""The instructional days of three short school years: sixty weekdays each."""

THEN, NOW = YEARS[TWO_YEARS_AGO], YEARS[THIS_YEAR]


def morning_after(day: date) -> datetime:
    """Nine o'clock on the next day that is no Saturday or Sunday, later than any tier notice of ``day``."""
    following = day + timedelta(days={4: 3, 5: 2}.get(day.weekday(), 1))
    return datetime.combine(following, time(9), ZONE)


@dataclass(frozen=True)
class District:
    """Three services at work, and a mail server."""

    sis: Running
    mtss: Running
    notifications: Running
    mail: MailServer

    async def begin(self, *years: int, schools: int = 1) -> None:
        """Nothing but schools and their calendars, on the morning after the last of the days of ``years``."""
        for running in (self.sis, self.mtss, self.notifications):
            await running.empty()
        self.mail.__init__()  # type: ignore[misc]  # as new, at the same address
        self.set_clock(morning_after(YEARS[max(years)][-1]))
        numbers = range(1, schools + 1)
        await self.push("schools", *map(school, numbers))
        for number in numbers:
            await self.set_calendar(*(day for year in years for day in YEARS[year]), number=number)

    def set_clock(self, at: datetime) -> None:
        """Stop everybody's clock."""
        for running in (self.sis, self.mtss, self.notifications):
            running.clock.set(at)

    async def push(self, resource: str, *documents: Any) -> list[UUID]:
        """Put documents in, all of which must be accepted; their ids."""
        return [UUID(answer["id"]) for answer in await self._bulk(resource, documents)]

    async def take_away(self, resource: str, *documents: Any) -> None:
        """Delete documents by natural key, all of which must be there."""
        await self._bulk(f"{resource}/deletes", documents)

    async def take_away_if_there(self, resource: str, *documents: Any) -> None:
        """Delete documents by natural key; that one is not there is no matter."""
        await self._bulk(f"{resource}/deletes", documents, also=404)

    async def enrol(self, *names: str, **more: Any) -> list[UUID]:
        """Students at a school, from the first day of all unless told otherwise; their ids."""
        ids = await self.push(STUDENTS, *(student(name) for name in names))
        given = {"entry": THEN[0].isoformat()} | more
        await self.push(ENROLMENTS, *(enrolment(name, **given) for name in names))
        return ids

    async def absent(self, days: Iterable[date], **more: Any) -> None:
        """A day missed without excuse on each of ``days``."""
        await self.push(ATTENDANCE, *(absence(day.isoformat(), **more) for day in days))

    async def present_after_all(self, *days: date, **more: Any) -> None:
        """What was said of ``days`` is taken back."""
        await self.take_away(ATTENDANCE, *(absence(day.isoformat(), **more) for day in days))

    async def refer(self, *days: date, name: str = "s1") -> None:
        """A referral on each of ``days``."""
        for day in days:
            await self.push(INCIDENTS, incident(day.isoformat(), on=day.isoformat()))
            await self.push(PARTS, behavior(name, of=day.isoformat()))

    async def set_calendar(self, *days: date, number: int = 1) -> None:
        """The instructional days of every school year among ``days``."""
        years = [(year, day) for year, known in YEARS.items() for day in days if known[0] <= day <= known[-1]]
        rows = "".join(f"{number},{day},true,{year}\n" for year, day in years)
        await self._tell("POST", "/sis/v1/calendars", content=f"school_id,date,instructional,school_year\n{rows}")

    async def close(self, through: date, *, number: int = 1) -> None:
        """The school has submitted every day up to this one."""
        await self._tell("POST", f"/sis/v1/schools/{number}/days/{through}/close")

    async def close_each(self, days: Iterable[date], *, number: int = 1) -> None:
        """The school submits day by day."""
        for day in days:
            await self.close(day, number=number)

    async def spread(self) -> None:
        """Hand what was said to whoever hears it, until nobody has anything left to say."""
        while await self._drain(self.sis, self.mtss, self.notifications) + await self._drain(
            self.mtss, self.notifications
        ):
            pass

    async def tell_families(self) -> None:
        """Two passes of the loops of notifications: deciding, sending, and looking again."""
        for _ in range(2):
            await decide_recipients(self.notifications.runtime)
            await send_due(self.notifications.runtime)

    async def ask(self, path: str, role: str = "district", *, of: str = "mtss", **principal: Any) -> Any:
        """An answer of mtss or notifications."""
        running: Running = getattr(self, of)
        answer = await running.http.get(f"/{of}/v1/{path}", headers=running.headers(role, **principal))
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def status_of(self, path: str, role: str, **principal: Any) -> int:
        """How mtss answers."""
        return (await self.mtss.http.get(f"/mtss/v1/{path}", headers=self.mtss.headers(role, **principal))).status_code

    async def decisions(self, who: UUID) -> list[dict[str, Any]]:
        """The ledger of a student, from the first line to the last."""
        items: list[dict[str, Any]] = (await self.ask(f"students/{who}/decisions"))["items"]
        assert [each["number"] for each in items] == list(range(1, len(items) + 1))
        return items

    async def standing(self, who: UUID) -> tuple[str, date]:
        """The tier and the day it began. What is written in the ledger is what the course says, and an oracle too."""
        now = await self.ask(f"students/{who}")
        assert await self.course(who) == await self.course_by_oracle(who)
        oracle = Oracle(await self.sis.said()).tier_and_since(who)
        assert oracle == (now["tier"], date.fromisoformat(now["since"]))
        return now["tier"], date.fromisoformat(now["since"])

    async def missed(self, who: UUID) -> tuple[float, int]:
        """Days absent and days enrolled in the school year of the last closed day."""
        clauses = (await self.ask(f"students/{who}"))["clauses"]
        evidence = next(each["evidence"] for each in clauses if each["clause"] == "attendance")
        return evidence["days_absent"], evidence["days_enrolled"]

    async def course(self, who: UUID) -> list[tuple[Any, ...]]:
        """Day, school, school year, tier and clauses of every day on the course."""
        items = (await self.ask(f"students/{who}/course"))["items"]
        return [
            (
                date.fromisoformat(on["on"]),
                on["school_id"],
                on["school_year"],
                on["tier"],
                {name: on["clauses"][name] for name in _CLAUSES},
            )
            for on in items
        ]

    async def course_by_oracle(self, who: UUID) -> list[tuple[Any, ...]]:
        """The same, by the slow implementation, from what sis has said."""
        return [(on.on, on.school, on.year, on.tier, _clauses(on)) for on in Oracle(await self.sis.said()).course(who)]

    async def rows(self, of: str, query: str, **values: Any) -> list[Any]:
        """What lies in the database of a service."""
        running: Running = getattr(self, of)
        async with running.session() as session:
            return list((await session.execute(sa.text(query), values)).all())

    async def _bulk(self, path: str, documents: Sequence[Any], also: int = 200) -> list[dict[str, Any]]:
        if not documents:
            return []
        body = "\n".join(json.dumps(document) for document in documents)
        answer = await self._tell("POST", f"/sis/v1/bulk/{path}", content=body)
        lines = [json.loads(line) for line in answer.splitlines()]
        assert all(line["status"] in (200, 201, 204, also) for line in lines), lines
        return lines

    async def _tell(self, method: str, path: str, **options: Any) -> str:
        answer = await self.sis.http.request(method, path, headers=self.sis.headers("sis"), **options)
        assert answer.is_success, answer.text
        await self.spread()
        return answer.text

    async def _drain(self, speaker: Running, *hearers: Running) -> int:
        async def send(records: Sequence[Record]) -> None:
            await asyncio.gather(*(hearer.app.state.inbox.process(records) for hearer in hearers))

        return await drain(speaker.runtime, send)


_CLAUSES = ("attendance", "adult_support", "referrals")


def _clauses(day: Day) -> dict[str, bool | None]:
    return {name: getattr(day, name) for name in _CLAUSES}


@asynccontextmanager
async def running_district(cluster: Cluster) -> AsyncIterator[District]:
    """The three services, each trusting what notifications asks."""
    async with AsyncExitStack() as stack:
        sis = await stack.enter_async_context(run_service("sis", cluster))
        mtss = await stack.enter_async_context(run_service("mtss", cluster))
        peers = {"sis": sis.app, "mtss": mtss.app}
        notifications = await stack.enter_async_context(run_service("notifications", cluster, peers=peers))
        mail = MailServer()
        send_through(notifications, await stack.enter_async_context(serving(mail)))
        asks = {"notifications": notifications.runtime.keys.trusted.of["notifications"]}
        for running in (sis, mtss):
            keys = running.runtime.keys
            running.runtime.keys = replace(keys, trusted=Trusted({**keys.trusted.of, **asks}))
        yield District(sis, mtss, notifications, mail)
