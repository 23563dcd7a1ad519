"""Sections, who sits in them, and the marks they give."""

from sis.resources.kinds import InOrder, Reference, Resource
from sis.resources.parts import (
    OFFERING,
    PERIOD,
    SECTION,
    SECTION_KEY,
    SECTION_MEMBERS,
    STUDENT,
    TO_SECTION,
    TO_STUDENT,
    needed,
    paths,
    reference,
)
from sis.rules.members import Member
from sis.rules.values import day, descriptor, identifier, identifiers, number, school_id, text, year

_ENROLLED = "studentSectionAssociationReference"

SECTIONS = (
    Resource(
        # The course and the session are never asked for: only the school must be known.
        name="sections",
        shape={"sectionIdentifier": needed(identifiers(255)), "courseOfferingReference": reference(**OFFERING)},
        identity=("sectionIdentifier", *paths("courseOfferingReference", tuple(OFFERING))),
        references=(Reference("schools", "courseOfferingReference", ("schoolId",)),),
        school="courseOfferingReference.schoolId",
        after=("sessions",),
    ),
    Resource(
        name="studentSectionAssociations",
        shape={
            "studentReference": STUDENT,
            "sectionReference": SECTION,
            "beginDate": needed(day),
            "endDate": Member(day),
        },
        identity=("studentReference.studentUniqueId", *paths("sectionReference", SECTION_KEY), "beginDate"),
        references=(TO_STUDENT, TO_SECTION),
        school="sectionReference.schoolId",
        on="beginDate",
        check=InOrder("beginDate", "endDate"),
        after=("studentSchoolAssociations",),
    ),
    Resource(
        # Marks. The grading period says until when one counts; an export may leave the period itself out.
        name="grades",
        shape={
            "gradeTypeDescriptor": needed(descriptor),
            "gradingPeriodReference": reference(
                gradingPeriodDescriptor=needed(descriptor),
                gradingPeriodName=PERIOD,
                schoolId=Member(school_id),
                schoolYear=Member(year),
            ),
            _ENROLLED: reference(studentUniqueId=needed(identifier), **SECTION_MEMBERS, beginDate=needed(day)),
            "letterGradeEarned": Member(text(20)),
            "numericGradeEarned": Member(number(-9_999_999, 9_999_999)),
        },
        identity=(
            "gradeTypeDescriptor",
            "gradingPeriodReference.gradingPeriodDescriptor",
            "gradingPeriodReference.gradingPeriodName",
            *paths(_ENROLLED, ("studentUniqueId", *SECTION_KEY, "beginDate")),
        ),
        references=(
            Reference("students", _ENROLLED, ("studentUniqueId",)),
            Reference("studentSectionAssociations", _ENROLLED, ("studentUniqueId", *SECTION_KEY, "beginDate")),
        ),
        school=f"{_ENROLLED}.schoolId",
        codes=frozenset(("gradeTypeDescriptor", "gradingPeriodReference.gradingPeriodDescriptor")),
        after=("gradingPeriods",),
    ),
)
