"""What could not be handled: parked with its error, in order, and all later events of its subject behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from common.errors import DomainError, NotFound
from common.events import Event
from common.outbox import Record
from common.problems import field_errors

_BLOCKED = sa.text(
    "SELECT DISTINCT subject FROM inbox_parked WHERE discarded_at IS NULL AND subject = ANY(CAST(:subjects AS text[]))"
)
_PARK = sa.text(
    """
    INSERT INTO inbox_parked (id, type, subject, key, body, traceparent, error)
    SELECT p.id, p.type, p.subject, p.key, p.body, p.traceparent, p.error
    FROM unnest(CAST(:ids AS uuid[]), CAST(:types AS text[]), CAST(:subjects AS text[]), CAST(:keys AS text[]),
        CAST(:bodies AS bytea[]), CAST(:traceparents AS text[]), CAST(:errors AS text[]))
        WITH ORDINALITY AS p(id, type, subject, key, body, traceparent, error, place)
    WHERE NOT EXISTS (SELECT FROM inbox WHERE inbox.id = p.id)
    ORDER BY p.place
    ON CONFLICT (id) DO NOTHING
    """
)
_PARKED_OF = sa.text(
    """
    SELECT id, type, subject, key, body, traceparent FROM inbox_parked
    WHERE subject = :subject AND discarded_at IS NULL ORDER BY position LIMIT 1 FOR UPDATE
    """
)
_PARKED = sa.text(
    """
    SELECT id, type, error, parked_at, position FROM inbox_parked
    WHERE discarded_at IS NULL AND position > :after ORDER BY position LIMIT :limit
    """
)
_SUBJECT = sa.text("SELECT subject FROM inbox_parked WHERE id = :id AND discarded_at IS NULL")
_TAKE = sa.text("DELETE FROM inbox_parked WHERE id = :id")
_DISCARD = sa.text("UPDATE inbox_parked SET discarded_at = now() WHERE id = :id AND discarded_at IS NULL RETURNING id")


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that is not an event we can read, and why."""

    record: Record
    error: str


async def split_blocked(
    session: AsyncSession, records: Sequence[Record], events: list[tuple[Record, Event]], refused: list[Refused]
) -> tuple[list[tuple[Record, Event]], list[Refused]]:
    """Events whose way is free, and what must park: the refused and those behind an earlier one of their subject."""
    found = await session.execute(_BLOCKED, {"subjects": list({record.subject for record, _ in events})})
    blocked = set(found.scalars())
    if not blocked and not refused:
        return events, []
    order = {record.id: place for place, record in enumerate(records)}
    first_refused = {each.record.subject: order[each.record.id] for each in reversed(refused)}
    free: list[tuple[Record, Event]] = []
    behind = list(refused)
    for record, event in events:
        late = order[record.id] > first_refused.get(record.subject, len(records))
        if record.subject in blocked or late:
            behind.append(Refused(record, "behind: an earlier event of its subject is parked"))
        else:
            free.append((record, event))
    return free, sorted(behind, key=lambda each: order[each.record.id])


async def park(session: AsyncSession, refused: Sequence[Refused]) -> None:
    """Park these records; what is parked or was handled before stays as it is."""
    if not refused:
        return
    await session.execute(
        _PARK,
        {
            "ids": [each.record.id for each in refused],
            "types": [each.record.type for each in refused],
            "subjects": [each.record.subject for each in refused],
            "keys": [each.record.key for each in refused],
            "bodies": [each.record.body for each in refused],
            "traceparents": [each.record.traceparent for each in refused],
            "errors": [each.error for each in refused],
        },
    )


async def list_parked(session: AsyncSession, *, after: int, limit: int) -> Sequence[Any]:
    """Parked events after position ``after``: id, type, error, parked_at, position. Never their content."""
    return (await session.execute(_PARKED, {"after": after, "limit": limit})).all()


async def subject_of(session: AsyncSession, identity: UUID) -> str:
    """Whom a parked event concerns.

    Raises:
        NotFound: no such event is parked.
    """
    subject: str | None = (await session.execute(_SUBJECT, {"id": identity})).scalar()
    if subject is None:
        raise NotFound(what="parked event")
    return subject


async def take_next(session: AsyncSession, subject: str) -> Record | None:
    """The oldest event parked for ``subject``, parked no more once this transaction commits; ``None`` if none is."""
    row = (await session.execute(_PARKED_OF, {"subject": subject})).first()
    if row is None:
        return None
    await session.execute(_TAKE, {"id": row.id})
    return Record(*row)


async def discard(session: AsyncSession, identity: UUID) -> None:
    """Give up a parked event; it stays on record as discarded.

    Raises:
        NotFound: no such event is parked.
    """
    if (await session.execute(_DISCARD, {"id": identity})).first() is None:
        raise NotFound(what="parked event")


def describe(error: Exception) -> str:
    """An error in words that hold no value of the event."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{each.field}: {each.rule}" for each in field_errors(error.errors()))[:500]
    if isinstance(error, DomainError):
        return f"{error.kind()}: {error.detail}"[:500]
    return type(error).__name__
