"""What was heard, stored: one statement for each kind of fact, whatever the number of events."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import (
    AttendanceRecorded,
    CourseMarked,
    Event,
    ExclusionRecorded,
    Harm,
    IncidentRecorded,
    SchoolCalendarSet,
    SchoolDayClosed,
    StudentEnrolled,
    SurveyScored,
)
from common.events.sis import plain
from mtss.deciding import Touched
from mtss.models import Calendar, ClosedDay, Enrolment, Exclusion, Incident, Mark, Score


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a statement's input: its name, its SQL type, and where the event has it.

    What has no array of its own travels as text and is ``cast`` at the end.
    """

    name: str
    type: str
    attribute: str
    written: Callable[[Any], Any] | None = None
    cast: str = ""


def _unnested(columns: Sequence[Column]) -> str:
    arrays = ", ".join(f"CAST(:{each.name} AS {each.type}[])" for each in columns)
    return f"unnest({arrays}) AS heard({', '.join(each.name for each in columns)})"


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of fact is stored. The statement answers with the students it touches."""

    event: type[Event]
    columns: tuple[Column, ...]
    statement: sa.TextClause
    touches: str

    async def store(self, session: AsyncSession, heard: Iterable[Event]) -> Iterable[UUID]:
        """Store each fact's highest revision, if it is higher than the stored one."""
        latest: dict[Any, Event] = {}
        fact_of = attrgetter(*self.event.fact)
        for event in heard:
            fact = fact_of(event)
            known = latest.get(fact)
            if known is None or known.revision < event.revision:
                latest[fact] = event
        touched = (await session.execute(self.statement, self._arrays(latest.values()))).scalar_one()
        return touched or ()

    def _arrays(self, events: Iterable[Event]) -> Mapping[str, Sequence[Any]]:
        rows = map(attrgetter(*(each.attribute for each in self.columns)), events)
        columns = zip(self.columns, zip(*rows, strict=True), strict=True)
        return {
            each.name: list(map(each.written, values)) if each.written else list(values) for each, values in columns
        }


# The row that stands is superseded before the new one is inserted: an index allows only one to stand. The count makes
# PostgreSQL finish the first before it begins the second.
def _kept(table: Any, columns: Sequence[Column], touched: str) -> sa.TextClause:
    name = table.__tablename__
    names = ", ".join(each.name for each in columns)
    values = ", ".join(f"heard.{each.name}{each.cast}" for each in columns)
    same = " AND ".join(f"was.{key} = heard.{key}" for key in table.fact)
    return sa.text(
        f"""
        WITH heard AS (SELECT * FROM {_unnested(columns)}),
        outdated AS (
            UPDATE {name} AS was SET superseded_at = now(), superseded_by = pg_current_xact_id() FROM heard
            WHERE {same} AND was.superseded_at IS NULL AND was.revision < heard.revision RETURNING was.*
        ), kept AS (
            INSERT INTO {name} ({names}, known_at) SELECT {values}, now() FROM heard
            WHERE (SELECT count(*) FROM outdated) >= 0 AND NOT EXISTS (
                SELECT FROM {name} AS was WHERE {same} AND was.superseded_at IS NULL AND was.revision >= heard.revision
            ) RETURNING *
        )
        SELECT array_agg(DISTINCT student_id) FROM ({touched}) AS touched
        """  # noqa: S608 (made of our own names only)
    )


_STUDENT = "SELECT student_id FROM kept UNION ALL SELECT student_id FROM outdated"
_AT_SCHOOL = """
    SELECT e.student_id FROM kept JOIN mtss_enrolment e USING (school_id) WHERE e.superseded_at IS NULL AND NOT e.deleted
"""
_AT_SCHOOL_THAT_DAY = f"{_AT_SCHOOL} AND e.entry_on <= kept.day AND (e.exit_on IS NULL OR e.exit_on >= kept.day)"

_REVISION = (Column("revision", "bigint", "revision"), Column("deleted", "boolean", "deleted"))
_STUDENT_ID = Column("student_id", "uuid", "student_id")
_SCHOOL_ID = Column("school_id", "text", "school_id")


def _days(days: Sequence[Any]) -> str:
    return "{" + ",".join(day.isoformat() for day in days) + "}"


def _codes(actions: Sequence[str]) -> str:
    return "\n".join(sorted({plain(code) for code in actions}))


def _says(harm: Harm, harms: Sequence[Harm]) -> bool:
    return harm in harms


def _scores(scores: Sequence[Any]) -> str:
    return json.dumps([score.model_dump() for score in scores])


