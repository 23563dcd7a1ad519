"""What sight rests on, heard from ``sis``: the newest revision of each enrolment, school, assignment, section and relation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import (
    Event,
    SchoolGoverned,
    SectionAttended,
    SectionTaught,
    StaffAssigned,
    StaffRelated,
    StudentEnrolled,
)
from common.routing import EventRouter

_TYPES: dict[str, str] = {
    "student_id": "uuid",
    "staff_id": "uuid",
    "section_id": "uuid",
    "relation_id": "uuid",
    "entry_on": "date",
    "exit_on": "date",
    "begin_on": "date",
    "end_on": "date",
    "revision": "bigint",
    "deleted": "boolean",
}


@dataclass(frozen=True, slots=True)
class _Kept:
    """How one kind of fact is kept: the table, its columns, of which the first ``key`` find the row, and the statement."""

    columns: tuple[str, ...]
    statement: sa.TextClause

    async def keep(self, session: AsyncSession, facts: Iterable[Event]) -> None:
        rows = [[_value(fact, name) for name in self.columns] for fact in facts]
        arrays = zip(*rows, strict=True)
        await session.execute(self.statement, dict(zip(self.columns, map(list, arrays), strict=True)))


def _value(fact: Event, name: str) -> Any:
    value = getattr(fact, name)
    # A key has no gaps: without a begin it was always so. The driver writes the first date of all as -infinity.
    return date.min if name == "begin_on" and value is None else value


def _kept(table: str, key: Sequence[str], *others: str) -> _Kept:
    columns = (*key, *others, "revision", "deleted")
    arrays = ", ".join(f"CAST(:{name} AS {_TYPES.get(name, 'text')}[])" for name in columns)
    return _Kept(
        columns,
        sa.text(
            f"""
            INSERT INTO {table} AS known ({", ".join(columns)})
            SELECT DISTINCT ON ({", ".join(key)}) * FROM unnest({arrays}) AS heard({", ".join(columns)})
            ORDER BY {", ".join(key)}, revision DESC
            ON CONFLICT ({", ".join(key)}) DO UPDATE
            SET {", ".join(f"{name} = excluded.{name}" for name in columns if name not in key)}
            WHERE excluded.revision > known.revision
            """  # noqa: S608 (made of our own names only)
        ),
    )


_KEPT: dict[type[Event], _Kept] = {
    StudentEnrolled: _kept("scope_enrolment", ("student_id", "school_id", "entry_on"), "exit_on", "grade"),
    SchoolGoverned: _kept("scope_governed", ("school_id",), "district_id"),
    StaffAssigned: _kept("scope_assignment", ("staff_id", "school_id", "classification", "begin_on"), "end_on"),
    SectionTaught: _kept("scope_section_staff", ("staff_id", "section_id", "begin_on"), "school_id", "end_on"),
    SectionAttended: _kept("scope_section_student", ("student_id", "section_id", "begin_on"), "school_id", "end_on"),
    StaffRelated: _kept(
        "scope_relation",
        ("relation_id",),
        "staff_id",
        "kind",
        "student_id",
        "school_id",
        "grade",
        "begin_on",
        "end_on",
    ),
}

# Enrolments of one student come from several schools, so in several batches at a time: without a lock neither would count the
# other. One order for all, so that nobody waits in a ring.
_ALONE = sa.text(
    """
    SELECT pg_advisory_xact_lock(1935896432, lock) FROM (
        SELECT DISTINCT hashtext(student_id::text) AS lock FROM unnest(CAST(:students AS uuid[])) AS given(student_id) ORDER BY 1
    ) AS sorted
    """
)
# A student belongs to a school from entry to exit, and on until the day before another enrolment begins: so the school sees
# them over the summer. Nothing is added where another one goes on beyond the exit; who never came (exit = entry) was never there.
SEEN_UNTIL = sa.text(
    """
    UPDATE scope_enrolment AS e SET seen_until = counted.until
    FROM (
        SELECT mine.student_id, mine.school_id, mine.entry_on, CASE
            WHEN mine.deleted OR mine.exit_on <= mine.entry_on THEN '-infinity'
            WHEN mine.exit_on IS NULL THEN 'infinity'
            ELSE coalesce((
                SELECT greatest(mine.exit_on, min(other.entry_on) - 1) FROM scope_enrolment AS other
                WHERE other.student_id = mine.student_id AND NOT other.deleted
                  AND coalesce(other.exit_on, 'infinity') > greatest(other.entry_on, mine.exit_on)
                HAVING count(*) > 0
            ), 'infinity') END AS until
        FROM scope_enrolment AS mine WHERE mine.student_id = ANY(CAST(:students AS uuid[]))
    ) AS counted
    WHERE (e.student_id, e.school_id, e.entry_on) = (counted.student_id, counted.school_id, counted.entry_on)
      AND e.seen_until IS DISTINCT FROM counted.until
    """
)

HEARD = frozenset(_KEPT)
events = EventRouter()


@events.on_batch(*_KEPT)
async def keep_scope(heard: Sequence[Event], session: AsyncSession) -> None:
    """Keep the newest revision of each fact, and from when until when each school sees a student."""
    by_type: dict[type[Event], list[Event]] = {}
    for event in heard:
        if type(event) in _KEPT:
            by_type.setdefault(type(event), []).append(event)
    students = {"students": list({event.student_id for event in heard if isinstance(event, StudentEnrolled)})}
    if enrolments := by_type.pop(StudentEnrolled, None):
        await session.execute(_ALONE, students)
        await _KEPT[StudentEnrolled].keep(session, enrolments)
        await session.execute(SEEN_UNTIL, students)
    for kind, facts in by_type.items():
        await _KEPT[kind].keep(session, facts)
