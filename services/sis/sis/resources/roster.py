"""Schools, students, their enrolments, and their languages and groups."""

from sis.resources.kinds import InOrder, Resource
from sis.resources.parts import LANGUAGES, NAME, ORGANIZATION, SCHOOL, STUDENT, TO_SCHOOL, TO_STUDENT, listed, needed
from sis.rules.members import Member
from sis.rules.values import day, descriptor, flag, identifier, school_id

ROSTER = (
    Resource(
        name="schools",
        shape={
            "schoolId": needed(school_id),
            "nameOfInstitution": NAME,
            "localEducationAgencyReference": Member({"localEducationAgencyId": needed(school_id)}),
        },
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
        check=InOrder("entryDate", "exitWithdrawDate"),
    ),
    Resource(
        # Home languages for contact, groups for equity reports: read nowhere else, and never answered at the door.
        name="studentEducationOrganizationAssociations",
        shape={
            "studentReference": STUDENT,
            "educationOrganizationReference": ORGANIZATION,
            "languages": LANGUAGES,
            "races": listed(raceDescriptor=needed(descriptor)),
            "hispanicLatinoEthnicity": Member(flag),
            "sexDescriptor": Member(descriptor),
            "disabilities": listed(disabilityDescriptor=needed(descriptor)),
        },
        identity=("studentReference.studentUniqueId", "educationOrganizationReference.educationOrganizationId"),
        references=(TO_STUDENT,),
        sealed=frozenset(("languages", "races", "hispanicLatinoEthnicity", "sexDescriptor", "disabilities")),
        school="educationOrganizationReference.educationOrganizationId",
    ),
)
