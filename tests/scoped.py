"""Who is where and who answers for whom, as events, each with a revision higher than all before."""

from datetime import date, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid5

from common.events import SectionAttended, SectionTaught, StaffAssigned, StaffRelated, StudentEnrolled
from common.events.sis import Relation

_NAMES = UUID("73636f70-0000-0000-0000-000000000000")
_revisions = count(2_000_000)

TODAY = date(2026, 10, 14)
YESTERDAY, TOMORROW = TODAY - timedelta(days=1), TODAY + timedelta(days=1)
LONG_AGO = date(2026, 8, 17)


def named(*parts: object) -> UUID:
    """Always the same id for the same words."""
    return uuid5(_NAMES, "/".join(map(str, parts)))


ANA, BEN, CAM = named("Ana"), named("Ben"), named("Cam")
TEACHER = named("teacher")
ALGEBRA = named("algebra")


def enrolled(student: UUID = ANA, school: str = "north", entry_on: date = LONG_AGO, **other: Any) -> StudentEnrolled:
    return StudentEnrolled(
        student_id=student, school_id=school, entry_on=entry_on, revision=next(_revisions), **{"grade": "9"} | other
    )


def assigned(staff: UUID = TEACHER, school: str = "north", begin_on: date = LONG_AGO, **other: Any) -> StaffAssigned:
    return StaffAssigned(
        staff_id=staff,
        school_id=school,
        classification="teacher",
        begin_on=begin_on,
        revision=next(_revisions),
        **other,
    )


def teaches(staff: UUID = TEACHER, section: UUID = ALGEBRA, school: str = "north", **other: Any) -> SectionTaught:
    return SectionTaught(staff_id=staff, section_id=section, school_id=school, revision=next(_revisions), **other)


def attends(
    student: UUID = ANA, section: UUID = ALGEBRA, school: str = "north", begin_on: date = LONG_AGO, **other: Any
) -> SectionAttended:
    return SectionAttended(
        student_id=student,
        section_id=section,
        school_id=school,
        begin_on=begin_on,
        revision=next(_revisions),
        **other,
    )


def related(
    kind: Relation, student: UUID | None = ANA, staff: UUID = TEACHER, begin_on: date = LONG_AGO, **other: Any
) -> StaffRelated:
    return StaffRelated(
        relation_id=named(kind, student, staff, other.get("grade")),
        staff_id=staff,
        kind=kind,
        student_id=student,
        begin_on=begin_on,
        revision=next(_revisions),
        **other,
    )
