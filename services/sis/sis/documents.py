"""Writing documents: many rows at once, each natural key in its order, a constant number of statements."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import structlog
from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncSession

from common.db import fetch, is_transient
from common.errors import DomainError
from common.logs import place_of
from common.sealed import Vault
from sis import signing
from sis.consequences import follow_documents
from sis.plan import Plan, Result, decide
from sis.policy import BULK_ROWS, WAITING
from sis.resources import LOCK_ORDER, REFERENCED, RESOURCES, Resource
from sis.rows import Row, Target
from sis.rules.documents import Content
from sis.rules.waiting import Waits
from sis.standing import Standing
from sis.waiting import Called, called_for, keep, refuse, with_secrets

log = structlog.get_logger(__name__)

CalledIn = tuple[Called, Result]
"""A row that waited, and what came of it when its turn had come."""

_RANDOM_IDS = frozenset(("students", "staffs"))
"""People's ids tell nothing, not even when they came; others are ordered by time, which keeps indexes small."""

# Each LATERAL keeps to the index, one look a row, also where the plan was made while the table was still small. It also
# fixes the order in which rows are locked: that of the arrays.
# One statement tells the time, what waits and what stands. It also notes, until this transaction ends, that there may be change
# versions which nobody sees yet: sis.routes.changes waits for that, and nobody waits for it while holding a document.
_FIND = sa.text(
    """
    SELECT transaction_timestamp(), wanted.key, w.*, d.*
    FROM (SELECT pg_advisory_xact_lock_shared(hashtext('sis change versions')) OFFSET 0) AS noted
    CROSS JOIN unnest(CAST(:keys AS text[])) AS wanted(key)
    LEFT JOIN LATERAL (
        SELECT id, revision, source_modified_at, taken_back
        FROM sis_waiting WHERE resource = :resource AND sis_waiting.key = wanted.key OFFSET 0
    ) AS w ON true
    LEFT JOIN LATERAL (
        SELECT id, body, sealed, source_modified_at, deleted, revision, known_at, school_id, on_date, student_id, refs, turn
        FROM sis_document WHERE resource = :resource AND sis_document.key = wanted.key OFFSET 0
    ) AS d ON true
    """
)
# What is referred to must stay until we have committed; an incident's day must not change either.
_HOLD = """
    SELECT d.* FROM unnest(CAST(:resources AS text[]), CAST(:keys AS text[])) AS wanted(resource, key)
    CROSS JOIN LATERAL (
        SELECT resource, key, id FROM sis_document
        WHERE sis_document.resource = wanted.resource AND sis_document.key = wanted.key AND NOT deleted FOR {strength}
    ) AS d
    """
_HOLD_KEYS = sa.text(_HOLD.format(strength="KEY SHARE"))
_HOLD_ALL = sa.text(_HOLD.format(strength="SHARE"))
_CLAIM = sa.text('SELECT id FROM sis_document WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY key COLLATE "C" FOR UPDATE')
_REFERRED_TO = sa.text(
    """
    SELECT wanted.id FROM unnest(CAST(:ids AS uuid[])) AS wanted(id)
    WHERE EXISTS (SELECT FROM sis_document WHERE refs @> ARRAY[wanted.id] AND NOT deleted)
    """
)
# A row is written only where the document still stands as it was read; others are locked, read and decided again.
_STORE = sa.text(
    """
    INSERT INTO sis_document AS d (
        id, resource, key, body, sealed, student_id, school_id, on_date, refs, revision, turn, known_at, source_modified_at,
        deleted, change_version
    )
    SELECT id, :resource, key, CAST(body AS jsonb), sealed, student_id, school_id, on_date, CAST(refs AS uuid[]), revision, turn,
        known_at, source_modified_at, deleted, (SELECT nextval('sis_change_version'))
    FROM unnest(
        CAST(:id AS uuid[]), CAST(:key AS text[]), CAST(:body AS text[]), CAST(:sealed AS bytea[]), CAST(:student_id AS uuid[]),
        CAST(:school_id AS text[]), CAST(:on_date AS date[]), CAST(:refs AS text[]), CAST(:revision AS bigint[]),
        CAST(:turn AS int[]), CAST(:known_at AS timestamptz[]), CAST(:source_modified_at AS timestamptz[]),
        CAST(:deleted AS bool[])
    ) AS given(
        id, key, body, sealed, student_id, school_id, on_date, refs, revision, turn, known_at, source_modified_at, deleted
    )
    ON CONFLICT (resource, key) DO UPDATE SET
        body = excluded.body, sealed = excluded.sealed, student_id = excluded.student_id, school_id = excluded.school_id,
        on_date = excluded.on_date, refs = excluded.refs, revision = excluded.revision, turn = excluded.turn,
        known_at = excluded.known_at, source_modified_at = excluded.source_modified_at, deleted = excluded.deleted,
        change_version = CASE WHEN d.revision = excluded.revision THEN d.change_version ELSE excluded.change_version END
    WHERE d.id = excluded.id AND d.turn = excluded.turn - 1
    RETURNING d.key
    """
)
_KEEP = sa.text(
    """
    INSERT INTO sis_revision (id, revision, body, sealed, known_at, source_modified_at, deleted)
    SELECT id, revision, CAST(body AS jsonb), sealed, known_at, source_modified_at, deleted
    FROM unnest(
        CAST(:id AS uuid[]), CAST(:revision AS bigint[]), CAST(:body AS text[]), CAST(:sealed AS bytea[]),
        CAST(:known_at AS timestamptz[]), CAST(:source_modified_at AS timestamptz[]), CAST(:deleted AS bool[])
    ) AS given(id, revision, body, sealed, known_at, source_modified_at, deleted)
    """
)


