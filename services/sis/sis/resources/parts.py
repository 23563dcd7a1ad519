"""Parts that several resources share."""

from typing import Any

from sis.resources.kinds import Reference
from sis.rules.members import Member
from sis.rules.values import descriptor, identifier, identifiers, school_id, text, year


def needed(read: Any) -> Member:
    """A member that must be there."""
    return Member(read, required=True)


def listed(**shape: Member) -> Member:
    """A list of objects."""
    return Member(shape, many=True)


def reference(**shape: Member) -> Member:
    """An object that must be there."""
    return Member(shape, required=True)


def paths(head: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The members ``names`` of the object at ``head``."""
    return tuple(f"{head}.{name}" for name in names)


STUDENT = reference(studentUniqueId=needed(identifier))
SCHOOL = reference(schoolId=needed(school_id))
SCHOOL_YEAR = reference(schoolYear=needed(year))
ORGANIZATION = reference(educationOrganizationId=needed(school_id))
STAFF = reference(staffUniqueId=needed(identifier))
PERIOD = Member(identifier, required=True, older="periodSequence")
"""The name of a grading period; Data Standard 4 numbers them instead, and then the number is the name."""
NAME = Member(text(120))
LANGUAGES = listed(languageDescriptor=needed(descriptor), uses=listed(languageUseDescriptor=needed(descriptor)))

OFFERING = {
    "localCourseCode": needed(identifier),
    "schoolId": needed(school_id),
    "schoolYear": needed(year),
    "sessionName": needed(text(60)),
}
SECTION_KEY = ("sectionIdentifier", *OFFERING)
SECTION_MEMBERS = {"sectionIdentifier": needed(identifiers(255)), **OFFERING}
SECTION = reference(**SECTION_MEMBERS)

TO_STUDENT = Reference("students", "studentReference", ("studentUniqueId",))
TO_SCHOOL = Reference("schools", "schoolReference", ("schoolId",))
TO_STAFF = Reference("staffs", "staffReference", ("staffUniqueId",))
TO_SECTION = Reference("sections", "sectionReference", SECTION_KEY)
