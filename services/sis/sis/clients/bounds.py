"""What a client that is bound to resources and schools may push and see: one rule for every door.

A row is of the school that it names, or that the incidents of an action name. A student is of the schools that enrol them, a
member of staff of those where they are assigned or teach, a contact of their students'. Until anybody says so, whoever made
them sees them. Descriptors are everybody's. Source: Ed-Fi's authorization by relationships with education organisations and
people, and by ownership.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.ext.asyncio import AsyncSession

from common.access import visible_to
from common.auth import Principal
from common.errors import DomainError, Forbidden
from sis.models import ClientDocument, Document, WaitingRow
from sis.plan import Result, Written
from sis.resources import DESCRIPTORS, NAMED, Resource, resource_named
from sis.rows import Row
from sis.rules.documents import Outcome
from sis.rules.members import values_at

EVERY_DESCRIPTOR = "descriptors"
"""Stands for all resources that list what descriptors may say."""

_DOCUMENTS = Document.metadata.tables["sis_document"]
_MADE = ClientDocument.metadata.tables["sis_client_document"]
_WAITING = WaitingRow.metadata.tables["sis_waiting"]
_TO_SCHOOLS: Mapping[str, tuple[str, ...]] = {
    "students": ("studentSchoolAssociations",),
    "staffs": ("staffEducationOrganizationAssignmentAssociations", "staffSectionAssociations"),
}
"""People, and the resources by which they are of a school."""
_OF_STUDENTS = "studentContactAssociations"
_PEOPLE = {**_TO_SCHOOLS, "contacts": (_OF_STUDENTS,)}
_ACTIONS = "disciplineActions"
_INCIDENTS = (
    "studentDisciplineIncidentBehaviorAssociations[].studentDisciplineIncidentBehaviorAssociationReference.schoolId"
)
_NOTE = sa.text(
    """
    INSERT INTO sis_client_document (document_id, client_id)
    SELECT document_id, client_id FROM unnest(CAST(:ids AS uuid[]), CAST(:clients AS uuid[])) AS made(document_id, client_id)
    ORDER BY document_id
    ON CONFLICT (document_id) DO UPDATE SET client_id = excluded.client_id
    """
)


class ResourceNotGranted(DomainError):
    """This client is not bound to the resource."""

    status = 403


class NoRelationship(DomainError):
    """No relationship has been established between the schools that this client is bound to and this row."""

    status = 403


class WholeDistrict(Forbidden):
    """This is about the whole district, and the client is bound to some of its schools."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The resources and the schools that a client is bound to; nothing stands for all of them."""

    resources: frozenset[str] = frozenset()
    schools: frozenset[str] = frozenset()

    @property
    def any(self) -> bool:
        """Whether it is bound to anything."""
        return bool(self.resources or self.schools)


class Push(NamedTuple):
    """A row, and the principal that pushed it."""

    who: Principal
    row: Row


def bounds_of(resources: Iterable[str] | None, schools: Iterable[str] | None) -> Bounds:
    """The bounds of a client as they are kept."""
    named = frozenset(resources or ())
    every = frozenset(DESCRIPTORS) if EVERY_DESCRIPTOR in named else frozenset()
    return Bounds(named - {EVERY_DESCRIPTOR} | every, frozenset(schools or ()))


def granted(who: Principal, name: str) -> Resource:
    """The resource of that name.

    Raises:
        ResourceNotGranted: the client is bound to others.
        ResourceNotUsed: Ed-Fi has one of this name, and Trellis does not take it.
        NotFound: there is no such resource.
    """
    resource = resource_named(name)
    if who.resources and resource.name not in who.resources:
        raise ResourceNotGranted
    return resource


def check_school(who: Principal, school: str | None) -> None:
    """Nothing, if ``who`` may push and see what is of this school; ``None`` stands for all of them.

    Raises:
        NoRelationship: the client is bound to others.
    """
    if bound(who) and school not in who.schools:
        raise NoRelationship


def check_whole(who: Principal) -> None:
    """Nothing, if ``who`` may do what is about the whole district.

    Raises:
        WholeDistrict: the client is bound to schools.
    """
    if bound(who):
        raise WholeDistrict


def bound(who: Principal) -> bool:
    """Whether ``who`` is a client that is bound to schools."""
    return who.client and bool(who.schools)


def only_own(who: Principal) -> str | None:
    """Whose waiting rows ``who`` sees: a client that is bound to schools its own; ``None`` stands for everybody's."""
    return who.subject if bound(who) else None


def visible(who: Principal, resource: Resource, *, deleted: bool = False) -> sa.ColumnElement[bool]:
    """Which documents of ``resource`` are seen by ``who``; with ``deleted`` also through what is itself gone."""
    if not bound(who):
        return visible_to(who, _DOCUMENTS.c.student_id)
    own = _at_own_schools(who, _DOCUMENTS.c.school_id)
    if resource.name in DESCRIPTORS:
        return sa.true()
    if resource.name in _PEOPLE:
        return _DOCUMENTS.c.id.in_(_people(who, resource.name, deleted=deleted))
    if resource.name == _OF_STUDENTS:
        return _DOCUMENTS.c.student_id.in_(_people(who, "students", deleted=deleted))
    return sa.func.coalesce(own, _of_own_incidents(who)) if resource.name == _ACTIONS else own