async def write(
    session: AsyncSession, vault: Vault, resource: Resource, rows: Sequence[Row], sources: Sequence[str]
) -> tuple[list[Result], list[CalledIn]]:
    """Take in ``rows`` of one resource in their order and say what follows; one result a row.

    All of them upsert or all of them delete. A row that is refused changes nothing and leaves the others alone; one that
    refers to what is not known may wait, and rows that waited for these are taken in as well: they are the second that is
    returned, each with its result. ``sources`` say who pushed each row.
    """
    results, changed = await take_in(session, vault, resource, rows, sources, may_wait=WAITING.on)
    return results, await _call_in(session, vault, resource, changed)


async def take_in(
    session: AsyncSession,
    vault: Vault,
    resource: Resource,
    rows: Sequence[Row],
    sources: Sequence[str],
    *,
    may_wait: bool,
) -> tuple[list[Result], list[Standing]]:
    """What came of each row, and the documents that are others now. What waited for those is not called in yet."""
    results: dict[int, Result] = {}
    changed: list[Standing] = []
    waiting = dict(enumerate(rows))
    pushed_by = {row.key: source for row, source in zip(rows, sources, strict=True)}
    while waiting:
        at, room, found = await _find(session, vault, resource, {row.key for row in waiting.values()})
        room = await with_secrets(session, vault, resource, room, waiting.values())
        plan = await _plan(session, resource, found, waiting, at, room, may_wait=may_wait)
        again = await keep(session, vault, resource, room, plan.room, pushed_by)
        for key in again:
            plan.changes.pop(key, None)
        stored = await _store(session, vault, resource, plan.changes)
        await _keep(session, vault, [one for key in stored for one in plan.superseded.get(key, ())])
        changed += [plan.changes[key] for key in stored if key in plan.superseded]
        again |= plan.changes.keys() - stored.keys()
        waiting = {i: row for i, row in waiting.items() if row.key in again}
        results |= plan.results
    if changed:  # all of it is known since the start of this transaction
        await follow_documents(session, changed[0].known_at, resource.name, changed)
        if resource.name == "staffs":
            await signing.remember(session, vault, changed)
    return [results[index] for index in range(len(rows))], changed


def open_secret(vault: Vault, identity: UUID, sealed: bytes | None) -> dict[str, Any]:
    """The sealed members of the document with this id."""
    if sealed is None:
        return {}
    opened: dict[str, Any] = json.loads(vault.open(sealed, table="sis_document", column="sealed", row=identity))
    return opened


async def _call_in(
    session: AsyncSession, vault: Vault, resource: Resource, changed: Sequence[Standing]
) -> list[CalledIn]:
    """Take in rows that waited for the documents just written. If that fails, the documents stay: the sweep says why."""
    called = await called_for(session, vault, _arrived(resource, changed), most=BULK_ROWS)
    if not called:
        return []
    try:
        async with session.begin_nested():
            return await take_in_called(session, vault, called)
    except Exception as error:
        if is_transient(error):
            raise
        log.warning(
            "rows that waited could not be taken in", service="sis", error=type(error).__name__, where=place_of(error)
        )
        return []


async def take_in_called(session: AsyncSession, vault: Vault, called: Sequence[Called]) -> list[CalledIn]:
    """Take in rows whose turn has come, then those that waited for them; no more than one push may hold, the sweep does the rest.

    What came of each is returned; one that must wait on stands there as waiting.
    """
    left, settled = BULK_ROWS, list[CalledIn]()
    while called:
        left -= len(called)
        await refuse(session, vault, called)
        settled += [(one, one.row) for one in called if isinstance(one.row, DomainError)]
        arrived: list[Target] = []
        for name in dict.fromkeys(one.resource for one in called):
            turns = [(one, one.row, one.source) for one in called if one.resource == name and isinstance(one.row, Row)]
            if turns:
                ones, rows, sources = zip(*turns, strict=True)
                results, changed = await take_in(session, vault, RESOURCES[name], rows, sources, may_wait=True)
                settled += zip(ones, results, strict=True)
                arrived += _arrived(RESOURCES[name], changed)
        called = await called_for(session, vault, arrived, most=left) if left > 0 else []
    return settled


def _arrived(resource: Resource, changed: Iterable[Standing]) -> list[Target]:
    """Those of the documents just written that others may have waited for."""
    if resource.name not in REFERENCED:
        return []
    return [(resource.name, document.key) for document in changed if not document.content.deleted]


