"""Incidents, parts in them, and actions."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sis.resources.kinds import Reference, Resource
from sis.resources.parts import SCHOOL, STAFF, STUDENT, TO_SCHOOL, TO_STAFF, TO_STUDENT, listed, needed, reference
from sis.rules.members import InvalidMember, Member
from sis.rules.values import day, days, descriptor, identifier, school_id


def _some_school(body: Mapping[str, Any]) -> None:
    if "responsibilitySchoolReference" not in body and not body.get("studentDisciplineIncidentBehaviorAssociations"):
        raise InvalidMember(field="$.responsibilitySchoolReference", rule="is required where no incident is named")


_INCIDENT_KEY = ("incidentIdentifier", "schoolId")
_INCIDENT = {"incidentIdentifier": needed(identifier), "schoolId": needed(school_id)}
_LONGEST_EXCLUSION_DAYS = 1000

DISCIPLINE = (
    Resource(
        name="disciplineIncidents",
        shape={
            "incidentIdentifier": needed(identifier),
            "schoolReference": SCHOOL,
            "incidentDate": needed(day),
        },
        identity=("incidentIdentifier", "schoolReference.schoolId"),
        references=(TO_SCHOOL,),
        school="schoolReference.schoolId",
        on="incidentDate",
        after=("studentSchoolAssociations",),
    ),
    Resource(
        name="studentDisciplineIncidentBehaviorAssociations",
        shape={
            "studentReference": STUDENT,
            "disciplineIncidentReference": Member(_INCIDENT, required=True),
            "behaviorDescriptor": needed(descriptor),
        },
        identity=(
            "studentReference.studentUniqueId",
            "disciplineIncidentReference.incidentIdentifier",
            "disciplineIncidentReference.schoolId",
            "behaviorDescriptor",
        ),
        references=(TO_STUDENT, Reference("disciplineIncidents", "disciplineIncidentReference", _INCIDENT_KEY)),
        school="disciplineIncidentReference.schoolId",
        codes=frozenset(("behaviorDescriptor",)),
    ),
    Resource(
        name="disciplineActions",
        shape={
            "disciplineActionIdentifier": needed(identifier),
            "disciplineDate": needed(day),
            "studentReference": STUDENT,
            "responsibilitySchoolReference": Member({"schoolId": needed(school_id)}),
            "disciplines": Member({"disciplineDescriptor": needed(descriptor)}, required=True, many=True),
            "disciplineActionLength": Member(days(_LONGEST_EXCLUSION_DAYS)),
            "actualDisciplineActionLength": Member(days(_LONGEST_EXCLUSION_DAYS)),
            "studentDisciplineIncidentBehaviorAssociations": listed(
                studentDisciplineIncidentBehaviorAssociationReference=reference(
                    **_INCIDENT, studentUniqueId=Member(identifier), behaviorDescriptor=Member(descriptor)
                )
            ),
            "staffs": listed(staffReference=STAFF),
        },
        identity=("disciplineActionIdentifier", "disciplineDate", "studentReference.studentUniqueId"),
        references=(
            TO_STUDENT,
            Reference("schools", "responsibilitySchoolReference", ("schoolId",)),
            Reference(
                "disciplineIncidents",
                "studentDisciplineIncidentBehaviorAssociations[].studentDisciplineIncidentBehaviorAssociationReference",
                _INCIDENT_KEY,
            ),
            replace(TO_STAFF, at="staffs[].staffReference"),
        ),
        school="responsibilitySchoolReference.schoolId",
        on="disciplineDate",
        check=_some_school,
        after=("studentDisciplineIncidentBehaviorAssociations",),
    ),
)
