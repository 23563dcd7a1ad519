"""What a person makes of a contact's restriction text: how it stands, and coding it."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from common.access import require
from common.app import Router
from common.auth import Principal
from common.db import Session, next_revision, transaction_time
from common.errors import NotFound
from common.preconditions import IfMatch, check_seen, etag_of
from common.runtime import RuntimeOf
from common.sealed import Vault
from sis.rules.contacts import Coding, RestrictionCode, RestrictionState, restriction_state
from sis.storing import open_secret

router = Router("sis", tags=["contacts"])

_TABLE = "sis_restriction"
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
    return restriction_shown(text, coding)


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
    return text, (await codings(session, vault, [association.id])).get(association.id)


def _version(vault: Vault, text: str | None, coding: Coding | None) -> str:
    """Text and coding as an ETag, from which nobody without the key can guess the text."""
    said = (text, *((*coding.codes, coding.expires_on, coding.text) if coding else ()))
    return etag_of(vault.digest("\x1f".join(map(str, said))).hex())


def restriction_shown(text: str | None, coding: Coding | None) -> RestrictionShown:
    """How a restriction stands whose text is this, and which a person coded so."""
    state = restriction_state(text, coding)
    if coding is None or state is not RestrictionState.CODED:
        return RestrictionShown(state=state, codes=[], expires_on=None)
    return RestrictionShown(
        state=state, codes=[RestrictionCode(code) for code in coding.codes], expires_on=coding.expires_on
    )


async def codings(session: Session, vault: Vault, associations: Sequence[UUID]) -> dict[UUID, Coding]:
    """What a person made last of the restriction of each of these associations."""
    rows = await session.execute(_CODINGS, {"ids": list(associations)})
    return {row.association_id: Coding(tuple(row.codes), row.expires_on, _coded_text(vault, row)) for row in rows}


def _coded_text(vault: Vault, row: sa.Row[Any]) -> str | None:
    return None if row.sealed is None else vault.open(row.sealed, table=_TABLE, column="sealed", row=row.id)