async def _plan(
    session: AsyncSession,
    resource: Resource,
    found: Mapping[str, Standing],
    waiting: Mapping[int, Row],
    at: datetime,
    room: Mapping[str, Waits],
    *,
    may_wait: bool,
) -> Plan:
    random_ids = resource.name in _RANDOM_IDS
    plan = decide(found, waiting, at, random_ids=random_ids, room=room)
    changing = [row for row in waiting.values() if row.key in plan.superseded]
    linked = await _hold(session, {target for row in changing for _, target in row.targets})
    gone = [plan.changes[row.key] for row in changing if row.deletes]
    kept = await _referred_to(session, [one.id for one in gone], resource)
    kept |= {one.id for one in gone if one.key in resource.always_keys}
    if kept or any(target not in linked for row in changing for _, target in row.targets):
        plan = decide(found, waiting, at, random_ids=random_ids, linked=linked, kept=kept, room=room, may_wait=may_wait)
    for standing in plan.changes.values():
        standing.link(linked)
    return plan


async def _find(
    session: AsyncSession, vault: Vault, resource: Resource, keys: Iterable[str]
) -> tuple[datetime, dict[str, Waits], dict[str, Standing]]:
    """The database's clock at the start of this transaction, what waits for each key, and the documents that stand."""
    rows = await fetch(session, _FIND, {"resource": resource.name, "keys": list(keys)})
    waits = {row[1]: Waits(*row[2:6]) for row in rows if row[2] is not None}
    return rows[0][0], waits, {row[1]: _standing(vault, row[1], *row[6:]) for row in rows if row[6] is not None}


def _standing(
    vault: Vault,
    key: str,
    identity: UUID,
    body: dict[str, Any],
    sealed: bytes | None,
    modified_at: datetime | None,
    deleted: bool,
    *kept: Any,
) -> Standing:
    return Standing(identity, key, Content(body, open_secret(vault, identity, sealed), modified_at, deleted), *kept)


async def _hold(session: AsyncSession, targets: Iterable[Target]) -> dict[Target, UUID]:
    """The ids of the documents referred to, each kept from vanishing until this transaction ends."""
    wanted = sorted(targets, key=lambda target: (LOCK_ORDER[target[0]], target[1]))
    if not wanted:
        return {}
    statement = _HOLD_ALL if any(name == "disciplineIncidents" for name, _ in wanted) else _HOLD_KEYS
    names, keys = zip(*wanted, strict=True)
    rows = await fetch(session, statement, {"resources": list(names), "keys": list(keys)})
    return {(resource, key): identity for resource, key, identity in rows}


async def _referred_to(session: AsyncSession, ids: Sequence[UUID], resource: Resource) -> frozenset[UUID]:
    """Those of the documents to be deleted that others refer to; nobody can begin to until this transaction ends."""
    if not ids or resource.name not in REFERENCED:
        return frozenset()
    await fetch(session, _CLAIM, {"ids": ids})
    return frozenset(identity for (identity,) in await fetch(session, _REFERRED_TO, {"ids": ids}))


async def _store(
    session: AsyncSession, vault: Vault, resource: Resource, changes: Mapping[str, Standing]
) -> dict[str, None]:
    """Store what still stands as it was read; the keys that were stored, in order."""
    if not changes:
        return {}
    rows = [changes[key] for key in sorted(changes)]
    columns: dict[str, Any] = _columns(vault, "sis_document", rows) | {
        "resource": resource.name,
        "key": [row.key for row in rows],
        "student_id": [row.student_id for row in rows],
        "school_id": [row.school_id for row in rows],
        "on_date": [row.on for row in rows],
        "refs": ["{" + ",".join(map(str, row.refs)) + "}" for row in rows],
        "turn": [row.turn for row in rows],
    }
    return dict.fromkeys(key for (key,) in await fetch(session, _STORE, columns))


async def _keep(session: AsyncSession, vault: Vault, superseded: Sequence[Standing]) -> None:
    if superseded:
        await fetch(session, _KEEP, _columns(vault, "sis_revision", superseded))


def _columns(vault: Vault, table: str, rows: Sequence[Standing]) -> dict[str, list[Any]]:
    return {
        "id": [row.id for row in rows],
        "revision": [row.revision for row in rows],
        "body": [_text(row.content.body) for row in rows],
        "sealed": [_sealed(vault, table, row) for row in rows],
        "known_at": [row.known_at for row in rows],
        "source_modified_at": [row.content.modified_at for row in rows],
        "deleted": [row.content.deleted for row in rows],
    }


def _sealed(vault: Vault, table: str, row: Standing) -> bytes | None:
    if not row.content.secret:
        return None
    place = row.id if table == "sis_document" else f"{row.id}:{row.revision}"
    return vault.seal(_text(row.content.secret), table=table, column="sealed", row=place)


def _text(value: Mapping[str, Any]) -> str:
    return to_json(value).decode()
