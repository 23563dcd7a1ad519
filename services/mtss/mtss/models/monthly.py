"""What happened to each student in a month, and what was told of it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any
from uuid import UUID

import numpy as np
import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field

from common.db import Table
from common.sealed import Sealed
from mtss.models.tables import moment
from mtss.rules import TIERS, Ints
from mtss.rules.monthly import Month, low_levels
from mtss.rules.policy.document import Policy

# Late is what came after the last school day that the policy gives: so many school days lie between.
_HAPPENED = sa.text(
    """
    WITH there AS (
        SELECT DISTINCT student_id FROM mtss_enrolment
        WHERE superseded_at IS NULL AND NOT deleted AND entry_on < :next
          AND (exit_on IS NULL OR (exit_on >= :first AND exit_on > entry_on))
    ), before AS (
        SELECT DISTINCT ON (student_id) student_id, tier FROM mtss_decision
        WHERE known_at < :begin ORDER BY student_id, number DESC
    ), steps AS (
        SELECT d.student_id, d.school_id, (d.known_at AT TIME ZONE :zone)::date AS decided_on, coalesce(p.since, d.effective_on) AS ground_on,
               array_position(CAST(:tiers AS text[]), d.tier) - array_position(CAST(:tiers AS text[]), coalesce(d.tier_before, :lowest)) AS step
        FROM mtss_decision AS d
        LEFT JOIN mtss_ruling AS r ON r.student_id = d.student_id AND r.number = d.ruling AND d.cause = 'accepted'
        LEFT JOIN mtss_proposal AS p ON p.id = r.proposal_id
        WHERE d.known_at >= :begin AND d.known_at < :end
    ), moved AS (
        SELECT student_id, bool_or(step > 0) AS entered, bool_or(step < 0) AS "left", max((
            SELECT count(DISTINCT day) FROM mtss_calendar AS c, unnest(c.days) AS day
            WHERE c.school_id = steps.school_id AND c.superseded_at IS NULL AND NOT c.deleted AND day > ground_on AND day < decided_on
        )) FILTER (WHERE step > 0) AS between
        FROM steps GROUP BY student_id
    ), ruled AS (
        SELECT r.student_id, bool_or(way.step > 0) AS raised, bool_or(way.step < 0) AS lowered
        FROM mtss_ruling AS r JOIN mtss_decision AS d ON d.student_id = r.student_id AND d.ruling = r.number AND d.cause = 'overridden', LATERAL (
            SELECT array_position(CAST(:tiers AS text[]), d.tier) - array_position(CAST(:tiers AS text[]), d.tier_beneath) AS step
        ) AS way
        WHERE r.kind = 'overridden' AND r.known_at >= :begin AND r.known_at < :end GROUP BY r.student_id
    ), given AS (
        SELECT DISTINCT student_id FROM mtss_support WHERE begun_on < :next AND coalesce(ended_on, 'infinity') >= :first
    ), helped AS (
        SELECT h.student_id, bool_or(h.answered_on IS NULL OR h.answered_on > due.day) AS late
        FROM mtss_help_request AS h JOIN mtss_student AS s USING (student_id), LATERAL (
            SELECT CASE WHEN h.urgent THEN h.asked_on ELSE (
                SELECT DISTINCT day FROM mtss_calendar AS c, unnest(c.days) AS day
                WHERE c.school_id = s.school_id AND c.superseded_at IS NULL AND NOT c.deleted AND day > h.asked_on
                ORDER BY day LIMIT 1 OFFSET :answered_within - 1
            ) END AS day
        ) AS due
        WHERE due.day >= :first AND due.day < :next GROUP BY h.student_id
    ), asked AS (
        SELECT s.student_id, bool_or((one ->> 'mean')::numeric <= level.at_most) AS low
        FROM mtss_score AS s, jsonb_array_elements(s.scores) AS one
        JOIN unnest(CAST(:subscales AS text[]), CAST(:at_most AS numeric[])) AS level(subscale, at_most) ON level.subscale = one ->> 'subscale'
        WHERE s.superseded_at IS NULL AND NOT s.deleted AND NOT (one ->> 'prorated')::boolean
          AND s.answered_on >= :first AND s.answered_on < :next
        GROUP BY s.student_id
    )
    SELECT s.student_id, s.school_id, true AS there, coalesce(before.tier <> :lowest OR entered, false) AS supported,
           coalesce(before.tier <> :lowest OR entered, false) AND given.student_id IS NOT NULL AS served,
           coalesce(entered, false) AS entered, coalesce("left", false) AS "left",
           coalesce(raised, false) AS overridden_up, coalesce(lowered, false) AS overridden_down,
           coalesce(between, -1)::int AS between, coalesce(between >= :decided_within, false) AS waited, late IS NOT NULL AS help_due, coalesce(late, false) AS help_late,
           low IS NOT NULL AS answered, coalesce(low, false) AS disconnected
    FROM there JOIN mtss_student AS s USING (student_id) LEFT JOIN before USING (student_id) LEFT JOIN moved USING (student_id)
    LEFT JOIN ruled USING (student_id) LEFT JOIN given USING (student_id) LEFT JOIN helped USING (student_id)
    LEFT JOIN asked USING (student_id)
    ORDER BY s.student_id
    """
)
_FIRST_DECISION = sa.text("SELECT (min(known_at) AT TIME ZONE :zone)::date FROM mtss_decision")
_KEEP = sa.text(
    """
    INSERT INTO mtss_equity (month, made_at, students, report) VALUES (:month, now(), :students, :report)
    ON CONFLICT DO NOTHING RETURNING month
    """
).bindparams(sa.bindparam("report", type_=JSONB))


class Equity(Table, table=True):
    """What was told of the decisions of one month, by group: ratios where nobody can be told from them. It names no student."""

    __tablename__ = "mtss_equity"

    month: date = Field(primary_key=True)
    """Its first day."""
    made_at: datetime = moment()
    students: int
    report: dict[str, Any] = Field(sa_type=JSONB)


class EquityAlert(Table, table=True):
    """A ratio that waits until a person says what they found; while one waits, the same is not raised again."""

    __tablename__ = "mtss_equity_alert"
    __table_args__ = (
        sa.Index(
            "mtss_equity_alert_open",
            "measure",
            "kind",
            "group_name",
            "side",
            unique=True,
            postgresql_where=sa.text("found_at IS NULL"),
        ),
    )

    id: UUID = Field(primary_key=True, default_factory=uuid_utils.uuid7)
    month: date
    measure: str
    kind: str
    group_name: str
    side: str
    """Whether it happens ``more`` or ``less`` often to the group than to all others."""
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    threshold: float
    found_at: datetime | None = moment(nullable=True)
    found_by: str | None = None
    finding: bytes | None = Field(default=None, sa_type=Sealed)


@dataclass(frozen=True, slots=True)
class Span:
    """A month: its first day, that of the next, and the moments at which these begin in the district's time zone."""

    first: date
    next: date
    begin: datetime
    end: datetime


