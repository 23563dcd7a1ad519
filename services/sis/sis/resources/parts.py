"""Parts that several resources share."""

from typing import Any

from sis.resources.kinds import Reference
from sis.rules.members import Member, identifier, school_id, text


def needed(read: Any) -> Member:
    """A member that must be there."""
    return Member(read, required=True)


def listed(**shape: Member) -> Member:
    """A list of objects."""
    return Member(shape, many=True)


def reference(**shape: Member) -> Member:
    """An object that must be there."""
    return Member(shape, required=True)


STUDENT = reference(studentUniqueId=needed(identifier))
SCHOOL = reference(schoolId=needed(school_id))
STAFF = reference(staffUniqueId=needed(identifier))
NAME = Member(text(120))
TO_STUDENT = Reference("students", "studentReference", ("studentUniqueId",))
TO_SCHOOL = Reference("schools", "schoolReference", ("schoolId",))
