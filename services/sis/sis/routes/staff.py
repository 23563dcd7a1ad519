"""Which member of staff signs in, for sister services."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from common.access import require
from common.app import Router
from common.db import Session
from common.described import refusing
from common.errors import NotFound
from common.idempotency import repeatable
from common.runtime import RuntimeOf
from sis.signing import Claim, staff_named

router = Router("sis", tags=["staff"])

_SISTERS = ("sis", "surveys", "mtss", "restorative", "notifications")
"""Each service asks whom a token is of, sis too: it is a sister to itself."""


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
