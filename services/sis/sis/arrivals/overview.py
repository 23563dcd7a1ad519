"""What arrived, by source and resource, in one look."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa
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
        extract(epoch FROM clock_timestamp() - coalesce(max(a.newest_at), max(a.last_at))) AS lag_seconds
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


@dataclass(frozen=True, slots=True)
class Reason:
    """Why rows stand to be mended: the member by its JSON path, the rule it breaks, and how many rows."""

    field: str
    rule: str
    rows: int


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One source and resource: what arrived, and how what it believes compares with what stands."""

    source: str
    name: str | None
    """What the district calls the client; ``None`` for a token that is of no client."""
    resource: str
    last_at: datetime
    newest_at: datetime | None
    lag_seconds: int
    accepted: int
    unchanged: int
    stale: int
    deleted: int
    waited: int
    """Rows that had to wait when they came, also those taken in since."""
    rejected: int
    rejected_open: int
    oldest_rejected_at: datetime | None
    waiting: int
    oldest_waiting_at: datetime | None
    believed: int | None
    standing: int | None
    reasons: Sequence[Reason]
    """The commonest of the rows that stand to be mended."""


async def overview(
    session: AsyncSession,
    *,
    source: str | None = None,
    first: date = date.min,
    last: date = date.max,
    after: tuple[str, str] = ("", ""),
    limit: int,
) -> Sequence[SourceLine]:
    """Each source and resource, in that order; counts of the days from ``first`` to ``last``, both inclusive.

    The lag is the time since the newest ``_lastModifiedDate`` that came, or since the last push where none ever came.
    """
    after_source, after_resource = after
    page = {"after_source": after_source, "after_resource": after_resource, "limit": limit}
    rows = (await session.execute(_SOURCES, page | {"source": source, "first": first, "last": last})).all()
    said = await believed(session, source)
    reasons = await _reasons(session, [(row.source, row.resource) for row in rows])
    return [
        _line(row, said.get((row.source, row.resource), (None, None)), reasons[row.source, row.resource])
        for row in rows
    ]


async def _reasons(session: AsyncSession, places: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], list[Reason]]:
    named = {"sources": [source for source, _ in places], "resources": [resource for _, resource in places]}
    reasons: dict[tuple[str, str], list[Reason]] = defaultdict(list)
    for source, resource, *reason in await session.execute(_REASONS, named | {"most": ARRIVALS.reasons_shown}):
        reasons[source, resource].append(Reason(*reason))
    return reasons


def _line(
    row: sa.Row[tuple[object, ...]], said: tuple[int | None, int | None], reasons: Sequence[Reason]
) -> SourceLine:
    values = row._asdict()
    return SourceLine(
        **values | {"lag_seconds": max(0, int(values["lag_seconds"]))},
        believed=said[0],
        standing=said[1],
        reasons=reasons,
    )
