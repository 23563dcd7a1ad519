"""What arrives is counted by source, resource and day, and what is refused is kept: in the transaction it came in."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from common.auth import Principal
from common.db import fetch
from common.errors import DomainError, NotFound
from common.json import parse
from common.runtime import Runtime
from sis.arrivals.rejected import Refusal, keep
from sis.clients.bounds import NoRelationship, Push, bound, note_made, others
from sis.documents import CalledIn, write
from sis.plan import Result, Written
from sis.resources import Resource
from sis.rows import Row
from sis.rules.documents import Outcome

_PARTS = 64
_COLUMN = {
    "created": "accepted",
    "updated": "accepted",
    "unchanged": "unchanged",
    "stale": "stale",
    "deleted": "deleted",
    "waiting": "waited",
}
# Counts stand in parts by connection, so that pushes at the same moment wait for each other's commit only by chance.
# A rejected row of a natural key that is now accepted is mended, whoever pushed it.
MENDING = """
    mended AS (
        SELECT r.id FROM unnest(CAST(:key_resources AS text[]), CAST(:accepted_keys AS text[])) AS given(resource, key)
        JOIN sis_rejected AS r ON r.resource = given.resource AND r.key = given.key AND r.closed_at IS NULL
        FOR UPDATE OF r SKIP LOCKED
    ), closed AS (
        UPDATE sis_rejected SET closed_at = clock_timestamp(), closed_as = 'accepted' WHERE id IN (SELECT id FROM mended)
    )
    """
COUNTING = """
    INSERT INTO sis_arrival AS a
        (source, resource, day, part, accepted, unchanged, stale, deleted, waited, rejected, last_at, newest_at)
    SELECT source, resource, :day, pg_backend_pid() % :parts, accepted, unchanged, stale, deleted, waited, rejected,
        coalesce(last_at, clock_timestamp()), CASE WHEN newest_at IS NOT NULL THEN least(newest_at, clock_timestamp()) END
    FROM unnest(
        CAST(:source AS text[]), CAST(:resource AS text[]), CAST(:accepted AS bigint[]), CAST(:unchanged AS bigint[]),
        CAST(:stale AS bigint[]), CAST(:deleted AS bigint[]), CAST(:waited AS bigint[]), CAST(:rejected AS bigint[]),
        CAST(:last_at AS timestamptz[]), CAST(:newest_at AS timestamptz[])
    ) AS given(source, resource, accepted, unchanged, stale, deleted, waited, rejected, last_at, newest_at)
    ON CONFLICT (source, resource, day, part) DO UPDATE SET
        accepted = a.accepted + excluded.accepted, unchanged = a.unchanged + excluded.unchanged,
        stale = a.stale + excluded.stale, deleted = a.deleted + excluded.deleted, waited = a.waited + excluded.waited,
        rejected = a.rejected + excluded.rejected, last_at = greatest(a.last_at, excluded.last_at),
        newest_at = greatest(a.newest_at, excluded.newest_at)
    """
_COUNT = sa.text(f"WITH {MENDING} {COUNTING}")


@dataclass(slots=True)  # not frozen: one is made for each row, and that would make it three times as dear
class Arrival:
    """One row as a source pushed it, and the row that was read, or why it could not be."""

    who: Principal
    raw: Any
    """The bytes that came, or the document where it came inside of something else."""
    row: Row | DomainError
    deletes: bool = False
    mends: UUID | None = None
    """The rejected row that this one stands for, where it says so."""

    @property
    def source(self) -> str:
        """Whom it is counted for."""
        return self.who.subject


@dataclass(slots=True)
class Tally:
    """What one source pushed of one resource."""

    accepted: int = 0
    unchanged: int = 0
    stale: int = 0
    deleted: int = 0
    waited: int = 0
    rejected: int = 0
    last_at: datetime | None = None
    """When the last of them was pushed, if not now: a row that waited counts once more when it is taken in."""
    newest_at: datetime | None = None

    def add(self, column: str, rows: int = 1, newest_at: datetime | None = None) -> None:
        """So many more rows of this outcome, and when the source last changed one of them."""
        setattr(self, column, getattr(self, column) + rows)
        if newest_at and (self.newest_at is None or newest_at > self.newest_at):
            self.newest_at = newest_at


Settled = tuple[str, Arrival, Result]
"""The resource, what arrived, and what came of it."""
Tallies = dict[tuple[str, str], Tally]
"""By source and resource."""


def arrive(
    who: Principal, resource: Resource, body: bytes, read: Callable[[Resource, Any], Row], *, deletes: bool = False
) -> Arrival:
    """What ``body`` says, or why it cannot be read."""
    try:
        return Arrival(who, body, read(resource, parse(body)), deletes)
    except DomainError as refused:
        return Arrival(who, body, refused, deletes)


async def take_in(
    session: AsyncSession, runtime: Runtime, resource: Resource, arrivals: Sequence[Arrival]
) -> list[Result]:
    """Write what could be read, in order, and record everything; one result for each. Last in its transaction."""
    results, called_in = await write_arrivals(session, runtime, resource, arrivals)
    settled = zip([resource.name] * len(arrivals), arrivals, results, strict=True)
    await record(session, runtime, list(settled), called_in)
    return results


async def write_arrivals(
    session: AsyncSession, runtime: Runtime, resource: Resource, arrivals: Sequence[Arrival]
) -> tuple[list[Result], list[CalledIn]]:
    """Write what could be read and may be pushed, in order: one result for each, and the rows that had waited for these."""
    bounded = [arrival for arrival in arrivals if bound(arrival.who)]
    if bounded:
        await _keep_out(session, resource, bounded)
    readable = [arrival.row for arrival in arrivals if isinstance(arrival.row, Row)]
    sources = [arrival.source for arrival in arrivals if isinstance(arrival.row, Row)]
    done, called_in = await write(session, runtime.vault, resource, readable, sources) if readable else ([], [])
    written = iter(done)
    results = [next(written) if isinstance(arrival.row, Row) else arrival.row for arrival in arrivals]
    if bounded:
        await note_made(session, resource, zip((arrival.who for arrival in arrivals), results, strict=True))
    return results, called_in


async def _keep_out(session: AsyncSession, resource: Resource, arrivals: Sequence[Arrival]) -> None:
    """Refuse what clients that are bound to schools may not push."""
    pushes = {place: Push(one.who, one.row) for place, one in enumerate(arrivals) if isinstance(one.row, Row)}
    for place in await others(session, resource, pushes):
        arrivals[place].row = NoRelationship()


async def record(
    session: AsyncSession, runtime: Runtime, settled: Sequence[Settled], called_in: Sequence[CalledIn] = ()
) -> None:
    """Count what came of rows, and of those that had waited for them, and keep those that were refused.

    Nothing that locks documents may follow in the transaction: counters are the last to be locked.
    """
    refused = [
        Refusal(name, one.source, one.raw, one.row, problem, one.deletes) for name, one, problem in _refused(settled)
    ]
    mended = [arrival.mends for _, arrival, _ in settled if arrival.mends]
    await keep(session, runtime.vault, refused, replaced=mended)
    accepted = [
        (name, one.row.key) for name, one, result in settled if isinstance(one.row, Row) and isinstance(result, Written)
    ]
    accepted += _applied(called_in)
    await count(session, runtime, _add_called(tallies_of(settled), called_in), accepted)


async def count_called(session: AsyncSession, runtime: Runtime, called_in: Sequence[CalledIn]) -> None:
    """Count what came of rows that had waited, for who pushed them; last in its transaction."""
    await count(session, runtime, _add_called({}, called_in), _applied(called_in))


async def count(
    session: AsyncSession, runtime: Runtime, tallies: Tallies, accepted: Iterable[tuple[str, str]] = ()
) -> None:
    """Add to today's counts; ``accepted`` are resources and natural keys of which rejected rows are mended by that."""
    if tallies:
        await fetch(session, _COUNT, counted(runtime, tallies, accepted))


