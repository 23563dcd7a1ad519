"""Who is where and who answers for whom, as events, each with a revision higher than all before; and the grounds made of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid5

from common.events import (
    Event,
    SchoolGoverned,
    SectionAttended,
    SectionTaught,
    StaffAssigned,
    StaffRelated,
    StudentEnrolled,
)
from common.events.sis import Relation
from sis.routes.relations import RelationAsked

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
        student_id=student, school_id=school, entry_on=entry_on, revision=next(_revisions), **{"grade": GRADE} | other
    )


def governed(school: str = "north", district: str = "district", **other: Any) -> SchoolGoverned:
    return SchoolGoverned(school_id=school, district_id=district, revision=next(_revisions), **other)


def assigned(
    staff: UUID = TEACHER,
    school: str = "north",
    begin_on: date = LONG_AGO,
    classification: str = "teacher",
    **other: Any,
) -> StaffAssigned:
    return StaffAssigned(
        staff_id=staff,
        school_id=school,
        classification=classification,
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
    said: dict[str, Any] = {"staff_id": staff, "kind": kind, "student_id": student, "begin_on": begin_on} | other
    RelationAsked.model_validate({name: value for name, value in said.items() if name != "deleted"})  # as it is made
    relation_id = named(kind, student, staff, other.get("grade"))
    return StaffRelated(relation_id=relation_id, revision=next(_revisions), **said)


@dataclass(frozen=True)
class Days:
    """The first and the last day on which something counts; without a last day it goes on."""

    first: date
    last: date | None = None


Ground = Callable[[UUID, UUID, str, Days], Event]
"""What lets a member of staff see a student, both by id, at a school, on these days."""
GRADE = "9"
"""Of every student here, who all sit in algebra where somebody says so."""


def _relation(kind: Relation) -> Ground:
    return lambda student, staff, _, days: related(kind, student, staff, days.first, end_on=days.last)


GROUNDS: Mapping[str, Ground] = {
    "school": lambda _, staff, school, days: assigned(staff, school, days.first, end_on=days.last),
    "section": lambda _, staff, school, days: teaches(staff, school=school, begin_on=days.first, end_on=days.last),
    "grade": lambda _, staff, school, days: related(
        Relation.GRADE, None, staff, days.first, end_on=days.last, school_id=school, grade=GRADE
    ),
    "caseload": _relation(Relation.CASELOAD),
    "counselor": _relation(Relation.COUNSELOR),
    "trusted_adult": _relation(Relation.TRUSTED_ADULT),
}
"""Every ground that a fact gives; whoever holds a conference took a step in it."""
