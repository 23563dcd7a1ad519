"""Whom a family message may reach, fresh from what the SIS told; and what a person makes of a restriction text."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from common.access import require
from common.app import Router
from common.auth import Principal
from common.db import Session, next_revision, transaction_time
from common.errors import NotFound
from common.preconditions import IfMatch, check_seen, etag_of
from common.runtime import RuntimeOf, Today
from common.sealed import Vault
from sis.languages import LANGUAGES
from sis.policy import CONTACTS
from sis.resources import key_text
from sis.rules.contacts import Address, Coding, RestrictionCode, RestrictionState, restriction_state
from sis.rules.enrolment import Enrolment, counting
from sis.rules.values import code_value
from sis.storing import open_secret

router = Router("sis", tags=["contacts"])

_TABLE = "sis_restriction"
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
_CODINGS = sa.text(
    """
    SELECT DISTINCT ON (association_id) association_id, id, codes, expires_on, sealed, revision FROM sis_restriction
    WHERE association_id = ANY(CAST(:ids AS uuid[])) ORDER BY association_id, revision DESC
    """
)
_ASSOCIATION = sa.text(
    """
    SELECT id, sealed FROM sis_document
    WHERE refs @> ARRAY[CAST(:student AS uuid), CAST(:contact AS uuid)] AND resource = 'studentContactAssociations' AND NOT deleted
    FOR UPDATE
    """
)
_CODE = sa.text(
    """
    INSERT INTO sis_restriction (id, association_id, revision, codes, expires_on, sealed, coded_by, known_at)
    VALUES (:id, :association_id, :revision, CAST(:codes AS text[]), :expires_on, :sealed, :coded_by, :known_at)
    """
)


class PostalAddress(BaseModel):
    """An address as it is written on an envelope."""

    lines: list[str]
    city: str | None
    state: str | None
    postal_code: str | None


class RestrictionCoding(BaseModel):
    """What a person read out of the SIS's free text: what it forbids, and until when."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"codes": ["no_records"], "expires_on": "2027-06-30"}}
    )

    codes: Annotated[list[RestrictionCode], Field(max_length=len(RestrictionCode))]
    expires_on: date | None = None


class RestrictionShown(BaseModel):
    """How a restriction stands. While it is uncoded, nothing may be sent."""

    state: RestrictionState
    codes: list[RestrictionCode]
    expires_on: date | None


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


@router.get(
    "/v1/students/{student_id}/contacts/{contact_id}/restriction",
    dependencies=[require("district", services=("mtss",), reads=["contact_address"], purpose="contact")],
)
async def read_restriction(
    student_id: UUID, contact_id: UUID, session: Session, runtime: RuntimeOf, response: Response
) -> RestrictionShown:
    """How the restriction of one contact stands. Its ETag goes into If-Match of who codes it."""
    association = await _association(session, student_id, contact_id)
    text, coding = await _standing(session, runtime.vault, association)
    response.headers["ETag"] = _version(runtime.vault, text, coding)
    return _restriction(text, coding)


@router.put("/v1/students/{student_id}/contacts/{contact_id}/restriction")
async def code_restriction(
    student_id: UUID,
    contact_id: UUID,
    coding: RestrictionCoding,
    session: Session,
    runtime: RuntimeOf,
    who: Annotated[Principal, require("district", second_factor=True, reads=["contact_address"], purpose="contact")],
    response: Response,
    expected: IfMatch = None,
) -> RestrictionShown:
    """Record what a person makes of the restriction text as it stands; if the text changes, it is uncoded again.

    ``If-Match`` names the text and the coding that the person saw.
    """
    association = await _association(session, student_id, contact_id)
    text, standing = await _standing(session, runtime.vault, association)
    check_seen(expected, _version(runtime.vault, text, standing))
    at, identity = await transaction_time(session), uuid_utils.uuid7()
    before = (await session.execute(_CODINGS, {"ids": [association.id]})).one_or_none()
    row = {
        "id": identity,
        "association_id": association.id,
        "revision": next_revision(before.revision if before else None, at),
        "codes": list(dict.fromkeys(coding.codes)),
        "expires_on": coding.expires_on,
        "sealed": None if text is None else runtime.vault.seal(text, table=_TABLE, column="sealed", row=identity),
        "coded_by": who.subject,
        "known_at": at,
    }
    await session.execute(_CODE, row)
    response.headers["ETag"] = _version(runtime.vault, text, Coding(tuple(row["codes"]), coding.expires_on, text))
    return RestrictionShown(state=RestrictionState.CODED, codes=row["codes"], expires_on=coding.expires_on)


async def _association(session: Session, student_id: UUID, contact_id: UUID) -> Any:
    ids = {"student": student_id, "contact": contact_id}
    association = (await session.execute(_ASSOCIATION, ids)).one_or_none()
    if association is None:
        raise NotFound(what="contact of this student")
    return association


async def _standing(session: Session, vault: Vault, association: Any) -> tuple[str | None, Coding | None]:
    """What the SIS says of this contact, and what a person made of it last."""
    text = open_secret(vault, association.id, association.sealed).get("contactRestrictions")
    return text, (await _codings(session, vault, [association.id])).get(association.id)


def _version(vault: Vault, text: str | None, coding: Coding | None) -> str:
    """Text and coding as an ETag, from which nobody without the key can guess the text."""
    said = (text, *((*coding.codes, coding.expires_on, coding.text) if coding else ()))
    return etag_of(vault.digest("\x1f".join(map(str, said))).hex())


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
    codings = await _codings(session, vault, [row.id for row, _ in associations])
    associations.sort(key=lambda one: (not one[1].get("primaryContactStatus", False), one[0].id))
    shown = []
    for row, body in associations:
        contact_id = next(identity for identity in row.refs if identity in details)
        text = open_secret(vault, row.id, row.sealed).get("contactRestrictions")
        restriction = _restriction(text, codings.get(row.id))
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


def _restriction(text: str | None, coding: Coding | None) -> RestrictionShown:
    state = restriction_state(text, coding)
    if coding is None or state is not RestrictionState.CODED:
        return RestrictionShown(state=state, codes=[], expires_on=None)
    return RestrictionShown(
        state=state, codes=[RestrictionCode(code) for code in coding.codes], expires_on=coding.expires_on
    )


async def _codings(session: Session, vault: Vault, associations: Sequence[UUID]) -> dict[UUID, Coding]:
    rows = await session.execute(_CODINGS, {"ids": list(associations)})
    return {row.association_id: Coding(tuple(row.codes), row.expires_on, _coded_text(vault, row)) for row in rows}


def _coded_text(vault: Vault, row: sa.Row[Any]) -> str | None:
    return None if row.sealed is None else vault.open(row.sealed, table=_TABLE, column="sealed", row=row.id)
