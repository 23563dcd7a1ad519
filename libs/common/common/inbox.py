"""Events come in: one transaction for a batch, each event once, and what cannot be handled is parked."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from uuid import UUID

import sqlalchemy as sa
import structlog
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from common.db import is_transient
from common.errors import DomainError
from common.events import Event
from common.failpoints import failpoint
from common.outbox import LARGEST_EVENT_BYTES, Record
from common.parking import Refused, describe, park, split_blocked, subject_of, take_next
from common.routing import EventRouter
from common.runtime import Runtime
from common.telemetry import Telemetry, record_batch, record_followed

_STREAK = 20
"""So many records in a row that cannot be handled mean that something else is wrong: stop instead of parking them all."""

log = structlog.get_logger(__name__)

_REMEMBER = sa.text("INSERT INTO inbox (id) SELECT unnest(CAST(:ids AS uuid[])) ON CONFLICT DO NOTHING RETURNING id")
_OFFSETS = sa.text(
    """
    INSERT INTO inbox_offset (topic, partition, next_offset, last_event_id)
    SELECT * FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:offsets AS bigint[]), CAST(:ids AS uuid[]))
    ON CONFLICT (topic, partition) DO UPDATE
    SET next_offset = excluded.next_offset, last_event_id = excluded.last_event_id
    RETURNING topic, partition, old.next_offset
    """
)


class EverythingFails(Exception):
    """Record after record cannot be handled: the consumer stops and parks no more."""


class PlaceLost(ConnectionError):
    """The database does not hold the offset this process stored last: it was set back, or another process hears now."""


@dataclass
class Inbox:
    """What one service hears. ``process`` is all that a transport needs."""

    runtime: Runtime
    router: EventRouter
    telemetry: Telemetry
    places: dict[tuple[str, int], int] = field(default_factory=dict, init=False)
    """The offset this process last stored for each topic and partition."""
    in_hand: list[Sequence[Record]] = field(default_factory=list, init=False)
    """The batches that are being handled now."""
    _streak: int = field(default=0, init=False)

    async def process(self, records: Sequence[Record]) -> None:
        """Handle each record once: effects, inbox ids, outbox rows and offsets in one transaction.

        A batch that fails is rolled back and taken one by one; a record that still fails is parked, and later records of
        its subject park behind it.

        Raises:
            EverythingFails: nothing can be handled any more.
            PlaceLost: these records do not follow what the database has heard; begin at the offset it holds.
            Exception: a transient error of the database; try the same records again.
        """
        began = time.perf_counter()
        self.in_hand.append(records)
        try:
            await self._handle(records)
        finally:
            self.in_hand.remove(records)
        record_batch(self.runtime.name, events=len(records), seconds=time.perf_counter() - began)

    async def _handle(self, records: Sequence[Record]) -> None:
        with self.telemetry.batch((record.traceparent for record in records), events=len(records)):
            try:
                await self._transact(records)
                self._streak = 0
            except Exception as error:
                if is_transient(error):
                    raise
                await self._one_by_one(records)

    def oldest_in_hand(self) -> dict[str, datetime]:
        """For each key of what is being handled now, such as a school, when the oldest of it was accepted."""
        oldest: dict[str, datetime] = {}
        for record in (each for records in self.in_hand for each in records):
            if record.created_at is not None:
                oldest[record.key] = min(record.created_at, oldest.get(record.key, record.created_at))
        return oldest

    async def replay(self, identity: UUID) -> int:
        """Handle a parked event and those parked behind it, in order, and return how many were handled.

        Raises:
            NotFound: no such event is parked.
            Exception: what the handler raised; this event and those behind it stay parked.
        """
        async with self.runtime.transaction() as session:
            subject = await subject_of(session, identity)
        handled = 0
        while await self._replay_next(subject):
            handled += 1
        return handled

    async def _one_by_one(self, records: Sequence[Record]) -> None:
        for record in records:
            try:
                await self._transact([record])
                self._streak = 0
            except Exception as error:
                if is_transient(error):
                    raise
                self._streak += 1
                if self._streak >= _STREAK:
                    raise EverythingFails(f"{self._streak} records in a row") from None
                await self._park_failed(record, error)

    async def _park_failed(self, record: Record, error: Exception) -> None:
        log.error("event parked", service=self.runtime.name, event_type=record.type, error=type(error).__name__)
        async with self.runtime.transaction() as session:
            await park(session, [Refused(record, describe(error))])
            places = await self._store_offsets(session, [record])
        self.places |= places

    async def _transact(self, records: Sequence[Record]) -> None:
        events, refused = self._read(records)
        async with self.runtime.transaction() as session:
            events, behind = await split_blocked(session, records, events, refused)
            fresh = await _remember(session, [record for record, _ in events])
            await park(session, behind)
            await self.router.dispatch(_once(events, fresh), session)
            places = await self._store_offsets(session, records)
            failpoint("inbox-before-commit")
        failpoint("inbox-after-commit")
        self.places |= places
        self._note_followed(record for record, _ in events if record.id in fresh)

    def _note_followed(self, records: Iterable[Record]) -> None:
        """What was accepted together, such as the rows of one push, is one moment."""
        now = self.runtime.now()
        accepted = {record.created_at for record in records if record.created_at is not None}
        record_followed(self.runtime.name, seconds=[(now - at).total_seconds() for at in accepted])

    async def _store_offsets(self, session: AsyncSession, records: Sequence[Record]) -> dict[tuple[str, int], int]:
        last = {(record.topic, record.partition): record for record in records if record.topic is not None}
        if not last:
            return {}
        places = {place: record.offset + 1 for place, record in last.items()}
        before = await session.execute(
            _OFFSETS,
            {
                "topics": [topic for topic, _ in last],
                "partitions": [partition for _, partition in last],
                "offsets": list(places.values()),
                "ids": [record.id for record in last.values()],
            },
        )
        if any(self.places.get((topic, partition), offset) != offset for topic, partition, offset in before):
            raise PlaceLost
        return places

    def _read(self, records: Sequence[Record]) -> tuple[list[tuple[Record, Event]], list[Refused]]:
        hears, events, refused = self.router.hears(), [], []
        for record in records:
            kind = hears.get(record.type)
            if kind is None and record.type:
                continue  # somebody else's event
            try:
                events.append((record, _parse(kind, record)))
            except (ValidationError, DomainError) as error:
                refused.append(Refused(record, describe(error)))
        return events, refused

    async def _replay_next(self, subject: str) -> bool:
        async with self.runtime.transaction() as session:
            record = await take_next(session, subject)
            if record is None:
                return False
            if await _remember(session, [record]):
                await self.router.dispatch([_parse(self.router.hears().get(record.type), record)], session)
        return True


async def database_was_set_back(session: AsyncSession) -> bool:
    """Whether a backup was restored and nobody has said since that sending may go on.

    Noticed when Kafka has seen this service further than its database knows.
    """
    found = await session.execute(sa.text("SELECT EXISTS (SELECT FROM inbox_set_back WHERE acknowledged_at IS NULL)"))
    return bool(found.scalar())


async def acknowledge_set_back(session: AsyncSession, by: str) -> None:
    """Record that a person has reconciled after a restore: sending may go on."""
    await session.execute(
        sa.text(
            "UPDATE inbox_set_back SET acknowledged_at = now(), acknowledged_by = :by WHERE acknowledged_at IS NULL"
        ),
        {"by": by},
    )


class Unreadable(DomainError):
    """The event is not one this service can read: {rule}."""


def _parse(kind: type[Event] | None, record: Record) -> Event:
    if kind is None:
        raise Unreadable(rule="its headers are missing")
    if len(record.body) > LARGEST_EVENT_BYTES:
        raise Unreadable(rule="it is larger than 1 MiB")
    event = kind.model_validate_json(record.body)
    if record.subject != event.subject:
        raise Unreadable(rule="its subject is not the one its body names")
    return event


def _once(events: Sequence[tuple[Record, Event]], fresh: set[UUID]) -> list[Event]:
    """The events that are new, each one time even if the batch holds it twice."""
    waiting = set(fresh)
    once = []
    for record, event in events:
        if record.id in waiting:
            waiting.remove(record.id)
            once.append(event)
    return once


async def _remember(session: AsyncSession, records: Iterable[Record]) -> set[UUID]:
    """Those ids that were not known before. Sorted, so that two transactions never wait for each other in a ring."""
    ids = sorted({record.id for record in records}, key=attrgetter("int"))
    if not ids:
        return set()
    return set((await session.execute(_REMEMBER, {"ids": ids})).scalars())
