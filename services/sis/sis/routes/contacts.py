"""Whom a family message may reach, fresh from what the SIS told."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from fastapi import Query
from pydantic import BaseModel

from common.access import require
from common.app import Router
from common.db import Session
from common.errors import NotFound
from common.runtime import RuntimeOf, Today
from common.sealed import Vault
from sis.languages import LANGUAGES
from sis.policy import CONTACTS
from sis.resources import key_text
from sis.routes.restrictions import RestrictionShown, codings, restriction_shown
from sis.rules.contacts import Address
from sis.rules.enrolment import Enrolment, counting
from sis.rules.values import code_value
from sis.storing import open_secret

router = Router("sis", tags=["contacts"])

_STUDENT = sa.text("SELECT id, body FROM sis_document WHERE id = :id AND resource = 'students' AND NOT deleted")
_OF_STUDENT = sa.text(
    """
    SELECT id, body, sealed, refs FROM sis_document
    WHERE refs @> ARRAY[CAST(:student AS uuid)] AND resource = :resource AND NOT deleted
    """
)
_CONTACTS = sa.text(
    "SELECT id, sealed FROM sis_document WHERE id = ANY(CAST(:ids AS uuid[])) AND resource = 'contacts' AND NOT deleted"
)
_SCHOOL = sa.text("SELECT body ->> 'nameOfInstitution' FROM sis_document WHERE resource = 'schools' AND key = :key")


class PostalAddress(BaseModel):
    """An address as it is written on an envelope."""

    lines: list[str]
    city: str | None
    state: str | None
    postal_code: str | None


class ContactShown(BaseModel):
    """One person who may be told, and how to reach them."""

    contact_id: UUID
    first_name: str | None
    last_name: str | None
    relation: str | None
    language: str | None
    emails: list[str]
    phones: list[str]
    address: PostalAddress | None
    lives_with: bool
    restriction: RestrictionShown


class StudentContacts(BaseModel):
    """A student's name, the school that signs, and the contacts: the primary ones first."""

    student_id: UUID
    first_name: str | None
    last_name: str | None
    school_name: str | None
    contacts: list[ContactShown]


CONTACT = ("directory", "contact_address")
Signing = Annotated[
    str | None,
    Query(max_length=40, description="The school that decided, and signs; without it the one that counts today."),
]


@router.get(
    "/v1/students/{student_id}/contacts",
    dependencies=[require(services=("notifications",), reads=CONTACT, purpose="contact")],
)
async def read_contacts(
    student_id: UUID, session: Session, runtime: RuntimeOf, today: Today, school: Signing = None
) -> StudentContacts:
    """Everyone the SIS names as a contact of the student, with what restricts telling them."""
    student = (await session.execute(_STUDENT, {"id": student_id})).one_or_none()
    if student is None:
        raise NotFound(what="student")
    body = student.body
    return StudentContacts(
        student_id=student_id,
        first_name=body.get("firstName"),
        last_name=body.get("lastSurname"),
        school_name=await _school_name(session, school or await _school_that_counts(session, student_id, today)),
        contacts=await _contacts(session, runtime.vault, student_id, today),
    )


async def _school_that_counts(session: Session, student_id: UUID, today: date) -> str | None:
    rows = await session.execute(_OF_STUDENT, {"student": student_id, "resource": "studentSchoolAssociations"})
    counts = counting((_enrolment(row.body) for row in rows), today)
    return counts.school_id if counts else None


async def _school_name(session: Session, school_id: str | None) -> str | None:
    name: str | None = (await session.execute(_SCHOOL, {"key": key_text([school_id])})).scalar_one_or_none()
    return name


def _enrolment(body: Mapping[str, Any]) -> Enrolment:
    exit_on = body.get("exitWithdrawDate")
    return Enrolment(
        school_id=body["schoolReference"]["schoolId"],
        entry_on=date.fromisoformat(body["entryDate"]),
        exit_on=date.fromisoformat(exit_on) if exit_on else None,
        primary=body.get("primarySchool", True),
    )


async def _contacts(session: Session, vault: Vault, student_id: UUID, today: date) -> list[ContactShown]:
    found = await session.execute(_OF_STUDENT, {"student": student_id, "resource": "studentContactAssociations"})
    associations = [(row, row.body) for row in found]
    rows = await session.execute(_CONTACTS, {"ids": [one for row, _ in associations for one in row.refs]})
    details = {row.id: open_secret(vault, row.id, row.sealed) for row in rows}
    coded = await codings(session, vault, [row.id for row, _ in associations])
    associations.sort(key=lambda one: (not one[1].get("primaryContactStatus", False), one[0].id))
    shown = []
    for row, body in associations:
        contact_id = next(identity for identity in row.refs if identity in details)
        text = open_secret(vault, row.id, row.sealed).get("contactRestrictions")
        restriction = restriction_shown(text, coded.get(row.id))
        shown.append(_contact(contact_id, details[contact_id], body, restriction, today))
    if all(one.language for one in shown):
        return shown
    home = await _home_language(session, vault, student_id)
    return [one if one.language else one.model_copy(update={"language": home}) for one in shown]


async def _home_language(session: Session, vault: Vault, student_id: UUID) -> str | None:
    """The language spoken at home as the student's own record has it: for a contact of whom nobody said one."""
    found = await session.execute(
        _OF_STUDENT, {"student": student_id, "resource": "studentEducationOrganizationAssociations"}
    )
    said = sorted(((row.id, open_secret(vault, row.id, row.sealed)) for row in found), key=lambda one: one[0])
    return next(filter(None, (CONTACTS.language(details, LANGUAGES) for _, details in said)), None)


def _contact(
    identity: UUID,
    details: Mapping[str, Any],
    association: Mapping[str, Any],
    restriction: RestrictionShown,
    today: date,
) -> ContactShown:
    relation = association.get("relationDescriptor")
    return ContactShown(
        contact_id=identity,
        first_name=details.get("firstName"),
        last_name=details.get("lastSurname"),
        relation=code_value(relation) if relation else None,
        language=CONTACTS.language(details, LANGUAGES),
        emails=CONTACTS.emails(details),
        phones=CONTACTS.phones(details),
        address=_postal(CONTACTS.address(details, today)),
        lives_with=association.get("livesWith", False),
        restriction=restriction,
    )


def _postal(address: Address | None) -> PostalAddress | None:
    if address is None:
        return None
    return PostalAddress(
        lines=list(address.lines), city=address.city, state=address.state, postal_code=address.postal_code
    )
