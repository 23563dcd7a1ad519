"""From a push that is accepted to the evaluation that is committed: corrections on closed days, one request each.

``sis`` and ``mtss`` are processes of their own with Kafka between them. In turn the consumer written by hand takes the place of
``mtss``: the rest of the way stays the same.
"""

import asyncio
import json
import os
import time
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import Any

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.parts.by_hand import PARTITIONS
from bench.parts.district import CLOSED_DAYS, District
from bench.parts.door import ATTENDANCE, BULK_ROWS, Connection, attendance, connections, push_roster
from bench.parts.machine import Machine, Program, machine, until
from bench.parts.report import note, report
from common.events import AttendanceRecorded
from common.migrations import migrate_within
from tests.kafka.broker import fresh_topics

RATES, SECONDS, ROUNDS = (100, 500), 30, 2
CONNECTIONS = 64
_LOOK_EVERY_SECONDS = 0.003

Correction = tuple[int, date, int]
Place = tuple[int, int]


@dataclass
class Watch:
    """When each offset of each partition was seen committed in the database of ``mtss``."""

    offsets: dict[int, list[int]] = field(default_factory=lambda: {number: [] for number in range(PARTITIONS)})
    times: dict[int, list[float]] = field(default_factory=lambda: {number: [] for number in range(PARTITIONS)})

    async def look(self, database: Any) -> None:
        """Look again and again, for ever."""
        statement = await database.prepare("SELECT partition, next_offset FROM inbox_offset WHERE topic = 'sis'")
        while True:
            rows, now = await statement.fetch(), time.perf_counter()
            for partition, offset in rows:
                if not self.offsets[partition] or self.offsets[partition][-1] < offset:
                    self.offsets[partition].append(offset)
                    self.times[partition].append(now)
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    def seen(self, place: Place) -> float:
        """When the event at this place was first seen committed."""
        partition, offset = place
        return self.times[partition][bisect_right(self.offsets[partition], offset)]


@dataclass
class Round:
    """One stretch of corrections at a steady rate."""

    accepted_ms: list[float]
    committed_ms: list[float]
    shares: dict[str, float]


async def main() -> None:
    """Measure and print."""
    with machine("sis", "mtss") as here:
        for service in ("sis", "mtss"):
            await migrate_within(service, here.cluster.owner_url(service), f"{service}_app")
        await fresh_topics(here.kafka.bootstrap, ["sis", "surveys", "mtss"], partitions=PARTITIONS)
        with here.serve("sis") as sis:
            bench = Bench(here, sis, await here.connect("sis"), await here.connect("mtss"))
            await bench.prepare()
            for rate in RATES:
                await bench.compare(rate)


