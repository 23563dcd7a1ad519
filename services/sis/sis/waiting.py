"""The waiting room: rows that refer to what is not known yet, sealed, until it comes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic_core import from_json, to_json
from sqlalchemy.ext.asyncio import AsyncSession

from common.db import fetch
from common.errors import DomainError, NotFound
from common.sealed import Vault
from sis.arrivals import rejected
from sis.arrivals.rejected import Refusal
from sis.plan import Turn
from sis.resources import RESOURCES, Resource
from sis.rows import Row, Target, read_row
from sis.rules.documents import Content
from sis.rules.waiting import Waits

_SEALED = {"table": "sis_waiting", "column": "sealed"}
# One statement tells the time and who waits.
_LOOK = sa.text(
    """
    SELECT transaction_timestamp(), room.* FROM (SELECT) AS always LEFT JOIN (
        SELECT w.* FROM unnest(CAST(:keys AS text[])) AS wanted(key)
        CROSS JOIN LATERAL (
            SELECT key, id, revision, source_modified_at, taken_back
            FROM sis_waiting WHERE resource = :resource AND sis_waiting.key = wanted.key OFFSET 0
        ) AS w
    ) AS room ON true
    """
)
# Whoever changes the room does it alone until that is committed, and before locking documents that refer to others: so nobody
# waits in a circle.
_ALONE = sa.text("SELECT pg_advisory_xact_lock(hashtext('sis waiting room'))")
_KEEP = sa.text(
    """
    INSERT INTO sis_waiting AS w (
        id, resource, key, sealed, awaited, source, since, revision, source_modified_at, taken_back
    )
    SELECT id, :resource, key, sealed, ARRAY(SELECT jsonb_array_elements_text(CAST(awaited AS jsonb))), source,
        clock_timestamp(), revision, source_modified_at, taken_back
    FROM unnest(
        CAST(:id AS uuid[]), CAST(:key AS text[]), CAST(:sealed AS bytea[]), CAST(:awaited AS text[]),
        CAST(:source AS text[]), CAST(:revision AS bigint[]), CAST(:source_modified_at AS timestamptz[]),
        CAST(:taken_back AS bool[])
    ) AS given(id, key, sealed, awaited, source, revision, source_modified_at, taken_back)
    ON CONFLICT (id) DO UPDATE SET
        sealed = excluded.sealed, awaited = excluded.awaited, source = excluded.source,
        since = CASE WHEN w.taken_back THEN excluded.since ELSE w.since END, revision = excluded.revision,
        source_modified_at = excluded.source_modified_at, taken_back = excluded.taken_back
    """
)
_LEAVE = sa.text("DELETE FROM sis_waiting WHERE id = ANY(CAST(:ids AS uuid[]))")
# A row and a later deletion that were pushed at one moment may each not have seen the other: the mark then stands beside what it
# takes back. What others refer to stays until they are gone.
_TO_TAKE_BACK = """
    taken_back AND EXISTS (
        SELECT FROM sis_document AS d
        WHERE d.resource = sis_waiting.resource AND d.key = sis_waiting.key AND NOT d.deleted
            AND d.source_modified_at < sis_waiting.source_modified_at
            AND NOT EXISTS (SELECT FROM sis_document AS r WHERE r.refs @> ARRAY[d.id] AND NOT r.deleted OFFSET 0)
        OFFSET 0
    )
    """
_CALLED = """
    SELECT w.* FROM unnest(CAST(:{given}) AS wanted({name})
    CROSS JOIN LATERAL (
        SELECT id, resource, key, sealed, source, since, source_modified_at FROM sis_waiting WHERE {condition} LIMIT :most
    ) AS w LIMIT :most
    """
_CALLED_BY_TARGET = sa.text(
    _CALLED.format(given="targets AS text[])", name="target", condition="awaited @> ARRAY[wanted.target]")
)
_CALLED_BY_ID = sa.text(
    _CALLED.format(
        given="ids AS uuid[])",
        name="id",
        condition=f"sis_waiting.id = wanted.id AND (awaited <> '{{}}' OR {_TO_TAKE_BACK})",
    )
)
_SWEEP = sa.text(
    f"""
    SELECT page.id, page.to_take_back OR EXISTS (
        SELECT FROM unnest(page.awaited) AS awaited(target)
        CROSS JOIN LATERAL (
            SELECT FROM sis_document
            WHERE resource = split_part(target, ' ', 1) AND key = substr(target, strpos(target, ' ') + 1) AND NOT deleted
            OFFSET 0
        ) AS here
    ) AS due
    FROM (
        SELECT id, awaited, {_TO_TAKE_BACK} AS to_take_back FROM sis_waiting WHERE id > :after ORDER BY id LIMIT :page
    ) AS page ORDER BY page.id
    """  # noqa: S608 (a condition of our own)
)
_SEALS = sa.text("SELECT id, sealed FROM sis_waiting WHERE id = ANY(CAST(:ids AS uuid[])) AND sealed IS NOT NULL")
_FIND = sa.text(
    """
    SELECT id, key, sealed, awaited, since, revision, source_modified_at FROM sis_waiting
    WHERE id = :id AND resource = :resource AND NOT taken_back AND (CAST(:source AS text) IS NULL OR source = :source)
    """
)


@dataclass(frozen=True, slots=True)
class WaitingDocument:
    """A document that waits, as it is answered: without its sealed members."""

    id: UUID
    key: str
    body: Mapping[str, Any]
    revision: int
    known_at: datetime
    source_modified_at: datetime | None
    awaited: Sequence[str]

    @property
    def waiting(self) -> dict[str, Any]:
        """Since when it waits, and for documents of which resources."""
        return {"_waiting": {"since": self.known_at.isoformat(), "for": list(self.awaited)}}


@dataclass(frozen=True, slots=True)
class Called:
    """A row whose turn has come, or why it cannot be read any more, and who pushed it; of a mark the deletion."""

    id: UUID
    resource: str
    key: str
    source: str
    since: datetime
    """Since when it waits."""
    document: Mapping[str, Any]
    row: Row | DomainError


async def look(session: AsyncSession, resource: Resource, keys: Collection[str]) -> tuple[datetime, dict[str, Waits]]:
    """The database's clock at the start of this transaction, and what waits for each key."""
    rows = await fetch(session, _LOOK, {"resource": resource.name, "keys": list(keys)})
    return rows[0][0], {key: Waits(*waits) for _, key, *waits in rows if key is not None}


async def with_secrets(
    session: AsyncSession, vault: Vault, resource: Resource, room: dict[str, Waits], rows: Iterable[Row]
) -> dict[str, Waits]:
    """``room``, and of those waits that one of ``rows`` leaves sealed members to, what these say.

    One that has gone meanwhile is found out when the room is changed.
    """
    wanted = {row.key: room[row.key].id for row in rows if row.unsaid and row.key in room}
    if not wanted:
        return room
    sealed = dict(await fetch(session, _SEALS, {"ids": list(wanted.values())}))
    opened_by_key = {
        key: opened(vault, identity, sealed[identity]) for key, identity in wanted.items() if identity in sealed
    }
    secrets = {key: {name: one[name] for name in resource.sealed if name in one} for key, one in opened_by_key.items()}
    return room | {key: replace(room[key], secret=secret) for key, secret in secrets.items()}


async def keep(
    session: AsyncSession,
    vault: Vault,
    resource: Resource,
    found: Mapping[str, Waits],
    room: Mapping[str, Turn | None],
    sources: Mapping[str, str],
) -> set[str]:
    """Let rows wait or leave as decided; the keys for which something else waits by now are left as they are."""
    if not room:
        return set()
    await fetch(session, _ALONE, {})
    _, now = await look(session, resource, room)
    again = {key for key in room if now.get(key) != found.get(key)}
    leave = [found[key].id for key, turn in room.items() if turn is None and key not in again]
    if leave:
        await fetch(session, _LEAVE, {"ids": leave})
    turns = [turn for key, turn in room.items() if turn and key not in again]
    if turns:
        await fetch(session, _KEEP, _columns(vault, turns, sources) | {"resource": resource.name})
    return again


async def called_for(session: AsyncSession, vault: Vault, targets: Iterable[Target], *, most: int) -> list[Called]:
    """Up to ``most`` rows that wait for one of ``targets``, taken in hand by this transaction."""
    wanted = {"targets": [target_text(target) for target in targets], "most": most}
    if not wanted["targets"] or not await fetch(session, _CALLED_BY_TARGET, wanted):
        return []
    await fetch(session, _ALONE, {})
    return _read(vault, await fetch(session, _CALLED_BY_TARGET, wanted))


async def called(session: AsyncSession, vault: Vault, ids: Sequence[UUID]) -> list[Called]:
    """Those of the rows that still wait, taken in hand by this transaction."""
    await fetch(session, _ALONE, {})
    return _read(vault, await fetch(session, _CALLED_BY_ID, {"ids": list(ids), "most": len(ids)}))


async def sweep(session: AsyncSession, after: UUID, *, page: int) -> tuple[list[UUID], UUID | None]:
    """Of the next rows after an id those that wait for something that is here, marks of what stands, and the id to go on from."""
    rows = await fetch(session, _SWEEP, {"after": after, "page": page})
    return [identity for identity, due in rows if due], rows[-1][0] if len(rows) == page else None


async def refuse(
    session: AsyncSession, vault: Vault, called: Iterable[Called], problem: DomainError | None = None
) -> None:
    """Rows that cannot be read any more, or all for a ``problem``, wait no longer: they are kept with the rejected ones."""
    refusals = {}
    for one in called:
        reason = one.row if isinstance(one.row, DomainError) else problem
        if reason:
            refusals[one.id] = Refusal(
                one.resource, one.source, one.document, one.row, reason, deletes=False, key=one.key
            )
    if refusals:
        await rejected.keep(session, vault, list(refusals.values()))
        await fetch(session, _LEAVE, {"ids": list(refusals)})


async def find_waiting(
    session: AsyncSession, vault: Vault, resource: Resource, identity: UUID, *, source: str | None = None
) -> WaitingDocument:
    """The document with this id that waits; with ``source`` only if that pushed it.

    Raises:
        NotFound: none does.
    """
    found = (await session.execute(_FIND, {"id": identity, "resource": resource.name, "source": source})).one_or_none()
    if found is None:
        raise NotFound(what="document")
    document = opened(vault, identity, found.sealed)
    body = {name: value for name, value in document.items() if name not in resource.sealed}
    times = found.since, found.source_modified_at
    return WaitingDocument(identity, found.key, body, found.revision, *times, names_of(found.awaited))


async def waiting_for_key(
    session: AsyncSession, vault: Vault, resource: Resource, key: str, *, source: str | None = None
) -> WaitingDocument | None:
    """The document with this natural key that waits, if one does; with ``source`` only if that pushed it."""
    _, room = await look(session, resource, [key])
    if key not in room or room[key].taken_back:
        return None
    with suppress(NotFound):
        return await find_waiting(session, vault, resource, room[key].id, source=source)
    return None


def names_of(targets: Iterable[str]) -> list[str]:
    """The resources of documents that are waited for, each once."""
    return sorted({target.partition(" ")[0] for target in targets})


def target_text(target: Target) -> str:
    """A document by its resource and natural key, as one text."""
    return f"{target[0]} {target[1]}"


def opened(vault: Vault, identity: UUID, sealed: bytes) -> dict[str, Any]:
    """The document that waits, with all that was read of it."""
    document: dict[str, Any] = from_json(vault.open(sealed, row=identity, **_SEALED))
    return document


def _columns(vault: Vault, turns: Sequence[Turn], sources: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": [turn.waits.id for turn in turns],
        "key": [turn.row.key for turn in turns],
        "sealed": [_sealed(vault, turn) for turn in turns],
        "awaited": [to_json(list(map(target_text, turn.awaited))).decode() for turn in turns],
        "source": [sources[turn.row.key] for turn in turns],
        "revision": [turn.waits.revision for turn in turns],
        "source_modified_at": [turn.waits.modified_at for turn in turns],
        "taken_back": [turn.waits.taken_back for turn in turns],
    }


def _sealed(vault: Vault, turn: Turn) -> bytes | None:
    if turn.waits.taken_back:
        return None
    document = {**turn.row.content.body, **turn.row.content.secret}
    return vault.seal(to_json(document).decode(), row=turn.waits.id, **_SEALED)


def _read(vault: Vault, rows: Iterable[Any]) -> list[Called]:
    """Each row once, read anew: the rules may have changed while it waited."""
    once = {row[0]: row for row in rows}
    return [_called(vault, *row) for row in once.values()]


def _called(
    vault: Vault,
    identity: UUID,
    resource: str,
    key: str,
    sealed: bytes | None,
    source: str,
    since: datetime,
    modified_at: datetime | None,
) -> Called:
    if sealed is None:
        deletion = Row(key, Content({}, {}, modified_at, deleted=True), (), None, None)
        return Called(identity, resource, key, source, since, {}, deletion)
    document = opened(vault, identity, sealed)
    try:
        row: Row | DomainError = read_row(RESOURCES[resource], document, modified_at=modified_at)
    except DomainError as refused:
        row = refused
    return Called(identity, resource, key, source, since, document, row)
