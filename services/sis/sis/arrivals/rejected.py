"""Rejected rows: kept as they came, sealed, each once, until they are mended, dismissed or too old."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncSession

from common.errors import DomainError
from common.json import as_it_came
from common.problems import problem_of
from common.runtime import Runtime
from common.sealed import Vault
from sis.policy import ARRIVALS
from sis.resources import NAMED
from sis.rows import Row, key_of

_PAGE = 500
_SEALED = {"table": "sis_rejected", "column": "sealed"}
_KEEP = sa.text(
    """
    INSERT INTO sis_rejected AS r (
        id, source, resource, digest, key, deletes, sealed, problem, field, rule, times, first_at, last_at
    )
    SELECT id, source, resource, digest, key, deletes, sealed, problem, field, rule, times, clock_timestamp(), clock_timestamp()
    FROM unnest(
        CAST(:id AS uuid[]), CAST(:source AS text[]), CAST(:resource AS text[]), CAST(:digest AS bytea[]),
        CAST(:key AS text[]), CAST(:deletes AS bool[]), CAST(:sealed AS bytea[]), CAST(:problem AS text[]),
        CAST(:field AS text[]), CAST(:rule AS text[]), CAST(:times AS bigint[])
    ) AS given(id, source, resource, digest, key, deletes, sealed, problem, field, rule, times)
    JOIN (
        SELECT wanted.source, wanted.resource, (
            SELECT count(*) FROM (
                SELECT FROM sis_rejected AS kept
                WHERE kept.source = wanted.source AND kept.resource = wanted.resource AND kept.closed_at IS NULL LIMIT :most
            ) AS few
        ) AS open
        FROM (
            SELECT DISTINCT source, resource FROM unnest(CAST(:source AS text[]), CAST(:resource AS text[])) AS g(source, resource)
        ) AS wanted
    ) AS kept USING (source, resource)
    WHERE kept.open < :most
    ORDER BY source, resource, digest
    ON CONFLICT (source, resource, digest) DO UPDATE SET
        key = excluded.key, problem = excluded.problem, field = excluded.field, rule = excluded.rule,
        times = r.times + excluded.times, last_at = excluded.last_at,
        closed_at = CASE WHEN r.closed_as = 'dismissed' THEN r.closed_at END,
        closed_as = CASE WHEN r.closed_as = 'dismissed' THEN r.closed_as END
    """
)
# A row that came back mended closes the one it stands for, also if it was refused again: then it stands there itself.
_REPLACE = sa.text(
    """
    UPDATE sis_rejected SET closed_at = clock_timestamp(), closed_as = 'replaced'
    WHERE id IN (
        SELECT id FROM sis_rejected WHERE id = ANY(CAST(:ids AS uuid[])) AND closed_at IS NULL ORDER BY id FOR UPDATE
    )
    """
)
_DISMISS = sa.text(
    """
    UPDATE sis_rejected SET closed_at = clock_timestamp(), closed_as = 'dismissed'
    WHERE id = :id AND closed_at IS NULL AND (CAST(:source AS text) IS NULL OR source = :source) RETURNING id
    """
)
_OPEN = sa.text(
    """
    SELECT id, sealed, field, rule FROM sis_rejected
    WHERE source = :source AND resource = :resource AND closed_at IS NULL AND deletes = :deletes AND id > :after
    ORDER BY id LIMIT :page
    """
)
_FORGET = sa.text("DELETE FROM sis_rejected WHERE last_at < clock_timestamp() - make_interval(days => :days)")


@dataclass(frozen=True, slots=True)
class Refusal:
    """One row that was refused, and why."""

    resource: str
    source: str
    raw: Any
    row: Row | DomainError
    problem: DomainError
    deletes: bool
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Open:
    """A rejected row on the open list: the document as it came, or its text where it is none, and the reason."""

    id: UUID
    document: Any
    reason: str


async def keep(
    session: AsyncSession, vault: Vault, refusals: Sequence[Refusal], *, replaced: Sequence[UUID] = ()
) -> None:
    """Keep each refused row once, and close those that came back."""
    if replaced:
        await session.execute(_REPLACE, {"ids": list(replaced)})
    if refusals:
        await session.execute(_KEEP, _columns(vault, refusals) | {"most": ARRIVALS.rejected_most})


async def dismiss(session: AsyncSession, identity: UUID, *, source: str | None) -> bool:
    """Close a rejected row by hand, of this source or of any; whether there was one. It stays closed when it comes again."""
    return (await session.execute(_DISMISS, {"id": identity, "source": source})).first() is not None


async def open_rows(runtime: Runtime, source: str, resource: str, *, deletes: bool) -> AsyncIterator[Open]:
    """The rejected rows on the open list, oldest first, read a page at a time."""
    wanted = {"source": source, "resource": resource, "deletes": deletes, "page": _PAGE}
    after = UUID(int=0)
    while True:
        async with runtime.transaction() as session:
            rows = (await session.execute(_OPEN, wanted | {"after": after})).all()
        for row in rows:
            yield Open(row.id, _opened(runtime.vault, row.id, row.sealed), f"{row.field} {row.rule}".strip())
        if len(rows) < _PAGE:
            return
        after = rows[-1].id


async def forget_rejected(session: AsyncSession) -> None:
    """Forget rejected rows that did not come again for as long as the policy keeps them."""
    await session.execute(_FORGET, {"days": ARRIVALS.rejected_days})


def _columns(vault: Vault, refusals: Sequence[Refusal]) -> dict[str, list[Any]]:
    once: dict[tuple[str, str, bytes], tuple[UUID, Refusal, Any]] = {}
    times: Counter[tuple[str, str, bytes]] = Counter()
    for refusal in refusals:
        document = as_it_came(refusal.raw) if isinstance(refusal.raw, bytes) else refusal.raw
        same = to_json([refusal.deletes, _sorted(document)]).decode()
        mark = (refusal.source, refusal.resource, vault.digest(same))
        once.setdefault(mark, (uuid_utils.uuid7(), refusal, document))
        times[mark] += 1
    columns: dict[str, list[Any]] = {
        name: [] for name in ("id", "key", "deletes", "sealed", "problem", "field", "rule")
    }
    ordered = sorted(once)  # the order in which they are locked
    for mark in ordered:
        for name, value in _values(vault, *once[mark]).items():
            columns[name].append(value)
    return columns | {
        "source": [source for source, _, _ in ordered],
        "resource": [resource for _, resource, _ in ordered],
        "digest": [digest for _, _, digest in ordered],
        "times": [times[mark] for mark in ordered],
    }


def _values(vault: Vault, identity: UUID, refusal: Refusal, document: Any) -> Mapping[str, Any]:
    problem = problem_of(refusal.problem)
    first = problem.errors[0] if problem.errors else None
    text = to_json(document).decode()
    kept = bool(document) and len(text.encode()) <= ARRIVALS.rejected_bytes
    return {
        "id": identity,
        "key": _key(refusal, document),
        "deletes": refusal.deletes,
        "sealed": vault.seal(text, row=identity, **_SEALED) if kept else None,
        "problem": refusal.problem.kind(),
        "field": first.field if first else "",
        "rule": first.rule if first else problem.detail,
    }


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _key(refusal: Refusal, document: Any) -> str | None:
    if refusal.key is not None:
        return refusal.key
    if isinstance(refusal.row, Row):
        return refusal.row.key
    for resource in NAMED.values():  # it may have come under an older name
        if resource.name == refusal.resource:
            with suppress(DomainError):
                return key_of(resource, document)
    return None


def _opened(vault: Vault, identity: UUID, sealed: bytes | None) -> Any:
    return json.loads(vault.open(sealed, row=identity, **_SEALED)) if sealed else ""
