"""What ``sis`` says: the roster, calendars, attendance, incidents, exclusions and who teaches whom, as the SIS told them."""

import re
from datetime import date
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from common.events.base import Event, Hundredths, SchoolId


def plain(code: str) -> str:
    """A code value without regard to capitals, spaces and hyphens: how codes that a district writes down are compared."""
    return " ".join(re.split(r"[\W_]+", code.casefold())).strip()


class AttendanceKind(StrEnum):
    """What kind of day it was, resolved from all rows of one student, school and day."""

    PRESENT = "present"
    EXCUSED = "excused"
    UNEXCUSED = "unexcused"
    TARDY = "tardy"
    PARTIAL = "partial"
    EARLY_DEPARTURE = "early_departure"
    ACTIVITY = "activity"


class StudentEnrolled(Event):
    """A student's enrolment at a school. Entry and exit days both count; exit = entry is a no-show."""

    owner: ClassVar[str] = "sis"
    fact: ClassVar[tuple[str, ...]] = ("student_id", "school_id", "entry_on")
    subject_field: ClassVar[str] = "student_id"
    key_field: ClassVar[str] = "school_id"

    student_id: UUID
    school_id: SchoolId
    entry_on: date
    exit_on: date | None = None
    grade: Annotated[str | None, Field(max_length=60)] = None
    primary: bool = True


class SchoolCalendarSet(Event):
    """All instructional days of one school in one school year, ascending and distinct."""

    owner: ClassVar[str] = "sis"
    fact: ClassVar[tuple[str, ...]] = ("school_id", "school_year")
    subject_field: ClassVar[str] = "school_id"
    key_field: ClassVar[str] = "school_id"

    school_id: SchoolId
    school_year: Annotated[int, Field(ge=1900, le=2200, description="The year in which the school year ends.")]
    instructional_days: tuple[date, ...]


class AttendanceRecorded(Event):
    """How much of one day a student missed at a school, resolved from all rows of that day."""

    owner: ClassVar[str] = "sis"
    fact: ClassVar[tuple[str, ...]] = ("student_id", "school_id", "on")
    subject_field: ClassVar[str] = "student_id"
    key_field: ClassVar[str] = "school_id"

    student_id: UUID
    school_id: SchoolId
    on: date
    hundredths_absent: Annotated[int, Field(ge=0, le=100)]
    kind: AttendanceKind


class SchoolDayClosed(Event):
    """A school has submitted its attendance for one instructional day: no record on it now means present."""

    owner: ClassVar[str] = "sis"
    fact: ClassVar[tuple[str, ...]] = ("school_id", "on")
    subject_field: ClassVar[str] = "school_id"
    key_field: ClassVar[str] = "school_id"

    school_id: SchoolId
    on: date
    implied: bool = Field(default=False, description="Closed by a later day without any row of its own.")


class Harm(StrEnum):
    """What came of somebody's part in an incident."""

    INJURY = "injury"
    DAMAGE = "damage"


class IncidentRecorded(Event):
    """One student's part in one incident: an office discipline referral."""

    owner: ClassVar[str] = "sis"
    fact: ClassVar[tuple[str, ...]] = ("association_id",)
    subject_field: ClassVar[str] = "student_id"
    key_field: ClassVar[str] = "school_id"

    association_id: UUID
    incident_id: UUID
    student_id: UUID
    school_id: SchoolId
    on: date
    harms: Annotated[
        tuple[Harm, ...], Field(description="By how the district reads the behavior. Empty also where it says neither.")
    ] = ()


class ExclusionRecorded(Event):
    """One disciplinary action on one student: what was proposed and what was served."""

    owner: ClassVar[str] = "sis"
    fact: ClassVar[tuple[str, ...]] = ("action_id", "student_id")
    subject_field: ClassVar[str] = "student_id"
    key_field: ClassVar[str] = "school_id"

    action_id: UUID
    student_id: UUID
    school_id: SchoolId
    incident_ids: tuple[UUID, ...]
    actions: Annotated[tuple[str, ...], Field(description="Code values of the discipline descriptors.")]
    on: date
    hundredths_proposed: Hundredths
    hundredths_served: Hundredths | None = None
    staff_ids: Annotated[tuple[UUID, ...], Field(description="Our ids of the staff the action names.")] = ()

    @property
    def hundredths(self) -> int:
        """Of a day: what was served, or, as long as nobody says so, what was proposed."""
        return self.hundredths_proposed if self.hundredths_served is None else self.hundredths_served


