"""Documents in the database: found by their keys, held, stored where they still stand as they were read; one statement each."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncSession

from common.db import fetch
from common.sealed import Vault
from sis.resources import LOCK_ORDER, REFERENCED, Resource
from sis.rows import Target
from sis.rules.documents import Content
from sis.rules.waiting import Waits
from sis.standing import Standing

# Each LATERAL keeps to the index, one look a row, also where the plan was made while the table was still small. It also
# fixes the order in which rows are locked: that of the arrays.
# One statement tells the time, what waits and what stands. It also notes, until this transaction ends, that there may be change
# versions which nobody sees yet: sis.routes.changes waits until that is over. Nobody ever waits to note it.
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
HOLD_KEYS = sa.text(_HOLD.format(strength="KEY SHARE"))
_HOLD_ALL = sa.text(_HOLD.format(strength="SHARE"))
_CLAIM = sa.text('SELECT id FROM sis_document WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY key COLLATE "C" FOR UPDATE')
_REFERRED_TO = sa.text(
    """
    SELECT wanted.id FROM unnest(CAST(:ids AS uuid[])) AS wanted(id)
    WHERE EXISTS (SELECT FROM sis_document WHERE refs @> ARRAY[wanted.id] AND NOT deleted)
    """
)
# A row is written only where the document still stands as it was read; others are locked, read and decided again.
STORE = sa.text(
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


def open_secret(vault: Vault, identity: UUID, sealed: bytes | None) -> dict[str, Any]:
    """The sealed members of the document with this id."""
    if sealed is None:
        return {}
    opened: dict[str, Any] = json.loads(vault.open(sealed, table="sis_document", column="sealed", row=identity))
    return opened


async def find(
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


async def hold(session: AsyncSession, targets: Iterable[Target]) -> dict[Target, UUID]:
    """The ids of the documents referred to, each kept from vanishing until this transaction ends."""
    wanted = in_order(targets)
    if not wanted:
        return {}
    statement = _HOLD_ALL if any(name == "disciplineIncidents" for name, _ in wanted) else HOLD_KEYS
    names, keys = zip(*wanted, strict=True)
    rows = await fetch(session, statement, {"resources": list(names), "keys": list(keys)})
    return {(resource, key): identity for resource, key, identity in rows}


def in_order(targets: Iterable[Target]) -> list[Target]:
    """The order in which everybody holds them, so that nobody waits for one who waits."""
    return sorted(targets, key=lambda target: (LOCK_ORDER[target[0]], target[1]))


async def referred_to(session: AsyncSession, ids: Sequence[UUID], resource: Resource) -> frozenset[UUID]:
    """Those of the documents to be deleted that others refer to; nobody can begin to until this transaction ends."""
    if not ids or resource.name not in REFERENCED:
        return frozenset()
    await fetch(session, _CLAIM, {"ids": ids})
    return frozenset(identity for (identity,) in await fetch(session, _REFERRED_TO, {"ids": ids}))


async def store(
    session: AsyncSession, vault: Vault, resource: Resource, changes: Mapping[str, Standing]
) -> dict[str, None]:
    """Store what still stands as it was read; the keys that were stored, in order."""
    if not changes:
        return {}
    return dict.fromkeys(key for (key,) in await fetch(session, STORE, values_of(vault, resource, changes.values())))


def values_of(vault: Vault, resource: Resource, changes: Iterable[Standing]) -> dict[str, Any]:
    """The values of :data:`STORE`."""
    rows = sorted(changes, key=attrgetter("key"))
    return _columns(vault, "sis_document", rows) | {
        "resource": resource.name,
        "key": [row.key for row in rows],
        "student_id": [row.student_id for row in rows],
        "school_id": [row.school_id for row in rows],
        "on_date": [row.on for row in rows],
        "refs": ["{" + ",".join(map(str, row.refs)) + "}" for row in rows],
        "turn": [row.turn for row in rows],
    }


async def keep_before(session: AsyncSession, vault: Vault, superseded: Sequence[Standing]) -> None:
    """Keep the revisions that stood before."""
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
