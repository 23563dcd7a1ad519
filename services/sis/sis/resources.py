"""The Ed-Fi resources that the door accepts, as a table: what is read, what identifies, what is sealed, what is referred to.

Source: Ed-Fi Data Standard 5.2. Members that are not named here are dropped unstored.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic_core import to_json

from common.errors import NotFound
from sis.policy import ATTENDANCE, CALENDAR
from sis.rules.members import (
    InvalidMember,
    Member,
    Shape,
    day,
    days,
    descriptor,
    flag,
    identifier,
    known_code,
    objects_at,
    order,
    school_id,
    text,
    value_at,
    year,
)


@dataclass(frozen=True, slots=True)
class Reference:
    """What a document refers to: the target resource, where the reference stands, and its members in key order."""

    to: str
    at: str
    members: tuple[str, ...]

    def keys(self, body: Mapping[str, Any]) -> Iterator[str]:
        """The natural keys that ``body`` refers to."""
        for found in objects_at(body, self.at):
            yield key_text(found[name] for name in self.members)


@dataclass(frozen=True)
class Resource:
    """One Ed-Fi resource."""

    name: str
    shape: Shape
    identity: tuple[str, ...]
    """Paths of the members that together identify a document; those that are not required may be missing."""
    references: tuple[Reference, ...] = ()
    sealed: frozenset[str] = frozenset()
    school: str | None = None
    """Path of the schoolId, and below of the day, that the document is about."""
    on: str | None = None
    codes: frozenset[str] = frozenset()
    """Those of ``identity`` that are descriptors: they compare by code value in any case."""
    check: Callable[[Mapping[str, Any]], None] = lambda body: None
    """What no single member can say: raises :class:`InvalidMember`."""

    @cached_property
    def leaves(self) -> dict[str, str]:
        """Leaf names of the natural key and their paths, as they stand in a query."""
        return {path.rpartition(".")[2]: path for path in self.identity}

    @cached_property
    def identity_shape(self) -> Shape:
        """The shape of a document that need only identify."""
        return _narrowed(self.shape, self.identity)

    def key(self, body: Mapping[str, Any]) -> str:
        """The natural key as text."""
        return key_text(self._comparable(path, value_at(body, path)) for path in self.identity)

    def _comparable(self, path: str, value: Any) -> Any:
        return value.rpartition("#")[2].strip().lower() if path in self.codes else value


def _exit_not_before_entry(body: Mapping[str, Any]) -> None:
    if body.get("exitWithdrawDate", body["entryDate"]) < body["entryDate"]:
        raise InvalidMember(field="$.exitWithdrawDate", rule="must not be before entryDate")


def _some_school(body: Mapping[str, Any]) -> None:
    if "responsibilitySchoolReference" not in body and not body.get("studentDisciplineIncidentBehaviorAssociations"):
        raise InvalidMember(field="$.responsibilitySchoolReference", rule="is required where no incident is named")


def key_text(values: Iterator[Any]) -> str:
    """Values of a natural key as one text, the same for the same values."""
    return to_json(list(values)).decode()


def resource_named(name: str) -> Resource:
    """The resource of that name.

    Raises:
        NotFound: Trellis takes no such resource.
    """
    if name not in RESOURCES:
        raise NotFound(what="resource")
    return RESOURCES[name]


def _narrowed(shape: Shape, paths: tuple[str, ...]) -> Shape:
    narrow: dict[str, Member] = {}
    for name in dict.fromkeys(path.partition(".")[0] for path in paths):
        member = shape[name]
        inner = tuple(rest for head, _, rest in (path.partition(".") for path in paths) if head == name and rest)
        narrow[name] = (
            Member(_narrowed(member.read, inner), member.required) if isinstance(member.read, Mapping) else member
        )
    return narrow


def _needed(read: Any) -> Member:
    return Member(read, required=True)


def _list(**shape: Member) -> Member:
    return Member(shape, many=True)


def _reference(**shape: Member) -> Member:
    return Member(shape, required=True)


_STUDENT = _reference(studentUniqueId=_needed(identifier))
_SCHOOL = _reference(schoolId=_needed(school_id))
_STAFF = _reference(staffUniqueId=_needed(identifier))
_NAME = Member(text(120))
_TO_STUDENT = Reference("students", "studentReference", ("studentUniqueId",))
_TO_SCHOOL = Reference("schools", "schoolReference", ("schoolId",))
_INCIDENT_KEY = ("incidentIdentifier", "schoolId")
_INCIDENT = {"incidentIdentifier": _needed(identifier), "schoolId": _needed(school_id)}
_LONGEST_EXCLUSION_DAYS = 1000

_ALL = (
    Resource(
        name="schools",
        shape={"schoolId": _needed(school_id), "nameOfInstitution": _NAME},
        identity=("schoolId",),
        school="schoolId",
    ),
    Resource(
        name="students",
        shape={"studentUniqueId": _needed(identifier), "firstName": _NAME, "lastSurname": _NAME},
        identity=("studentUniqueId",),
    ),
    Resource(
        name="studentSchoolAssociations",
        shape={
            "studentReference": _STUDENT,
            "schoolReference": _SCHOOL,
            "entryDate": _needed(day),
            "exitWithdrawDate": Member(day),
            "entryGradeLevelDescriptor": Member(descriptor),
            "primarySchool": Member(flag),
        },
        identity=("studentReference.studentUniqueId", "schoolReference.schoolId", "entryDate"),
        references=(_TO_STUDENT, _TO_SCHOOL),
        school="schoolReference.schoolId",
        on="entryDate",
        check=_exit_not_before_entry,
    ),
    Resource(
        name="contacts",
        shape={
            "contactUniqueId": _needed(identifier),
            "firstName": _NAME,
            "lastSurname": _NAME,
            "languages": _list(
                languageDescriptor=_needed(descriptor), uses=_list(languageUseDescriptor=_needed(descriptor))
            ),
            "electronicMails": _list(
                electronicMailAddress=_needed(text(254)), primaryEmailAddressIndicator=Member(flag)
            ),
            "addresses": _list(
                addressTypeDescriptor=Member(descriptor),
                streetNumberName=Member(text(150)),
                apartmentRoomSuiteNumber=Member(text(50)),
                city=Member(text(60)),
                stateAbbreviationDescriptor=Member(descriptor),
                postalCode=Member(text(20)),
                periods=_list(beginDate=Member(day), endDate=Member(day)),
            ),
            "telephones": _list(
                telephoneNumber=_needed(text(40)),
                telephoneNumberTypeDescriptor=Member(descriptor),
                orderOfPriority=Member(order),
            ),
        },
        identity=("contactUniqueId",),
        sealed=frozenset(("firstName", "lastSurname", "languages", "electronicMails", "addresses", "telephones")),
    ),
    Resource(
        name="studentContactAssociations",
        shape={
            "studentReference": _STUDENT,
            "contactReference": _reference(contactUniqueId=_needed(identifier)),
            "relationDescriptor": Member(descriptor),
            "livesWith": Member(flag),
            "primaryContactStatus": Member(flag),
            "contactRestrictions": Member(text(1000, lines=True)),
        },
        identity=("studentReference.studentUniqueId", "contactReference.contactUniqueId"),
        references=(_TO_STUDENT, Reference("contacts", "contactReference", ("contactUniqueId",))),
        sealed=frozenset(("contactRestrictions",)),
    ),
    Resource(name="staffs", shape={"staffUniqueId": _needed(identifier)}, identity=("staffUniqueId",)),
    Resource(
        # The organisation may be the district, which is never pushed: it is not checked.
        name="staffEducationOrganizationAssignmentAssociations",
        shape={
            "staffReference": _STAFF,
            "educationOrganizationReference": _reference(educationOrganizationId=_needed(school_id)),
            "staffClassificationDescriptor": _needed(descriptor),
            "beginDate": _needed(day),
            "endDate": Member(day),
        },
        identity=(
            "staffReference.staffUniqueId",
            "educationOrganizationReference.educationOrganizationId",
            "staffClassificationDescriptor",
            "beginDate",
        ),
        references=(Reference("staffs", "staffReference", ("staffUniqueId",)),),
        school="educationOrganizationReference.educationOrganizationId",
        codes=frozenset(("staffClassificationDescriptor",)),
    ),
    Resource(
        name="calendarDates",
        shape={
            "calendarReference": _reference(
                calendarCode=_needed(identifier), schoolId=_needed(school_id), schoolYear=_needed(year)
            ),
            "date": _needed(day),
            "calendarEvents": Member(
                {"calendarEventDescriptor": _needed(known_code(CALENDAR.known))}, required=True, many=True
            ),
        },
        identity=(
            "calendarReference.calendarCode",
            "calendarReference.schoolId",
            "calendarReference.schoolYear",
            "date",
        ),
        references=(Reference("schools", "calendarReference", ("schoolId",)),),
        school="calendarReference.schoolId",
        on="date",
    ),
    Resource(
        # The session tells rows of one day and category apart; sessions themselves are never asked for.
        name="studentSchoolAttendanceEvents",
        shape={
            "studentReference": _STUDENT,
            "schoolReference": _SCHOOL,
            "sessionReference": Member({"schoolYear": Member(year), "sessionName": Member(text(60))}),
            "eventDate": _needed(day),
            "attendanceEventCategoryDescriptor": _needed(known_code(ATTENDANCE.categories)),
            "eventDuration": Member(days(1)),
        },
        identity=(
            "studentReference.studentUniqueId",
            "schoolReference.schoolId",
            "eventDate",
            "attendanceEventCategoryDescriptor",
            "sessionReference.schoolYear",
            "sessionReference.sessionName",
        ),
        references=(_TO_STUDENT, _TO_SCHOOL),
        school="schoolReference.schoolId",
        on="eventDate",
        codes=frozenset(("attendanceEventCategoryDescriptor",)),
    ),
    Resource(
        name="disciplineIncidents",
        shape={
            "incidentIdentifier": _needed(identifier),
            "schoolReference": _SCHOOL,
            "incidentDate": _needed(day),
        },
        identity=("incidentIdentifier", "schoolReference.schoolId"),
        references=(_TO_SCHOOL,),
        school="schoolReference.schoolId",
        on="incidentDate",
    ),
    Resource(
        name="studentDisciplineIncidentBehaviorAssociations",
        shape={
            "studentReference": _STUDENT,
            "disciplineIncidentReference": Member(_INCIDENT, required=True),
            "behaviorDescriptor": _needed(descriptor),
        },
        identity=(
            "studentReference.studentUniqueId",
            "disciplineIncidentReference.incidentIdentifier",
            "disciplineIncidentReference.schoolId",
            "behaviorDescriptor",
        ),
        references=(_TO_STUDENT, Reference("disciplineIncidents", "disciplineIncidentReference", _INCIDENT_KEY)),
        school="disciplineIncidentReference.schoolId",
        codes=frozenset(("behaviorDescriptor",)),
    ),
    Resource(
        name="disciplineActions",
        shape={
            "disciplineActionIdentifier": _needed(identifier),
            "disciplineDate": _needed(day),
            "studentReference": _STUDENT,
            "responsibilitySchoolReference": Member({"schoolId": _needed(school_id)}),
            "disciplines": Member({"disciplineDescriptor": _needed(descriptor)}, required=True, many=True),
            "disciplineActionLength": Member(days(_LONGEST_EXCLUSION_DAYS)),
            "actualDisciplineActionLength": Member(days(_LONGEST_EXCLUSION_DAYS)),
            "studentDisciplineIncidentBehaviorAssociations": _list(
                studentDisciplineIncidentBehaviorAssociationReference=Member(_INCIDENT, required=True)
            ),
            "staffs": _list(staffReference=_STAFF),
        },
        identity=("disciplineActionIdentifier", "disciplineDate", "studentReference.studentUniqueId"),
        references=(
            _TO_STUDENT,
            Reference("schools", "responsibilitySchoolReference", ("schoolId",)),
            Reference(
                "disciplineIncidents",
                "studentDisciplineIncidentBehaviorAssociations[].studentDisciplineIncidentBehaviorAssociationReference",
                _INCIDENT_KEY,
            ),
            Reference("staffs", "staffs[].staffReference", ("staffUniqueId",)),
        ),
        school="responsibilitySchoolReference.schoolId",
        on="disciplineDate",
        check=_some_school,
    ),
)

RESOURCES: Mapping[str, Resource] = {resource.name: resource for resource in _ALL}

REFERENCED = frozenset(reference.to for resource in _ALL for reference in resource.references)
"""Resources that others refer to: their documents are not deleted while somebody does."""

LOCK_ORDER: Mapping[str, int] = {
    name: rank for rank, name in enumerate(("schools", "students", "contacts", "staffs", "disciplineIncidents"))
}
"""Referenced documents are locked in this order, then by key, so that no two requests wait for each other."""