async def happened(
    session: AsyncSession, span: Span, zone: str, policy: Policy
) -> tuple[Sequence[UUID], Sequence[str], Month]:
    """The students who were enrolled in a month, the school of each, and what happened to them by ``policy``; one statement."""
    given = {name: getattr(span, name) for name in Span.__slots__} | {"zone": zone}
    given |= {"tiers": list(TIERS), "lowest": TIERS[0]}
    within = {"decided_within": "proposal_due", "answered_within": "help_answered"}
    given |= {name: int(policy.review[number].value) for name, number in within.items()}
    levels = low_levels(policy)
    given |= {"subscales": list(levels), "at_most": list(levels.values())}
    rows = (await session.execute(_HAPPENED, given)).all()
    kinds = {each.name: np.int32 if each.type is Ints else np.bool_ for each in fields(Month)}
    flags: dict[str, Any] = {name: np.array([getattr(row, name) for row in rows], of) for name, of in kinds.items()}
    return [row.student_id for row in rows], [str(row.school_id) for row in rows], Month(**flags)


async def first_decided_on(session: AsyncSession, zone: str) -> date | None:
    """The day of the first decision."""
    found: date | None = await session.scalar(_FIRST_DECISION, {"zone": zone})
    return found


async def keep(session: AsyncSession, month: date, students: int, report: Any) -> bool:
    """Keep what was told of a month; whether nobody had by then."""
    kept = await session.execute(_KEEP, {"month": month, "students": students, "report": report})
    return kept.one_or_none() is not None
