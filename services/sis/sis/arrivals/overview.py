"""What arrived, by source and resource, in one look."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from sis.arrivals.reconciliation import believed
from sis.policy import ARRIVALS

_SOURCES = sa.text(
    """
    SELECT a.source, max(c.name) AS name, a.resource, max(a.last_at) AS last_at, max(a.newest_at) AS newest_at,
        coalesce(sum(a.accepted) FILTER (WHERE a.day BETWEEN :first AND :last), 0) AS accepted,
        coalesce(sum(a.unchanged) FILTER (WHERE a.day BETWEEN :first AND :last), 0) AS unchanged,
        coalesce(sum(a.stale) FILTER (WHERE a.day BETWEEN :first AND :last), 0) AS stale,
        coalesce(sum(a.deleted) FILTER (WHERE a.day BETWEEN :first AND :last), 0) AS deleted,
        coalesce(sum(a.waited) FILTER (WHERE a.day BETWEEN :first AND :last), 0) AS waited,
        coalesce(sum(a.rejected) FILTER (WHERE a.day BETWEEN :first AND :last), 0) AS rejected,
        coalesce(max(r.open), 0) AS rejected_open, min(r.oldest) AS oldest_rejected_at,
        coalesce(max(w.waiting), 0) AS waiting, min(w.oldest) AS oldest_waiting_at,
        greatest(0, trunc(extract(epoch FROM clock_timestamp() - coalesce(max(a.newest_at), max(a.last_at))))) AS lag_seconds
    FROM sis_arrival AS a
    LEFT JOIN sis_client AS c ON CAST(c.id AS text) = a.source
    LEFT JOIN (
        SELECT source, resource, count(*) AS open, min(first_at) AS oldest FROM sis_rejected WHERE closed_at IS NULL
        GROUP BY source, resource
    ) AS r USING (source, resource)
    LEFT JOIN (
        SELECT source, resource, count(*) AS waiting, min(since) AS oldest FROM sis_waiting WHERE NOT taken_back
        GROUP BY source, resource
    ) AS w USING (source, resource)
    WHERE (CAST(:source AS text) IS NULL OR a.source = :source) AND (a.source, a.resource) > (:after_source, :after_resource)
    GROUP BY a.source, a.resource ORDER BY a.source, a.resource LIMIT :limit
    """
)
# Places in lists are left out, so that the same mistake in another place is the same reason.
_REASONS = sa.text(
    r"""
    SELECT source, resource, field, rule, rows FROM (
        SELECT source, resource, regexp_replace(field, '\[\d+\]', '[]', 'g') AS field, rule, count(*) AS rows,
            row_number() OVER (PARTITION BY source, resource ORDER BY count(*) DESC, min(field), rule) AS place
        FROM sis_rejected
        WHERE closed_at IS NULL AND (source, resource) IN (
            SELECT * FROM unnest(CAST(:sources AS text[]), CAST(:resources AS text[]))
        )
        GROUP BY source, resource, 3, rule
    ) AS counted
    WHERE place <= :most ORDER BY source, resource, place
    """
)


class Reason(BaseModel):
    """Why rows stand to be mended: the member by its JSON path, the rule it breaks, and how many rows."""

    field: str
    rule: str
    rows: int


class SourceResource(BaseModel):
    """What one source pushed of one resource: rows by what came of them, and how it stands now.

    ``name`` is what the district calls the client, null for a token that is of no client. ``waited`` are rows that had to
    wait for what they refer to when they came, ``waiting`` those that still do. ``lag_seconds`` is the time since the newest
    ``_lastModifiedDate`` that came, or since the last push where none ever came. ``believed`` is how many rows the source says
    it holds in all, ``standing`` how many stand here. ``reasons`` are the commonest of the rows that stand to be mended.
    """

    source: str
    name: str | None
    resource: str
    last_at: datetime
    newest_at: datetime | None
    lag_seconds: int
    accepted: int
    unchanged: int
    stale: int
    deleted: int
    waited: int
    rejected: int
    rejected_open: int
    oldest_rejected_at: datetime | None
    waiting: int
    oldest_waiting_at: datetime | None
    believed: int | None
    standing: int | None
    reasons: list[Reason]


async def overview(
    session: AsyncSession,
    *,
    source: str | None = None,
    first: date = date.min,
    last: date = date.max,
    after: tuple[str, str] = ("", ""),
    limit: int,
) -> list[SourceResource]:
    """Each source and resource, in that order; counts of the days from ``first`` to ``last``, both inclusive."""
    after_source, after_resource = after
    page = {"after_source": after_source, "after_resource": after_resource, "limit": limit}
    rows = (await session.execute(_SOURCES, page | {"source": source, "first": first, "last": last})).all()
    said = await believed(session, source)
    reasons = await _reasons(session, [(row.source, row.resource) for row in rows])
    return [_line(row, said.get((row.source, row.resource)), reasons[row.source, row.resource]) for row in rows]


async def _reasons(session: AsyncSession, places: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], list[Reason]]:
    sources, resources = [source for source, _ in places], [resource for _, resource in places]
    wanted = {"sources": sources, "resources": resources, "most": ARRIVALS.reasons_shown}
    reasons: dict[tuple[str, str], list[Reason]] = defaultdict(list)
    for source, resource, field, rule, count in await session.execute(_REASONS, wanted):
        reasons[source, resource].append(Reason(field=field, rule=rule, rows=count))
    return reasons


def _line(row: sa.Row[Any], said: tuple[int, int] | None, reasons: list[Reason]) -> SourceResource:
    # Read as what it is: sums come as decimal numbers, which a model that holds them unread cannot say in JSON.
    theirs, ours = said or (None, None)
    return SourceResource(**row._asdict(), believed=theirs, standing=ours, reasons=reasons)
