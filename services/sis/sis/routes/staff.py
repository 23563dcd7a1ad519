"""Which member of staff signs in, and who is told that help cannot wait: for sister services."""

from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from common.access import require
from common.app import Router
from common.db import Session
from common.described import refusing
from common.errors import NotFound
from common.events.base import SchoolId
from common.idempotency import repeatable
from common.runtime import RuntimeOf, Today
from sis.policy import CONTACTS, URGENT
from sis.resources import key_text
from sis.signing import Claim, staff_named
from sis.storing import open_secret

router = Router("sis", tags=["staff"])

_SISTERS = ("sis", "surveys", "mtss", "restorative", "notifications")
"""Each service asks whom a token is of, sis too: it is a sister to itself."""

_SCHOOL = sa.text(
    """
    SELECT body ->> 'nameOfInstitution' AS name, body #>> '{localEducationAgencyReference,localEducationAgencyId}' AS district_id
    FROM sis_document WHERE resource = 'schools' AND key = :key AND NOT deleted
    """
)
_WORK_THERE = sa.text(
    """
    SELECT DISTINCT s.id, s.sealed, a.school_id
    FROM sis_document AS a JOIN sis_document AS s ON s.id = a.refs[1] AND s.resource = 'staffs' AND NOT s.deleted
    WHERE a.resource = 'staffEducationOrganizationAssignmentAssociations' AND a.school_id = ANY(CAST(:places AS text[]))
        AND NOT a.deleted AND a.body ->> 'beginDate' <= :today AND coalesce(a.body ->> 'endDate', :today) >= :today
        AND lower(btrim(regexp_replace(a.body ->> 'staffClassificationDescriptor', '^.*#', ''))) = ANY(CAST(:classifications AS text[]))
    """
)


class NameTold(BaseModel):
    """What an identity provider calls the person who signs in, compared in any case."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={"example": {"claim": "email", "value": "t.field@example.org"}},
    )

    claim: Claim
    value: Annotated[str, Field(min_length=1, max_length=254, pattern=r"^[^\x00-\x1f\x7f]+$")]


class StaffNamed(BaseModel):
    """Our id of the member of staff."""

    staff_id: UUID


@router.post(
    "/v1/staff/sign-in",
    dependencies=[require(services=_SISTERS, reads=["non_personal"], purpose="operations")],
    responses=refusing(NotFound),
)
@repeatable("it only looks up")
async def read_staff_named(told: NameTold, session: Session, runtime: RuntimeOf) -> StaffNamed:
    """The one member of staff of this name; a name that several share is nobody's."""
    staff_id = await staff_named(session, runtime.vault, told.claim, told.value)
    if staff_id is None:
        raise NotFound(what="member of staff")
    return StaffNamed(staff_id=staff_id)


class UrgentStaff(BaseModel):
    """The e-mail addresses of those who are told that help cannot wait, as the SIS names them today."""

    school_name: str
    emails: Annotated[list[str], Field(description="Of who leads the school or counsels there.")]
    district_emails: Annotated[list[str], Field(description="Of who leads its district.")]


@router.get(
    "/v1/schools/{school_id}/urgent-staff",
    dependencies=[require(services=("notifications",), reads=["contact_address"], purpose="contact")],
    responses=refusing(NotFound),
)
async def read_urgent_staff(school_id: SchoolId, session: Session, runtime: RuntimeOf, today: Today) -> UrgentStaff:
    """Whom an urgent request for help at a school is told to; the policy of sis names as what they work."""
    school = (await session.execute(_SCHOOL, {"key": key_text([school_id])})).one_or_none()
    if school is None:
        raise NotFound(what="school")
    given = {"places": [school_id, school.district_id], "today": str(today), "classifications": URGENT}
    emails: dict[str, set[str]] = {school_id: set(), school.district_id: set()}
    for identity, sealed, place in await session.execute(_WORK_THERE, given):
        emails[place].update(CONTACTS.emails(open_secret(runtime.vault, identity, sealed)))
    here, district = (sorted(emails[place]) for place in given["places"])
    return UrgentStaff(school_name=school.name or school_id, emails=here, district_emails=district)