def _at_own_schools(who: Principal, school: Any) -> sa.ColumnElement[bool]:
    own: sa.ColumnElement[bool] = school.in_(sorted(who.schools))
    return own


def _people(who: Principal, name: str, *, deleted: bool) -> sa.CompoundSelect[Any]:
    """Ids of the people that ``who`` sees, among other ids: by what associates them, or because nothing does and it made them."""
    by = _DOCUMENTS.alias()
    there = sa.true() if deleted else ~by.c.deleted
    if name in _TO_SCHOOLS:
        own = _at_own_schools(who, by.c.school_id)
    else:
        own = by.c.student_id.in_(_people(who, "students", deleted=deleted))
    # Names stand in the statement, so that the index of associations is seen to have them.
    associates = by.c.resource.in_([sa.literal_column(f"'{each}'") for each in _PEOPLE[name]])
    related = sa.select(sa.func.unnest(by.c.refs)).where(associates, there, own)
    associated = sa.exists().where(by.c.refs.contains(array([_MADE.c.document_id])), associates, there)
    made = sa.select(_MADE.c.document_id).where(_MADE.c.client_id == UUID(who.subject), ~associated)
    return related.union_all(made)


def _of_own_incidents(who: Principal) -> sa.ColumnElement[bool]:
    """Whether all incidents that an action without a school of its own names are of schools of ``who``."""
    incident = _DOCUMENTS.alias()
    others = sa.exists().where(
        incident.c.id == sa.any_(_DOCUMENTS.c.refs),
        incident.c.resource == "disciplineIncidents",
        ~_at_own_schools(who, incident.c.school_id),
    )
    return ~others


async def others(session: AsyncSession, resource: Resource, pushes: Mapping[int, Push]) -> set[int]:
    """Which rows are not for their clients, that are bound to schools, to push."""
    if resource.name in DESCRIPTORS:
        return set()
    out = {place for place, push in pushes.items() if _names_others(resource, push)}
    if resource.school not in resource.identity:
        for who in {push.who for push in pushes.values()}:
            some = {place: push.row for place, push in pushes.items() if push.who == who and place not in out}
            out |= await _unrelated(session, resource, who, some)
    return out


def _names_others(resource: Resource, push: Push) -> bool:
    schools = set(_schools_of(resource, push.row.content.body))
    return not schools <= push.who.schools


def _schools_of(resource: Resource, body: Mapping[str, Any]) -> Iterator[str]:
    """The schools that a row is of, as far as it says."""
    own = list(values_at(body, resource.school)) if resource.school else []
    yield from own or (values_at(body, _INCIDENTS) if resource.name == _ACTIONS else ())


async def _unrelated(session: AsyncSession, resource: Resource, who: Principal, rows: Mapping[int, Row]) -> set[int]:
    """Those of the rows that are about somebody, or about an action, that ``who`` does not see."""
    if resource.name == _OF_STUDENTS:
        (to_student,) = (one for one in resource.references if one.to == "students")
        students = {place: next(to_student.keys(row.content.body)) for place, row in rows.items()}
        seen = await _standing(session, NAMED["students"], who, students.values())
        # Also a student who is not known: nobody learns from the answer who is known elsewhere.
        return {place for place, key in students.items() if not seen.get(key)}
    seen = await _standing(session, resource, who, [row.key for row in rows.values()])
    if resource.name == _ACTIONS:
        seen |= await _waiting_of_others(session, who, [row.key for row in rows.values()])
    return {place for place, row in rows.items() if not seen.get(row.key, True)}


async def _standing(session: AsyncSession, resource: Resource, who: Principal, keys: Iterable[str]) -> dict[str, bool]:
    """Whether ``who`` sees the documents with these keys that stand."""
    chosen = sa.select(_DOCUMENTS.c.key, visible(who, resource)).where(
        _DOCUMENTS.c.resource == resource.name, _DOCUMENTS.c.key.in_(list(keys)), ~_DOCUMENTS.c.deleted
    )
    return {key: bool(seen) for key, seen in await session.execute(chosen)}


async def _waiting_of_others(session: AsyncSession, who: Principal, keys: Sequence[str]) -> dict[str, bool]:
    """The keys under which a row of somebody else waits, none of them seen."""
    chosen = sa.select(_WAITING.c.key).where(
        _WAITING.c.resource == _ACTIONS,
        _WAITING.c.key.in_(keys),
        ~_WAITING.c.taken_back,
        _WAITING.c.source != who.subject,
    )
    return dict.fromkeys((await session.execute(chosen)).scalars(), False)


async def note_made(session: AsyncSession, resource: Resource, settled: Iterable[tuple[Principal, Result]]) -> None:
    """Remember the people that clients bound to schools just made."""
    made = [
        (result.id, UUID(who.subject))
        for who, result in settled
        if bound(who) and isinstance(result, Written) and result.outcome is Outcome.CREATED
    ]
    if made and resource.name in _PEOPLE:
        ids, clients = zip(*made, strict=True)
        await session.execute(_NOTE, {"ids": list(ids), "clients": list(clients)})
