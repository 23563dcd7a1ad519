"""What ``mtss`` does with attendance, by hand: aiokafka and asyncpg, and nothing between them and the statements.

The same events are validated, the same statements run in the same order, and the same rules decide; without SQLAlchemy, without
a router, and without a thought for what may go wrong. ``python -m bench.parts.by_hand DATABASE KAFKA``
"""

import asyncio
import gc
import sys
from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any
from uuid import UUID

import asyncpg
import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from common.events import AttendanceRecorded
from common.inbox import _OFFSETS, _REMEMBER
from common.kafka import record_headers
from common.outbox import _INSERT, _MARK, _UNPUBLISHED, Record
from common.parking import _BLOCKED
from mtss.deciding import _LOCK, _NEW, is_proposed, proposals_that_differ, tiers_that_differ
from mtss.handlers.facts import _PUSHED, _RECORDED
from mtss.ledger import (
    _CLOSE_PROPOSALS,
    _DECIDE,
    _PROPOSE,
    Line,
    Locked,
    Proposed,
    _event,
    line_of,
    proposal_of,
)
from mtss.models import DEFAULT_POLICY as POLICY
from mtss.models.reading import _FACTS, PLACES, facts_from
from mtss.rules import Grounds, always, course_of, follow, standing_of

BATCH, PARTITIONS = 500, 6
_SETTINGS = {"timezone": "UTC", "jit": "off", "trellis.sees": "all"}
"""What handles events sees every student, as in the service."""


_DIALECT = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy has no types for its dialects


def _as_asyncpg_takes_it(statement: sa.TextClause) -> str:
    return str(statement.compile(dialect=_DIALECT))


BLOCKED = _as_asyncpg_takes_it(_BLOCKED)
REMEMBER = _as_asyncpg_takes_it(_REMEMBER)
RECORDED = _as_asyncpg_takes_it(_RECORDED)
PUSHED = _as_asyncpg_takes_it(_PUSHED)
NEW = _as_asyncpg_takes_it(_NEW)
LOCK = _as_asyncpg_takes_it(_LOCK)
FACTS, FACTS_NAMES = _as_asyncpg_takes_it(_FACTS), _FACTS.compile(dialect=_DIALECT).positiontup or ()
DECIDE = _as_asyncpg_takes_it(_DECIDE)
SAY = _as_asyncpg_takes_it(_INSERT)
CLOSE_PROPOSALS = _as_asyncpg_takes_it(_CLOSE_PROPOSALS)
PROPOSE = _as_asyncpg_takes_it(_PROPOSE)
OFFSETS = _as_asyncpg_takes_it(_OFFSETS)
UNPUBLISHED = _as_asyncpg_takes_it(_UNPUBLISHED)
MARK = _as_asyncpg_takes_it(_MARK)
_FACTS_GIVEN: dict[str, Any] = {**PLACES, "subscales": list(POLICY.subscales)}


async def consume(url: str, bootstrap: str) -> None:
    """Hear the topic ``sis`` from where the database says, for ever."""
    database = await asyncpg.connect(url, server_settings=_SETTINGS)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id="by-hand", enable_auto_commit=False, fetch_max_wait_ms=100
    )
    await consumer.start()
    await begin(consumer, database)
    gc.freeze()
    gc.set_threshold(100_000)
    relaying = asyncio.create_task(relay(url, bootstrap))
    while not relaying.done():
        fetched = await consumer.getmany(timeout_ms=1000, max_records=BATCH)
        messages = [message for found in fetched.values() for message in found]
        if messages:
            async with database.transaction():
                await handle(database, messages)
            await consumer.commit({TopicPartition(m.topic, m.partition): m.offset + 1 for m in messages})


async def relay(url: str, bootstrap: str) -> None:
    """Send what was decided to the topic ``mtss``, for ever."""
    database = await asyncpg.connect(url, server_settings=_SETTINGS)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    await producer.start()
    said = asyncio.Event()
    await database.add_listener("outbox", lambda *_: said.set())
    while True:
        said.clear()
        while rows := await database.fetch(UNPUBLISHED, BATCH):
            records = [Record(*row) for row in rows]
            sent = [
                await producer.send("mtss", each.body, key=each.key.encode(), headers=record_headers("mtss", each))
                for each in records
            ]
            await asyncio.gather(*sent)
            await database.fetch(MARK, [each.id for each in records])
        await said.wait()