_ENROLMENT = (
    _STUDENT_ID,
    _SCHOOL_ID,
    Column("entry_on", "date", "entry_on"),
    Column("exit_on", "date", "exit_on"),
    Column("is_primary", "boolean", "primary"),
    Column("grade", "text", "grade"),
    *_REVISION,
)
_CALENDAR = (
    _SCHOOL_ID,
    Column("school_year", "int", "school_year"),
    Column("days", "text", "instructional_days", _days, "::date[]"),
    *_REVISION,
)
_CLOSED_DAY = (_SCHOOL_ID, Column("day", "date", "on"), Column("implied", "boolean", "implied"), *_REVISION)
_INCIDENT = (
    Column("association_id", "uuid", "association_id"),
    Column("incident_id", "uuid", "incident_id"),
    _STUDENT_ID,
    _SCHOOL_ID,
    Column("day", "date", "on"),
    *(Column(harm, "boolean", "harms", partial(_says, harm)) for harm in Harm),
    *_REVISION,
)
_EXCLUSION = (
    Column("action_id", "uuid", "action_id"),
    _STUDENT_ID,
    _SCHOOL_ID,
    Column("day", "date", "on"),
    Column("hundredths", "int", "hundredths"),
    Column("actions", "text", "actions", _codes),
    *_REVISION,
)
_MARK = (
    Column("mark_id", "uuid", "mark_id"),
    _STUDENT_ID,
    Column("section_id", "uuid", "section_id"),
    _SCHOOL_ID,
    Column("day", "date", "on"),
    Column("failing", "boolean", "failing"),
    *_REVISION,
)
_SCORE = (
    _STUDENT_ID,
    Column("window_id", "uuid", "window_id"),
    _SCHOOL_ID,
    Column("instrument", "text", "instrument"),
    Column("answered_on", "date", "answered_on"),
    Column("scores", "text", "scores", _scores, "::jsonb"),
    *_REVISION,
)
_ATTENDANCE = (
    _STUDENT_ID,
    _SCHOOL_ID,
    Column("day", "date", "on"),
    Column("hundredths_absent", "smallint", "hundredths_absent"),
    Column("kind", "text", "kind"),
    *_REVISION,
)

# A day without a row is a day attended. Only what differs on a day that was closed at any time is a change: what was known
# while it was must be told later. LIMIT keeps the look-up one by its index, also where the planner knows no numbers yet.
_RECORDED = sa.text(
    f"""
    WITH recorded AS (
        INSERT INTO mtss_attendance AS a (student_id, school_id, day, hundredths_absent, kind, revision)
        SELECT student_id, school_id, day, CASE WHEN deleted THEN 0 ELSE hundredths_absent END,
               CASE WHEN deleted THEN NULL ELSE kind END, revision
        FROM {_unnested(_ATTENDANCE)}
        ON CONFLICT (student_id, school_id, day) DO UPDATE
        SET hundredths_absent = excluded.hundredths_absent, kind = excluded.kind, revision = excluded.revision
        WHERE a.revision < excluded.revision
        RETURNING new.*, coalesce(old.hundredths_absent, 0) AS before, old.kind AS kind_before
    ), late AS (
        SELECT r.* FROM recorded r, LATERAL (
            SELECT FROM mtss_closed_day c WHERE c.school_id = r.school_id AND c.day = r.day LIMIT 1
        ) AS ever_closed
        WHERE (r.before, r.kind_before) IS DISTINCT FROM (r.hundredths_absent, r.kind)
    ), noted AS (
        INSERT INTO mtss_attendance_change
            (student_id, school_id, day, revision, before, after, kind_before, kind_after, known_at)
        SELECT student_id, school_id, day, l.revision, before, hundredths_absent, kind_before, kind, now() FROM late l
    )
    SELECT array_agg(DISTINCT student_id) FROM late
    """  # noqa: S608 (made of our own names only)
)

# Attendance comes before the closings of its own batch: what is known at the same time did not change.
_KINDS = (
    Kind(StudentEnrolled, _ENROLMENT, _kept(Enrolment, _ENROLMENT, _STUDENT), "enrolled"),
    Kind(SchoolCalendarSet, _CALENDAR, _kept(Calendar, _CALENDAR, _AT_SCHOOL), "school"),
    Kind(AttendanceRecorded, _ATTENDANCE, _RECORDED, "own"),
    Kind(SchoolDayClosed, _CLOSED_DAY, _kept(ClosedDay, _CLOSED_DAY, _AT_SCHOOL_THAT_DAY), "school"),
    Kind(IncidentRecorded, _INCIDENT, _kept(Incident, _INCIDENT, _STUDENT), "own"),
    Kind(ExclusionRecorded, _EXCLUSION, _kept(Exclusion, _EXCLUSION, _STUDENT), "own"),
    Kind(CourseMarked, _MARK, _kept(Mark, _MARK, _STUDENT), "own"),
    Kind(SurveyScored, _SCORE, _kept(Score, _SCORE, _STUDENT), "own"),
)


# A revision is the time at which it was accepted, in microseconds since 1970.
_PUSHED = sa.text(
    """
    INSERT INTO mtss_push AS p (school_id, accepted_at)
    SELECT school_id, to_timestamp(max(revision) / 1e6)
    FROM unnest(CAST(:schools AS text[]), CAST(:revisions AS bigint[])) AS heard(school_id, revision)
    GROUP BY school_id ORDER BY school_id
    ON CONFLICT (school_id) DO UPDATE SET accepted_at = greatest(p.accepted_at, excluded.accepted_at)
    """
)


async def store(session: AsyncSession, heard: Sequence[Event]) -> Touched:
    """Store ``heard``; return whom it touches."""
    newest: dict[str, int] = {}
    by_type: dict[type[Event], list[Event]] = {}
    for event in heard:
        by_type.setdefault(type(event), []).append(event)
        if event.owner == "sis":
            newest[event.key] = max(event.revision, newest.get(event.key, 0))
    if newest:
        await session.execute(_PUSHED, {"schools": list(newest), "revisions": list(newest.values())})
    touched = Touched()
    for kind in _KINDS:
        if mine := by_type.get(kind.event):
            getattr(touched, kind.touches).update(await kind.store(session, mine))
    return touched
