"""Schools, students and their enrolments."""

from collections.abc import Mapping
from typing import Any

from sis.resources.kinds import Resource
from sis.resources.parts import NAME, SCHOOL, STUDENT, TO_SCHOOL, TO_STUDENT, needed
from sis.rules.members import InvalidMember, Member, day, descriptor, flag, identifier, school_id


def _exit_not_before_entry(body: Mapping[str, Any]) -> None:
    if body.get("exitWithdrawDate", body["entryDate"]) < body["entryDate"]:
        raise InvalidMember(field="$.exitWithdrawDate", rule="must not be before entryDate")


ROSTER = (
    Resource(
        name="schools",
        shape={"schoolId": needed(school_id), "nameOfInstitution": NAME},
        identity=("schoolId",),
        school="schoolId",
    ),
    Resource(
        name="students",
        shape={"studentUniqueId": needed(identifier), "firstName": NAME, "lastSurname": NAME},
        identity=("studentUniqueId",),
    ),
    Resource(
        name="studentSchoolAssociations",
        shape={
            "studentReference": STUDENT,
            "schoolReference": SCHOOL,
            "entryDate": needed(day),
            "exitWithdrawDate": Member(day),
            "entryGradeLevelDescriptor": Member(descriptor),
            "primarySchool": Member(flag),
        },
        identity=("studentReference.studentUniqueId", "schoolReference.schoolId", "entryDate"),
        references=(TO_STUDENT, TO_SCHOOL),
        school="schoolReference.schoolId",
        on="entryDate",
        check=_exit_not_before_entry,
    ),
)
