"""Attendance through the Ed-Fi door: row by row beside a bare route with one insert, and in bulk beside COPY.

In bulk it is measured twice: beside COPY of five columns into a table with nothing but its key, and beside COPY of what the
door must store for these rows (documents, facts and events with all their indexes), which says how much of it is storage.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from statistics import median
from typing import Any

from bench.parts.district import District
from bench.parts.door import ATTENDANCE, BULK_ROWS, Connection, attendance, connections, push_roster
from bench.parts.machine import Machine, Program, machine, until
from bench.parts.report import note, report
from common.migrations import migrate_within
from tests.kafka.broker import fresh_topics

ROUNDS = 5
SINGLES, CONNECTIONS = 1500, 8
LINES, BULK_CONNECTIONS = 10_000, 4
"""As many connections as ``trellis load`` has."""

COPIES = """
    CREATE SCHEMA copies;
    CREATE TABLE copies.sis_document (LIKE sis_document INCLUDING ALL);
    CREATE TABLE copies.sis_fact (LIKE sis_fact INCLUDING ALL);
    CREATE TABLE copies.outbox (LIKE outbox INCLUDING ALL);
"""
STORED = {
    "sis_document": "SELECT * FROM sis_document WHERE known_at > $1 ORDER BY id",
    "sis_fact": "SELECT * FROM sis_fact WHERE known_at > $1 ORDER BY known_at",
    "outbox": "SELECT id, type, subject, key, body, traceparent FROM outbox WHERE created_at > $1 ORDER BY position",
}

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Push:
    """How long one push took, and what processor time it cost whom."""

    seconds: float
    cpu_seconds: dict[str, float]


async def main() -> None:
    """Measure and print."""
    with machine("sis") as here:
        await migrate_within("sis", here.cluster.owner_url("sis"), "sis_app")
        await fresh_topics(here.kafka.bootstrap, ["sis"], partitions=6)
        server = await here.connect("sis")
        await server.execute("CREATE DATABASE bare OWNER sis_app")
        with here.serve("sis") as sis, here.bare("bare") as bare:
            await measure(here, sis, bare, server)
        await server.close()


async def measure(here: Machine, sis: Program, bare: Program, server: Any) -> None:
    """Push to both in turn, at rest in between."""
    district = District(schools=8, students_of_each=1000)
    rows = (attendance(district, *each) for each in district.later())
    note("push: preparing")
    async with connections(sis.port, here.token(), 1) as (door,):
        await push_roster(door, district)
    singles = list[tuple[Push, Push]]()
    note(f"push: {ROUNDS} rounds row by row, {ROUNDS} in bulk")
    for _ in range(ROUNDS):
        await at_rest(server)
        some = list(islice(rows, SINGLES))
        async with connections(bare.port, "", CONNECTIONS) as doors:
            bare_route = await costing(here, bare, one_by_one(doors, "/rows", some))
        async with connections(sis.port, here.token(), CONNECTIONS) as doors:
            ours = await costing(here, sis, one_by_one(doors, f"/sis/data/v3/ed-fi/{ATTENDANCE}", some))
        singles.append((bare_route, ours))
    say(
        "push-single",
        [(bare_route.seconds, ours.seconds) for bare_route, ours in singles],
        SINGLES,
        cpu_us_per_row=per_row([ours for _, ours in singles], SINGLES),
        by_hand_cpu_us_per_row=per_row([bare_route for bare_route, _ in singles], SINGLES),
    )
    copied = await here.connect("sis", "bare")
    bulks, as_stored, pushes = list[tuple[float, float]](), list[tuple[float, float]](), list[Push]()
    await server.execute(COPIES)
    for _ in range(ROUNDS):
        await at_rest(server)
        some, before = list(islice(rows, LINES)), await server.fetchval("SELECT clock_timestamp()")
        by_hand = await copy(copied, some)
        async with connections(sis.port, here.token(), BULK_CONNECTIONS) as doors:
            pushes.append(await costing(here, sis, in_bulk(doors, some)))
        seconds = pushes[-1].seconds
        await at_rest(server)
        bulks.append((by_hand, seconds))
        as_stored.append((await copy_as_stored(server, before), seconds))
    await copied.close()
    say("push-bulk", bulks, LINES, cpu_us_per_row=per_row(pushes, LINES))
    say("push-bulk-as-stored", as_stored, LINES)


async def costing(here: Machine, server: Program, work: Awaitable[float]) -> Push:
    """How long ``work`` took, and what it cost ``server``, PostgreSQL, Kafka and the client."""
    before, began = here.cpu_seconds(server=server), time.process_time()
    seconds = await work
    used = {name: until - before[name] for name, until in here.cpu_seconds(server=server).items()}
    return Push(seconds, used | {"client": time.process_time() - began})


def per_row(pushes: Sequence[Push], rows: int) -> dict[str, int]:
    """Microseconds of processor time for each row: that of all pushes, for the clock of processes is a coarse one."""
    return {
        name: round(1e6 * sum(push.cpu_seconds[name] for push in pushes) / (rows * len(pushes)))
        for name in pushes[0].cpu_seconds
    }


def say(name: str, rounds: Sequence[tuple[float, float]], rows: int, **costs: dict[str, int]) -> None:
    by_hand, seconds = (median(each) for each in zip(*rounds, strict=True))
    report(
        name=name,
        seconds=seconds,
        ratio=by_hand / seconds,
        rows=rows,
        rows_per_second=rows / seconds,
        by_hand_rows_per_second=rows / by_hand,
        rounds=rounds,
        **costs,
    )


async def one_by_one(doors: Sequence[Connection], path: str, rows: Sequence[Row]) -> float:
    """Seconds until every row is answered, one request each."""
    bodies = iter([json.dumps(row).encode() for row in rows])

    async def push(door: Connection) -> None:
        for body in bodies:
            await door.post(path, body)

    return await timed(*map(push, doors))


async def in_bulk(doors: Sequence[Connection], rows: Sequence[Row]) -> float:
    """Seconds until every row is answered, many a request."""
    batches: Iterator[Sequence[Row]] = iter([rows[at : at + BULK_ROWS] for at in range(0, len(rows), BULK_ROWS)])

    async def push(door: Connection) -> None:
        for batch in batches:
            await door.push_lines(ATTENDANCE, batch)

    return await timed(*map(push, doors))


async def copy(connection: Any, rows: Sequence[Row]) -> float:
    """Seconds that COPY takes for the same rows, as many a transaction."""
    records = [
        (
            row["studentReference"]["studentUniqueId"],
            row["schoolReference"]["schoolId"],
            date.fromisoformat(row["eventDate"]),
            row["attendanceEventCategoryDescriptor"],
            row["eventDuration"],
        )
        for row in rows
    ]

    async def load() -> None:
        columns = ["student", "school", "on_date", "category", "missed"]
        for at in range(0, len(records), BULK_ROWS):
            await connection.copy_records_to_table("bare", records=records[at : at + BULK_ROWS], columns=columns)

    return await timed(load())


async def copy_as_stored(server: Any, since: datetime) -> float:
    """Seconds that COPY takes for all that was stored ``since`` then, as many rows a transaction, into copies of the tables."""
    tables = {name: await server.fetch(stored, since) for name, stored in STORED.items()}

    async def load() -> None:
        for at in range(0, max(map(len, tables.values())), BULK_ROWS):
            async with server.transaction():
                for name, records in tables.items():
                    some = records[at : at + BULK_ROWS]
                    if some:
                        columns = list(some[0].keys())
                        await server.copy_records_to_table(name, schema_name="copies", records=some, columns=columns)

    return await timed(load())


async def timed(*work: Any) -> float:
    begun = time.perf_counter()
    await asyncio.gather(*work)
    return time.perf_counter() - begun


async def at_rest(server: Any) -> None:
    """Wait until everything said is sent, and the server has nothing left to write."""

    async def all_sent() -> bool:
        return not await server.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL")

    await until("everything is sent", all_sent)
    await server.execute("CHECKPOINT")


if __name__ == "__main__":
    asyncio.run(main())