class SchoolGoverned(Event):
    """A school, and the district that it is of: its local education agency. Gone where the SIS names none any more."""

    owner: ClassVar[str] = "sis"
    fact: ClassVar[tuple[str, ...]] = ("school_id",)
    subject_field: ClassVar[str] = "school_id"
    key_field: ClassVar[str] = "school_id"

    school_id: SchoolId
    district_id: Annotated[SchoolId, Field(description="The SIS's localEducationAgencyId.")]


class StaffAssigned(Event):
    """A staff member's assignment to a school, or to the district. Both days count; without an end it goes on."""

    owner: ClassVar[str] = "sis"
    fact: ClassVar[tuple[str, ...]] = ("staff_id", "school_id", "classification", "begin_on")
    subject_field: ClassVar[str] = "staff_id"
    key_field: ClassVar[str] = "school_id"

    staff_id: UUID
    school_id: Annotated[SchoolId, Field(description="The SIS's educationOrganizationId: a school, or the district.")]
    classification: Annotated[str, Field(max_length=306, description="Code value of the descriptor, in lower case.")]
    begin_on: date
    end_on: date | None = None


class SectionTaught(Event):
    """A staff member teaches a section. Both days count; without a begin it counts from the first day of the section."""

    owner: ClassVar[str] = "sis"
    fact: ClassVar[tuple[str, ...]] = ("staff_id", "section_id", "begin_on")
    subject_field: ClassVar[str] = "staff_id"
    key_field: ClassVar[str] = "school_id"

    staff_id: UUID
    section_id: UUID
    school_id: SchoolId
    begin_on: date | None = None
    end_on: date | None = None


class SectionAttended(Event):
    """A student sits in a section. Both days count; without an end it goes on."""

    owner: ClassVar[str] = "sis"
    fact: ClassVar[tuple[str, ...]] = ("student_id", "section_id", "begin_on")
    subject_field: ClassVar[str] = "student_id"
    key_field: ClassVar[str] = "school_id"

    student_id: UUID
    section_id: UUID
    school_id: SchoolId
    begin_on: date
    end_on: date | None = None


class CourseMarked(Event):
    """A student passed a course or did not, by one mark at the end of one grading period; never the mark itself."""

    owner: ClassVar[str] = "sis"
    fact: ClassVar[tuple[str, ...]] = ("mark_id",)
    subject_field: ClassVar[str] = "student_id"
    key_field: ClassVar[str] = "school_id"

    mark_id: UUID
    student_id: UUID
    section_id: UUID
    school_id: SchoolId
    on: Annotated[date, Field(description="The last day of the grading period.")]
    failing: Annotated[bool, Field(description="By the district's own reading of its marks.")]


class Relation(StrEnum):
    """What makes a staff member responsible for students beyond the sections they teach."""

    CASELOAD = "caseload"
    COUNSELOR = "counselor"
    TRUSTED_ADULT = "trusted_adult"
    GRADE = "grade"


class StaffRelated(Event):
    """A staff member answers for one student, or for a grade of a school. Both days count; made here, not in the SIS."""

    owner: ClassVar[str] = "sis"
    fact: ClassVar[tuple[str, ...]] = ("relation_id",)
    subject_field: ClassVar[str] = "staff_id"
    key_field: ClassVar[str] = "staff_id"

    relation_id: UUID
    staff_id: UUID
    kind: Relation
    student_id: UUID | None = None
    school_id: SchoolId | None = None
    grade: Annotated[str | None, Field(max_length=60)] = None
    begin_on: date
    end_on: date | None = None


class AlertKind(StrEnum):
    """What an alert is about."""

    SCHOOL_NOT_SUBMITTED = "school-not-submitted"
    SOURCE_SILENT = "source-silent"
    ROWS_WAITING = "rows-waiting"


class AlertRaised(Event):
    """A school or a source that district IT should look after, said again at each set age; gone once it is over."""

    owner: ClassVar[str] = "sis"
    fact: ClassVar[tuple[str, ...]] = ("kind", "about", "since")
    subject_field: ClassVar[str] = "about"
    key_field: ClassVar[str] = "about"

    kind: AlertKind
    about: Annotated[str, Field(min_length=1, description="The school, or the source by its id; never by a name.")]
    school_id: SchoolId | None = None
    since: date
    school_days: Annotated[int, Field(ge=0, description="The highest set age it has come to; 0: listed.")]
