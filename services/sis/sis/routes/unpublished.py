"""What sister services do not know yet: the oldest event of each school that has not left."""

from datetime import datetime

import sqlalchemy as sa
from pydantic import BaseModel

from common.access import require
from common.app import Router
from common.db import Session
from common.events import CATALOGUE

router = Router("sis", tags=["events"])

_UNPUBLISHED = sa.text(
    """
    SELECT key AS school_id, min(created_at) AS oldest_at FROM outbox
    WHERE published_at IS NULL AND type = ANY(:types) GROUP BY key ORDER BY key
    """
)
_OF_SCHOOLS = [event.type() for event in CATALOGUE if event.owner == "sis" and event.key_field == "school_id"]


class UnpublishedOfSchool(BaseModel):
    """Since when something about a school waits to be said."""

    school_id: str
    oldest_at: datetime


class Unpublished(BaseModel):
    """The schools about which something waits to be said."""

    schools: list[UnpublishedOfSchool]


@router.get("/v1/unpublished", dependencies=[require(services=("mtss",), reads=["non_personal"], purpose="operations")])
async def list_unpublished(session: Session) -> Unpublished:
    """The time of the oldest event of each school that has not left; schools without one are left out."""
    found = await session.execute(_UNPUBLISHED, {"types": _OF_SCHOOLS})
    return Unpublished(schools=[UnpublishedOfSchool(**row) for row in found.mappings()])
