"""A school whose SIS keeps pushing while things break, and sends the same rows again until they are accepted."""

import asyncio
import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import httpx

GIVE_UP_SECONDS = 240
OK = {200, 201, 204}
LAST_DAY = datetime.now(UTC).date() - timedelta(days=2)
"""The last day of school so far: over in every time zone."""


def weekdays(count: int, through: date) -> list[date]:
    """The last ``count`` weekdays up to and including ``through``, in order."""
    days = (through - timedelta(days=back) for back in range(2 * count + 4))
    return sorted([day for day in days if day.weekday() < 5][:count])


class Door(Protocol):
    """Where services answer."""

    def http(self, service: str, role: str) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        """A client of one service with a token of this role."""


@dataclass
class School:
    """One made-up school. What was accepted is in ``accepted`` and what must therefore be known is in ``missed``."""

    district: Door
    id: str
    students: int = 30
    days: Sequence[date] = field(default_factory=lambda: weekdays(60, LAST_DAY))
    accepted: set[UUID] = field(default_factory=set)
    """Ids of documents that were answered with 2xx and not deleted since."""
    ids: dict[str, UUID] = field(default_factory=dict)
    """Our student ids by the SIS's."""
    missed: dict[tuple[UUID, date], int] = field(default_factory=dict)
    """Hundredths absent of each student and day that were accepted."""
    documents: dict[tuple[UUID, date], UUID] = field(default_factory=dict)
    """The document that says so: a deletion whose answer was cut off is answered 404 the next time, without its id."""
    closed_through: date | None = None
    rest: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: the school pushes nothing more."""
    cut: int = 0
    """Requests that got no answer, or one that says *not now*."""

    async def open(self) -> None:
        """Push the school, its calendar, its students and their enrolments."""
        await self.push("schools", [{"schoolId": self.id, "nameOfInstitution": f"School {self.id}"}])
        names = [f"{self.id}-{number}" for number in range(self.students)]
        students = [{"studentUniqueId": name, "firstName": "A", "lastSurname": "B"} for name in names]
        for name, line in zip(names, await self.push("students", students), strict=True):
            self.ids[name] = UUID(line["id"])
        ahead = [self.days[-1] + timedelta(days=n) for n in range(1, 30)]
        calendar = [*self.days, *(day for day in ahead if day.weekday() < 5)]
        lines = "".join(f"{self.id},{day},true\n" for day in calendar)
        await self._send("/sis/v1/calendars", f"school_id,date,instructional\n{lines}", "text/csv")
        await self.push("studentSchoolAssociations", [self._enrolment(name) for name in names])

    async def push(self, resource: str, rows: Sequence[Any], *, deletes: bool = False) -> list[dict[str, Any]]:
        """Push rows of one resource until they are accepted; their result lines."""
        if not rows:
            return []
        path = f"/sis/v1/bulk/{resource}" + ("/deletes" if deletes else "")
        cut, body = self.cut, "".join(json.dumps(row) + "\n" for row in rows)
        lines = [json.loads(line) for line in (await self._send(path, body, "application/jsonl")).text.splitlines()]
        gone = {404} if deletes and self.cut > cut else set()  # the answer to the first attempt was cut off
        for line in lines:
            assert line["status"] in OK | gone, f"{path} refused a row: {line}"
            if "id" in line and not deletes:
                self.accepted.add(UUID(line["id"]))
        return lines

    async def live(self, days: Sequence[date] | None = None, *, until: asyncio.Event | None = None) -> None:
        """Push each day's absences and close it; then corrections, and that all is submitted, as long as ``until`` is not set."""
        chance, days = random.Random(self.id), days or self.days
        for day in days:
            await self.record(day, self._absences(chance))
            await self.close(day)
        while until is not None and not (until.is_set() or self.rest.is_set()):
            day = chance.choice(self.days)
            await self.record(day, {name: chance.choice((25, 50, 100)) for name in chance.sample(sorted(self.ids), 3)})
            await self.take_back(chance.choice(sorted(self.missed)))
            await self.close(days[-1])  # it is on record each time, so that the sealer always has work
            await asyncio.sleep(0.02)

    async def record(self, day: date, absences: Mapping[str, int]) -> None:
        """Push absences of one day, in hundredths by the SIS's student ids."""
        lines = await self.push(
            "studentSchoolAttendanceEvents", [self._absence(name, day, share) for name, share in absences.items()]
        )
        self.documents |= {(self.ids[name], day): UUID(line["id"]) for name, line in zip(absences, lines, strict=True)}
        self.missed |= {(self.ids[name], day): share for name, share in absences.items()}

    async def take_back(self, fact: tuple[UUID, date]) -> None:
        """Delete one absence."""
        (name,) = (name for name, identity in self.ids.items() if identity == fact[0])
        row = self._absence(name, fact[1], 100)
        await self.push("studentSchoolAttendanceEvents", [row], deletes=True)
        self.accepted.discard(self.documents.pop(fact))
        del self.missed[fact]

    async def close(self, day: date) -> None:
        """Say that the day's attendance is complete."""
        await self._send(f"/sis/v1/schools/{self.id}/days/{day}/close", "", "application/json")
        self.closed_through = max(day, self.closed_through or day)

    def _absences(self, chance: random.Random) -> dict[str, int]:
        """Every fifth student misses one day in six, the others few."""
        return {
            name: chance.choice((50, 100, 100))
            for number, name in enumerate(sorted(self.ids))
            if chance.random() < (1 / 6 if number % 5 == 0 else 1 / 40)
        }

    def _enrolment(self, name: str) -> dict[str, Any]:
        return {
            "studentReference": {"studentUniqueId": name},
            "schoolReference": {"schoolId": self.id},
            "entryDate": self.days[0].isoformat(),
        }

    def _absence(self, name: str, day: date, share: int) -> dict[str, Any]:
        return {
            "studentReference": {"studentUniqueId": name},
            "schoolReference": {"schoolId": self.id},
            "eventDate": day.isoformat(),
            "attendanceEventCategoryDescriptor": "uri://ed-fi.org/AttendanceEventCategoryDescriptor#Unexcused Absence",
            "eventDuration": share / 100,
        }

    async def _send(self, path: str, body: str, kind: str) -> httpx.Response:
        """The answer, however often it takes."""
        headers, until = {"Content-Type": kind}, time.monotonic() + GIVE_UP_SECONDS
        while True:
            response = await self._attempt(path, body, headers)
            if response is not None and response.status_code < 500:
                assert response.is_success, f"{path} answered {response.status_code}: {response.text}"
                return response
            self.cut += 1
            assert time.monotonic() < until, f"sis accepts nothing for {GIVE_UP_SECONDS} s: {path}"
            await asyncio.sleep(0.1)

    async def _attempt(self, path: str, body: str, headers: dict[str, str]) -> httpx.Response | None:
        try:
            return await (await self._client()).post(path, content=body, headers=headers)
        except httpx.TransportError:
            return None

    async def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = await self._open.enter_async_context(self.district.http("sis", "sis"))
        return self._http

    async def leave(self) -> None:
        """Close connections."""
        await self._open.aclose()
        self._http = None

    _http: httpx.AsyncClient | None = None
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)


_numbers: Iterator[int] = iter(range(1, 10_000))


def school(district: Door, **options: Any) -> School:
    """A school that this district does not have yet."""
    return School(district, f"{next(_numbers)}", **options)
