"""Deciding many at once: a school day of 2,000 students closed, and a district decided anew because a policy was adopted.

Beside it in the same run the same facts are only read. ``python bench/deciding.py STUDENTS`` for another size than 50,000.
"""

import asyncio
import copy
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from bench.parts.machine import Machine, machine
from bench.parts.recorded import FIRST_ON, fill
from bench.parts.report import note, report
from common.events import SchoolDayClosed
from mtss.deciding import AT_ONCE, Touched, reassess
from mtss.handlers.adoptions import work_off_adoptions
from mtss.models import DEFAULT_POLICY, facts_of
from tests.harness import Running, run_service

STUDENTS, STUDENTS_OF_EACH = 50_000, 2_000
SCHOOL = "100"
FIRST_KNOWN = 20
"""The day on which the default policy knows anything of attendance, so that more decisions are made than on any other."""
_DAY = sa.text("SELECT days[CAST(:number AS int)] FROM mtss_calendar WHERE school_id = :school")


@dataclass(slots=True)
class Taken:
    """What a piece of work took."""

    seconds: float = 0
    python: float = 0
    postgresql: float = 0
    statements: int = 0
    transactions: int = 0
    _listening: list[Any] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """For the report."""
        return {
            "cpu_seconds": {"mtss": self.python, "postgresql": self.postgresql},
            "statements": self.statements,
            "transactions": self.transactions,
        }


async def main(students: int) -> None:
    """Measure and print."""
    with machine("mtss") as here:
        async with run_service("mtss", here.cluster) as mtss:
            server = await here.connect("mtss")
            note(f"deciding: filling in {students} students")
            await fill(server, students, STUDENTS_OF_EACH, behind=SCHOOL, closes=FIRST_KNOWN)
            await server.close()
            ids = await _students(mtss)
            reading = await taken(here, mtss, lambda: read(mtss, ids))
            first = await taken(here, mtss, lambda: decide(mtss, ids))
            report(
                name="decide-first",
                seconds=first.seconds,
                ratio=first.seconds / reading.seconds,
                students=students,
                **first.figures(),
            )
            await close(here, mtss, reading.seconds * STUDENTS_OF_EACH / students)
            await adopt(here, mtss, students, reading.seconds)


async def taken(here: Machine, mtss: Running, work: Callable[[], Awaitable[None]]) -> Taken:
    """What ``work`` takes of the clock, of processors and of the database."""
    found = Taken()
    before, busy, clock = here.cpu_seconds()["postgresql"], time.process_time(), time.perf_counter()
    with counted(mtss, found):
        await work()
    found.seconds, found.python = time.perf_counter() - clock, time.process_time() - busy
    found.postgresql = here.cpu_seconds()["postgresql"] - before
    return found


@contextmanager
def counted(mtss: Running, found: Taken) -> Iterator[None]:
    """Count statements and transactions."""
    engine = mtss.runtime.engine.sync_engine

    def statement(*_: Any) -> None:
        found.statements += 1

    def begun(_: Any) -> None:
        found.transactions += 1

    listening = (("before_cursor_execute", statement), ("begin", begun))
    for name, hear in listening:
        sa.event.listen(engine, name, hear)
    yield
    for name, hear in listening:
        sa.event.remove(engine, name, hear)


async def _students(mtss: Running) -> list[UUID]:
    async with mtss.session() as session:
        return list(await session.scalars(sa.text("SELECT student_id FROM mtss_student ORDER BY student_id")))


async def read(mtss: Running, students: list[UUID]) -> None:
    """Read all facts, and nothing else."""
    for first in range(0, len(students), AT_ONCE):
        async with mtss.session() as session:
            await facts_of(session, students[first : first + AT_ONCE], [(0, DEFAULT_POLICY)])


async def decide(mtss: Running, students: list[UUID]) -> None:
    """Decide about everybody for the first time."""
    for first in range(0, len(students), AT_ONCE):
        async with mtss.session() as session:
            await reassess(session, Touched(school=set(students[first : first + AT_ONCE])))


async def close(here: Machine, mtss: Running, reading: float) -> None:
    """Close the next day of one school."""
    async with mtss.session() as session:
        day = await session.scalar(_DAY, {"number": FIRST_KNOWN, "school": SCHOOL})
    before = await _decisions(mtss)
    closed = SchoolDayClosed(school_id=SCHOOL, on=day, implied=False, revision=2)
    found = await taken(here, mtss, lambda: mtss.deliver(closed))
    decided = await _decisions(mtss) - before
    report(
        name="close-day",
        seconds=found.seconds,
        ratio=found.seconds / reading,
        students=STUDENTS_OF_EACH,
        decided=decided,
        **found.figures(),
    )


async def _decisions(mtss: Running) -> int:
    async with mtss.session() as session:
        return int(await session.scalar(sa.text("SELECT count(*) FROM mtss_decision")) or 0)


async def adopt(here: Machine, mtss: Running, students: int, reading: float) -> None:
    """Adopt a policy that considers students from 5 percent on: so many change that somebody else confirms it, at every size."""
    adoption, drafter = await approved(mtss)
    await work_off_adoptions(mtss.runtime)
    confirmed = await mtss.http.post(f"/mtss/v1/adoptions/{adoption}/confirm", headers=drafter)
    confirmed.raise_for_status()
    found = await taken(here, mtss, lambda: work_off_adoptions(mtss.runtime))
    async with mtss.session() as session:
        state, changed = (
            await session.execute(sa.text("SELECT state, changed FROM mtss_adoption WHERE id = :id"), {"id": adoption})
        ).one()
    assert state == "done", state
    report(
        name="adopt",
        seconds=found.seconds,
        ratio=found.seconds / reading,
        students=students,
        decided=changed,
        **found.figures(),
    )


async def approved(mtss: Running) -> tuple[str, dict[str, str]]:
    """The adoption that waits for our loop, and who drafted the policy. It is the day on which it shall begin."""
    first_on = FIRST_ON + timedelta(days=1)
    mtss.clock.set(datetime(first_on.year, first_on.month, first_on.day, 18, tzinfo=UTC))
    document = copy.deepcopy(dict(DEFAULT_POLICY.document)) | {"version": "from-5-percent"}
    document["clauses"]["attendance"]["entry"]["at_least"]["value"] = 5
    document["clauses"]["attendance"]["exit"]["below"]["value"] = 4
    one, other = (mtss.headers("district", staff=uuid4()) for _ in range(2))
    (await mtss.http.post("/mtss/v1/policies", json=document, headers=one)).raise_for_status()
    found = (await mtss.http.post("/mtss/v1/policies/from-5-percent/check", headers=one)).raise_for_status().json()
    body = {
        "digest": found["digest"],
        "in_force_from": first_on.isoformat(),
        "without_rehearsal": "Only its time is measured.",
    }
    answer = await mtss.http.post("/mtss/v1/policies/from-5-percent/approve", json=body, headers=other)
    return str(answer.raise_for_status().json()["id"]), one


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else STUDENTS))
