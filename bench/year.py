"""A whole year of a district through the bulk route: the roster and every absence, then all of it again.

``python bench/year.py STUDENTS`` for another size than the one that ``make bench`` takes: 50000 make 700,000 absences.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from bench.parts.district import DAYS, District
from bench.parts.door import ATTENDANCE, BULK_ROWS, Connection, attendance, connections, push_roster
from bench.parts.machine import Machine, Program, machine, until
from bench.parts.report import note, report
from common.migrations import migrate_within
from tests.kafka.broker import fresh_topics

STUDENTS = 2_000
STUDENTS_OF_EACH = 1_000
DAYS_MISSED_OF_EACH = 14
CONNECTIONS = 2
SAMPLE_SECONDS = 0.5

# Not the days that the clock closes meanwhile: those are said because of the time, not because of a push.
_COUNTS = """
    SELECT (SELECT count(*) FROM sis_document), (SELECT max(revision) FROM sis_document),
        (SELECT count(*) FROM sis_revision JOIN sis_document USING (id)),
        (SELECT count(*) FROM outbox WHERE type <> 'sis.school-day-closed.v1')
"""


async def main(students: int) -> None:
    """Measure and print."""
    with machine("sis") as here:
        await migrate_within("sis", here.cluster.owner_url("sis"), "sis_app")
        await fresh_topics(here.kafka.bootstrap, ["sis"], partitions=6)
        server = await here.connect("sis")
        with here.serve("sis") as sis:
            await measure(here, sis, server, District(students // STUDENTS_OF_EACH, STUDENTS_OF_EACH))
        await server.close()


async def measure(here: Machine, sis: Program, server: Any, district: District) -> None:
    """Push everything, let it come to rest, and push everything again."""
    note(f"year: {len(district.students)} students")
    async with sampled(sis) as memory:
        first = await whole_push(here, sis, district)
    note(f"year: everything is there after {sum(first.values()):.0f} seconds")
    await at_rest(server)
    before = await server.fetchrow(_COUNTS)
    second = await whole_push(here, sis, district)
    assert await server.fetchrow(_COUNTS) == before, "the same push again changed something"
    rows = sum(1 for _ in absences(district))
    report(
        name="push-year",
        seconds=first["absences"] + first["roster"],
        ratio=sum(first.values()) / sum(second.values()),
        rows=rows,
        rows_per_second=rows / first["absences"],
        first=first,
        again=second,
        again_rows_per_second=rows / second["absences"],
        megabytes=[memory[len(memory) * tenth // 10] for tenth in range(10)],
        most_megabytes=max(memory),
    )


async def whole_push(here: Machine, sis: Program, district: District) -> dict[str, float]:
    """Seconds that the roster took, and all absences of the year."""
    begun = time.perf_counter()
    async with connections(sis.port, here.token(), CONNECTIONS) as doors:
        await push_roster(doors[0], district)
        between, rows = time.perf_counter(), absences(district)
        await asyncio.gather(*(push(door, rows) for door in doors))
    return {"roster": between - begun, "absences": time.perf_counter() - between}


async def push(door: Connection, rows: Iterator[dict[str, Any]]) -> None:
    """Push rows until there are none, as the other connections do."""
    while some := list(islice(rows, BULK_ROWS)):
        await door.push_lines(ATTENDANCE, some)


def absences(district: District) -> Iterator[dict[str, Any]]:
    """Every absence of the year day by day, the same each time."""
    draw, everyone = Random(2), range(len(district.students))
    for day in DAYS:
        for student in draw.sample(everyone, len(everyone) * DAYS_MISSED_OF_EACH // len(DAYS)):
            yield attendance(district, student, day, 100)


@asynccontextmanager
async def sampled(program: Program) -> AsyncIterator[list[float]]:
    """The megabytes that the process holds, looked at again and again."""
    megabytes: list[float] = []

    async def look() -> None:
        while True:
            megabytes.append(held(program))
            await asyncio.sleep(SAMPLE_SECONDS)

    looking = asyncio.create_task(look())
    try:
        yield megabytes
    finally:
        looking.cancel()


def held(program: Program) -> float:
    """The megabytes that the process holds now."""
    status = Path(f"/proc/{program.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


async def at_rest(server: Any) -> None:
    """Wait until everything said is sent."""

    async def all_sent() -> bool:
        return not await server.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL")

    await until("everything is sent", all_sent)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else STUDENTS))