@dataclass
class Bench:
    """One district at one door."""

    here: Machine
    sis: Program
    said: Any
    heard: Any
    district: District = field(default_factory=lambda: District(schools=8, students_of_each=1000))
    ids: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.corrections = self.district.corrections()

    async def prepare(self) -> None:
        """Push the roster and half a year of absences, close its days, and let ``mtss`` hear it all."""
        note("latency: preparing")
        absences = iter([attendance(self.district, *each, 100) for each in sorted(self.district.absent)])
        with self.here.serve("mtss"):
            async with connections(self.sis.port, self.here.token(), 1) as (door,):
                self.ids = await push_roster(door, self.district)
                while some := list(islice(absences, BULK_ROWS)):
                    await door.push_lines(ATTENDANCE, some)
                for school in {self.district.school(student) for student in range(len(self.ids))}:
                    await door.post(f"/sis/v1/schools/{school}/days/{CLOSED_DAYS[-1]}/close", b"")
            await self.all_heard()
        for database in (self.said, self.heard):
            await database.execute("VACUUM ANALYZE")

    async def compare(self, rate: int) -> None:
        """Let ``mtss`` and the loop by hand hear in turn, and say what came of it."""
        real, by_hand = [], []
        for number in range(ROUNDS):
            note(f"latency: {rate} a second, round {number + 1} of {ROUNDS}")
            by_hand.append(await self.measure(rate, self.here.by_hand("mtss")))
            real.append(await self.measure(rate, self.here.serve("mtss")))
        say(rate, real, by_hand)

    async def measure(self, rate: int, consumer: AbstractContextManager[Program]) -> Round:
        """Push corrections at ``rate`` while ``consumer`` hears."""
        watch, looked_at = Watch(), await self.here.connect("mtss")
        with consumer as mtss:
            async with connections(self.sis.port, self.here.token(), CONNECTIONS) as doors:
                await self.push(doors, 20, list(islice(self.corrections, 20)))
                await self.all_heard()
                begun_at, looking = await self.ends(), asyncio.create_task(watch.look(looked_at))
                before, begun = self.used(mtss), time.perf_counter()
                pushed = await self.push(doors, rate, list(islice(self.corrections, rate * SECONDS)))
                assert len(pushed) == rate * SECONDS
                took, after = time.perf_counter() - begun, self.used(mtss)
                await self.all_heard()
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)
                await looked_at.close()
        places = await self.places(begun_at)
        return Round(
            accepted_ms=[(accepted - due) * 1000 for due, accepted in pushed.values()],
            committed_ms=[
                max(0.0, watch.seen(places[each]) - accepted) * 1000 for each, (_, accepted) in pushed.items()
            ],
            shares={name: (after[name] - before[name]) / took for name in after},
        )

    async def push(
        self, doors: Sequence[Connection], rate: int, corrections: Sequence[Correction]
    ) -> dict[Correction, tuple[float, float]]:
        """Push one after the other at a steady rate, whether the door keeps up or not; when each was due and accepted."""
        begun = time.perf_counter()
        pushed: dict[Correction, tuple[float, float]] = {}
        waiting = iter([(begun + place / rate, each) for place, each in enumerate(corrections)])

        async def work(door: Connection) -> None:
            for due, each in waiting:
                await asyncio.sleep(due - time.perf_counter())
                body = json.dumps(attendance(self.district, *each)).encode()
                await door.post(f"/sis/data/v3/ed-fi/{ATTENDANCE}", body)
                pushed[each] = due, time.perf_counter()

        await asyncio.gather(*map(work, doors))
        return pushed

    async def all_heard(self) -> None:
        """Wait until everything that was pushed is committed in ``mtss``."""

        async def sent() -> bool:
            return not await self.said.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL")

        async def heard() -> bool:
            found = await self.heard.fetch("SELECT partition, next_offset FROM inbox_offset WHERE topic = 'sis'")
            return dict(found) == ends

        await until("everything is sent", sent)
        ends = {partition: offset for partition, offset in (await self.ends()).items() if offset}
        await until("everything is heard", heard)

    async def ends(self) -> dict[int, int]:
        """The offset after the last event of each partition."""
        async with AIOKafkaConsumer(bootstrap_servers=self.here.kafka.bootstrap) as consumer:
            found = await consumer.end_offsets([TopicPartition("sis", number) for number in range(PARTITIONS)])
        return {partition.partition: offset for partition, offset in found.items()}

    async def places(self, begun_at: dict[int, int]) -> dict[Correction, Place]:
        """Where on the topic each correction stands that was said since."""
        numbers = {identity: number for number, identity in enumerate(self.ids)}
        left = sum((await self.ends()).values()) - sum(begun_at.values())
        places: dict[Correction, Place] = {}
        async with AIOKafkaConsumer(bootstrap_servers=self.here.kafka.bootstrap) as consumer:
            consumer.assign([TopicPartition("sis", number) for number in begun_at])
            for partition, offset in begun_at.items():
                consumer.seek(TopicPartition("sis", partition), offset)
            while left:
                message = await consumer.getone()
                left -= 1
                event = AttendanceRecorded.model_validate_json(message.value)
                correction = numbers[str(event.student_id)], event.on, event.hundredths_absent
                places[correction] = message.partition, message.offset
        return places

    def used(self, mtss: Program) -> dict[str, float]:
        """Processor time so far of every process that has a part in it."""
        times = os.times()
        return self.here.cpu_seconds(sis=self.sis, mtss=mtss) | {"bench": times.user + times.system}


def say(rate: int, real: Sequence[Round], by_hand: Sequence[Round]) -> None:
    committed, committed_by_hand = (
        np.concatenate([each.committed_ms for each in rounds]) for rounds in (real, by_hand)
    )
    accepted = np.concatenate([each.accepted_ms for each in real])
    p50, p99 = np.percentile(committed, (50, 99)).tolist()
    by_hand_p50, by_hand_p99 = np.percentile(committed_by_hand, (50, 99)).tolist()
    report(
        name=f"latency-{rate}",
        seconds=p99 / 1000,
        ratio=by_hand_p99 / p99,
        p50_ms=p50,
        p99_ms=p99,
        by_hand_p50_ms=by_hand_p50,
        by_hand_p99_ms=by_hand_p99,
        accepted_p50_ms=float(np.percentile(accepted, 50)),
        accepted_p99_ms=float(np.percentile(accepted, 99)),
        cpu_shares=_mean(real),
        by_hand_cpu_shares=_mean(by_hand),
        rounds=[
            [float(np.percentile(each.committed_ms, 99)) for each in pair] for pair in zip(by_hand, real, strict=True)
        ],
    )


def _mean(rounds: Sequence[Round]) -> dict[str, float]:
    return {name: float(np.mean([each.shares[name] for each in rounds])) for name in rounds[0].shares}


if __name__ == "__main__":
    asyncio.run(main())