async def begin(consumer: AIOKafkaConsumer, database: Any) -> None:
    """Take every partition, each from its stored offset."""
    partitions = [TopicPartition("sis", number) for number in range(PARTITIONS)]
    consumer.assign(partitions)
    stored = {row[0]: row[1] for row in await database.fetch("SELECT partition, next_offset FROM inbox_offset")}
    for partition in partitions:
        consumer.seek(partition, stored.get(partition.partition, 0))


async def handle(database: Any, messages: Sequence["ConsumerRecord[bytes, bytes]"]) -> None:
    """Handle one batch, all of it ``AttendanceRecorded``."""
    ids = [UUID(dict(message.headers)["ce_id"].decode()) for message in messages]
    events = [AttendanceRecorded.model_validate_json(message.value) for message in messages]
    await database.fetch(BLOCKED, list({str(event.student_id) for event in events}))
    fresh = {row[0] for row in await database.fetch(REMEMBER, sorted(set(ids), key=attrgetter("int")))}
    latest: dict[Any, AttendanceRecorded] = {}
    for identity, event in zip(ids, events, strict=True):
        if identity in fresh:
            fact = event.student_id, event.school_id, event.on
            known = latest.get(fact)
            if known is None or known.revision < event.revision:
                latest[fact] = event
    if latest:
        rows = [
            (e.student_id, e.school_id, e.on, e.hundredths_absent, e.kind, e.revision, e.deleted)
            for e in latest.values()
        ]
        await database.execute(PUSHED, [e.school_id for e in latest.values()], [e.revision for e in latest.values()])
        touched = await database.fetchval(RECORDED, *map(list, zip(*rows, strict=True)))
        if touched:
            await reassess(database, sorted(touched, key=attrgetter("int")))
    last = {(message.topic, message.partition): (message.offset + 1, ids[n]) for n, message in enumerate(messages)}
    topics, partitions = zip(*last, strict=True)
    offsets, last_ids = zip(*last.values(), strict=True)
    await database.fetch(OFFSETS, topics, partitions, offsets, last_ids)


async def reassess(database: Any, students: Sequence[UUID]) -> None:
    """Follow the courses of ``students`` and write what differs from the last decisions."""
    await database.execute(NEW, students)
    locked = Locked(*await database.fetchrow(LOCK, students))
    found = await database.fetchrow(
        FACTS, *({"students": locked.students, **_FACTS_GIVEN}[name] for name in FACTS_NAMES)
    )
    known = facts_from(len(locked.students), found, POLICY.subscales)
    courses = follow(known, always(POLICY))
    standing, grounds = standing_of(courses), Grounds(known)
    lines = [
        line_of(locked, place, standing, course_of(known, courses, place), grounds)
        for place in tiers_that_differ(locked, standing)
    ]
    if lines:
        await database.execute(DECIDE, *columns(lines))
        await say(database, locked, lines)
    if ended := proposals_that_differ(locked, standing):
        await database.execute(CLOSE_PROPOSALS, [locked.students[place] for place in ended])
        proposals = [
            proposal_of(locked, place, standing, course_of(known, courses, place), grounds, 0)
            for place in ended
            if is_proposed(standing, place)
        ]
        if proposals:
            await database.execute(PROPOSE, *columns(proposals))


async def say(database: Any, locked: Locked, lines: Sequence[Line]) -> None:
    """Write the events of new decisions."""
    said = [_event(line, locked.known_at) for line in lines]
    rows = [
        (uuid_utils.uuid7(), event.type(), event.subject, event.key, event.model_dump_json().encode(), None)
        for event in said
    ]
    await database.execute(SAY, *map(list, zip(*rows, strict=True)))


def columns(rows: Sequence[Line] | Sequence[Proposed]) -> list[list[Any]]:
    """Rows as one list for each field."""
    return [[getattr(row, each.name) for row in rows] for each in fields(rows[0])]


if __name__ == "__main__":
    asyncio.run(consume(*sys.argv[1:]))
