"""Attendance over Kafka through the consumer of ``mtss``, beside a plain loop that runs the same statements by hand."""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import Any

import uuid_utils.compat as uuid_utils
from aiokafka import AIOKafkaProducer

from bench.parts.by_hand import PARTITIONS
from bench.parts.district import District
from bench.parts.machine import Machine, Program, machine, until
from bench.parts.report import note, report
from common.events import Event
from common.kafka import record_headers
from common.outbox import Record
from tests.harness import record, run_service
from tests.kafka.broker import fresh_topics

EVENTS = 200_000
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Round:
    """What one pass over all events took, and what it came to."""

    seconds: float
    cpu: dict[str, float]
    answers: dict[str, Any]


async def main() -> None:
    """Measure and print."""
    with machine("sis", "mtss") as here:
        district = District(schools=20, students_of_each=1000)
        note("consume: preparing")
        await prepare(here, district)
        await fill_topic(here, district)
        by_hand, real = [], []
        for number in range(ROUNDS):
            note(f"consume: round {number + 1} of {ROUNDS}")
            by_hand.append(await measure(here, here.by_hand("round")))
            real.append(await measure(here, here.serve("mtss", "round")))
            assert by_hand[-1].answers == real[-1].answers, (by_hand[-1].answers, real[-1].answers)
    say(by_hand, real)


def say(by_hand: list[Round], real: list[Round]) -> None:
    seconds, seconds_by_hand = (median(each.seconds for each in rounds) for rounds in (real, by_hand))
    report(
        name="consume",
        seconds=seconds,
        ratio=seconds_by_hand / seconds,
        events=EVENTS,
        events_per_second=EVENTS / seconds,
        by_hand_events_per_second=EVENTS / seconds_by_hand,
        cpu_seconds=_typical(real),
        by_hand_cpu_seconds=_typical(by_hand),
        rounds=[[each.seconds, other.seconds] for each, other in zip(by_hand, real, strict=True)],
    )


def _typical(rounds: list[Round]) -> dict[str, float]:
    return {name: median(each.cpu[name] for each in rounds) for name in rounds[0].cpu}


async def prepare(here: Machine, district: District) -> None:
    """Let ``mtss`` hear half a year, and make its database one to copy."""
    async with run_service("mtss", here.cluster) as mtss:
        events: Iterator[Event] = iter((*district.roster(), *district.absences()))
        while batch := list(islice(events, 500)):
            await mtss.deliver(*batch)
        for school in range(district.schools):
            await mtss.deliver(*district.closings(school))
    database = await here.connect("mtss")
    await database.execute("TRUNCATE inbox, outbox")
    await database.execute("VACUUM ANALYZE")
    await database.close()


async def fill_topic(here: Machine, district: District) -> None:
    """Send all events, in order."""
    await fresh_topics(here.kafka.bootstrap, ["sis", "surveys", "mtss"], partitions=PARTITIONS)
    producer = AIOKafkaProducer(bootstrap_servers=here.kafka.bootstrap, enable_idempotence=True, linger_ms=5)
    async with producer:
        for event in district.stream(EVENTS):
            said: Record = record(event, identity=uuid_utils.uuid7())
            await producer.send("sis", said.body, key=said.key.encode(), headers=record_headers("sis", said))


async def measure(here: Machine, consumer: AbstractContextManager[Program]) -> Round:
    """Let ``consumer`` hear everything, on a fresh copy of the database."""
    server = await here.connect("postgres")
    await server.execute("CREATE DATABASE round TEMPLATE mtss OWNER mtss_owner")
    await server.execute("CHECKPOINT")
    database = await here.connect("postgres", "round")
    try:
        with consumer as program:
            await _heard(database, 1)
            before = here.cpu_seconds(consumer=program)
            await _heard(database, EVENTS)
            after = here.cpu_seconds(consumer=program)
        cpu = {name: after[name] - before[name] for name in after}
        return Round(await _seconds(database), cpu, await _answers(database))
    finally:
        await database.close()
        await server.execute("DROP DATABASE round WITH (FORCE)")
        await server.close()


async def _heard(database: Any, events: int) -> None:
    async def heard() -> bool:
        return bool(await database.fetchval("SELECT sum(next_offset) >= $1 FROM inbox_offset", events))

    await until(f"{events} events are heard", heard)


async def _seconds(database: Any) -> float:
    """From the beginning of the first transaction to that of the last, by the database's clock."""
    took = await database.fetchval("SELECT extract(epoch FROM max(received_at) - min(received_at)) FROM inbox")
    return float(took)


async def _answers(database: Any) -> dict[str, Any]:
    """What is known in the end, which no split into batches may change: how many rows, and their digest."""
    known = {
        "attendance": "SELECT * FROM mtss_attendance ORDER BY student_id, school_id, day",
        "changes": "SELECT student_id, day, revision, before, after FROM mtss_attendance_change ORDER BY student_id, day",
        "tiers": "SELECT student_id, school_id, tier, since, proposal_since FROM mtss_student ORDER BY student_id",
    }
    return {
        name: await database.fetchrow(f"SELECT count(*), md5(string_agg(row::text, '')) FROM ({rows}) AS row")
        for name, rows in known.items()
    }


if __name__ == "__main__":
    asyncio.run(main())
