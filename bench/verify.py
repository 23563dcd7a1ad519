"""Proofs: decisions made again from the facts as they were known then, through the route that `trellis verify` asks.

Beside it in the same run the same decisions only read; and half of them, which shows how the time grows. Then once more with what
would have changed each. ``python
bench/verify.py STUDENTS`` for another size than the one that ``make bench`` takes: 85000 students make over 100,000 decisions.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import sqlalchemy as sa

from bench.parts.district import District
from bench.parts.machine import machine
from bench.parts.report import note, report
from common.events import Event
from mtss.models import Decision
from mtss.routes.verifying import MOST_AT_ONCE
from tests.harness import Running, run_service

STUDENTS = 5_000
STUDENTS_OF_EACH = 1_000


async def main(students: int) -> None:
    """Measure and print."""
    with machine("mtss") as here:
        async with run_service("mtss", here.cluster) as mtss:
            await fill(mtss, District(students // STUDENTS_OF_EACH, STUDENTS_OF_EACH))
            started = time.perf_counter()
            read = await read_all(mtss)
            reading = time.perf_counter() - started
            for name, changes in (("verify", False), ("verify-changes", True)):
                half = await verify(mtss, read // 2, changes=changes)
                before, busy = here.cpu_seconds()["postgresql"], time.process_time()
                whole = await verify(mtss, read, changes=changes)
                python, postgresql = time.process_time() - busy, here.cpu_seconds()["postgresql"] - before
                report(
                    name=name,
                    seconds=whole,
                    ratio=whole / reading,
                    decisions=read,
                    cpu_seconds={"mtss": python, "postgresql": postgresql},
                    seconds_of_100_000=whole / read * 100_000,
                    growth_of_twice_as_many=whole / half,
                )


async def fill(mtss: Running, district: District) -> None:
    """Let ``mtss`` hear half a year, a month at a time, so that decisions were made at many moments."""
    events: Iterator[Event] = iter((*district.roster(), *district.absences()))
    while batch := list(islice(events, 500)):
        await mtss.deliver(*batch)
    for school in range(district.schools):
        closings = iter(district.closings(school))
        while days := list(islice(closings, 5)):
            await mtss.deliver(*days)
    note(f"verify: {len(district.students)} students have their decisions")


async def read_all(mtss: Running) -> int:
    """Read every decision, as many at once as the route does; how many there are."""
    read, last = 0, None
    while True:
        async with mtss.session() as session:
            asked = sa.select(Decision).order_by(sa.text("id")).limit(MOST_AT_ONCE)
            found = (await session.scalars(asked if last is None else asked.where(sa.text(f"id > '{last}'")))).all()
        read += len(found)
        if len(found) < MOST_AT_ONCE:
            return read
        last = found[-1].id


async def verify(mtss: Running, most: int, *, changes: bool) -> float:
    """Seconds that it takes to verify ``most`` decisions, all of which must be the same."""
    started, verified, cursor = time.perf_counter(), 0, None
    while verified < most:
        asked: dict[str, Any] = {"limit": min(MOST_AT_ONCE, most - verified), "changes": changes}
        asked |= {"cursor": cursor} if cursor else {}
        answer = await mtss.http.post("/mtss/v1/decisions/verify", params=asked, headers=mtss.headers("district"))
        page = answer.raise_for_status().json()
        assert page["differing"] == []
        verified, cursor = verified + page["verified"], page["next"]
    return time.perf_counter() - started


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else STUDENTS))