def counted(runtime: Runtime, tallies: Tallies, accepted: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The values of :data:`COUNTING` and :data:`MENDING`."""
    ordered = sorted(tallies)
    counts = {name: [getattr(tallies[key], name) for key in ordered] for name in Tally.__slots__}
    mended = list(dict.fromkeys(accepted))
    columns = {
        "source": [source for source, _ in ordered],
        "resource": [resource for _, resource in ordered],
        "day": runtime.today(),
        "parts": _PARTS,
        "key_resources": [resource for resource, _ in mended],
        "accepted_keys": [key for _, key in mended],
    }
    return columns | counts


def _gone_already(arrival: Arrival, result: Result) -> bool:
    return arrival.deletes and isinstance(result, NotFound)


def _refused(settled: Sequence[Settled]) -> Iterable[tuple[str, Arrival, DomainError]]:
    for name, arrival, result in settled:
        if isinstance(result, DomainError) and not _gone_already(arrival, result):
            yield name, arrival, result


def tallies_of(settled: Iterable[Settled]) -> Tallies:
    """What each source pushed, by what came of it."""
    tallies: Tallies = {}
    for name, arrival, result in settled:
        tally = tallies.setdefault((arrival.source, name), Tally())
        if isinstance(result, Written):
            modified_at = arrival.row.content.modified_at if isinstance(arrival.row, Row) else None
            tally.add(_COLUMN[result.outcome], newest_at=modified_at)
        else:
            tally.add("unchanged" if _gone_already(arrival, result) else "rejected")
    return tallies


def _applied(called_in: Sequence[CalledIn]) -> list[tuple[str, str]]:
    return [(one.resource, one.key) for one, result in called_in if _counts_now(result) and isinstance(result, Written)]


def _add_called(tallies: Tallies, called_in: Sequence[CalledIn]) -> Tallies:
    """Also the rows that had waited, for the source that pushed them then; that is no push of now."""
    pushed = set(tallies)
    for one, result in called_in:
        if _counts_now(result):
            tally = tallies.setdefault((one.source, one.resource), Tally())
            tally.add(_COLUMN[result.outcome] if isinstance(result, Written) else "rejected")
            if (one.source, one.resource) not in pushed:
                tally.last_at = max(tally.last_at or one.since, one.since)
    return tallies


def _counts_now(result: Result) -> bool:
    """Whether a row that had waited waits no longer; that it waits was counted when it came."""
    return not isinstance(result, Written) or result.outcome is not Outcome.WAITING
