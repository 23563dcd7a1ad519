"""Closing a school's days, and keeping the clock still while a load is under way."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from fastapi import Response
from pydantic import BaseModel

from common.access import require
from common.app import Router
from common.auth import Principal
from common.db import Session
from common.errors import Invalid, NotFound
from common.idempotency import ONCE
from common.runtime import Today
from sis.clients.bounds import check_school, check_whole, granted
from sis.closing import close_days, hold_clock, let_go_of_clock
from sis.policy import CLOSING
from sis.resources import key_text

router = Router("sis", tags=["closing"])

Sis = Annotated[Principal, require("sis", reads=["non_personal"], purpose="records")]
_ATTENDANCE = "studentSchoolAttendanceEvents"
"""A day is closed once its rows of these are in: who does not push them has no part in when."""
_SCHOOL = sa.text("SELECT id FROM sis_document WHERE resource = 'schools' AND NOT deleted AND key = :key")


class DaysClosed(BaseModel):
    """The school's last closed day, how many days this closed, and how many of them had no row."""

    school_id: str
    closed_through: date
    closed: int
    implied: int


class Lease(BaseModel):
    """Until when this holder keeps the clock from closing anything."""

    id: UUID
    until: datetime


@router.post("/v1/schools/{school_id}/days/{day}/close", dependencies=[ONCE])
async def close_school_day(
    school_id: str,
    day: date,
    session: Session,
    today: Today,
    who: Annotated[Principal, require("sis", "district", reads=["non_personal"], purpose="records")],
) -> DaysClosed:
    """Close this day and all earlier instructional days of the school; a day that is closed stays closed.

    A day that is not instructional stands for the last instructional one before it. A day after today in the
    district's time zone is refused.
    """
    check_school(who, school_id)
    granted(who, _ATTENDANCE)
    if day > today:
        raise Invalid(field="day", rule="must not be after today")
    if (await session.execute(_SCHOOL, {"key": key_text(iter([school_id]))})).first() is None:
        raise NotFound(what="school")
    closed = await close_days(session, school_id, day, said=True)
    return DaysClosed(school_id=school_id, closed_through=closed.through, closed=closed.days, implied=closed.implied)


@router.put("/v1/closing-clock/leases/{lease_id}")
async def hold_closing_clock(lease_id: UUID, session: Session, who: Sis) -> Lease:
    """Keep the closing clock still for two minutes from now; ask again under the same id to go on.

    Whoever holds it makes up the id, so that a request whose answer was lost may be repeated.
    """
    check_whole(who)
    granted(who, _ATTENDANCE)
    return Lease(id=lease_id, until=await hold_clock(session, lease_id, CLOSING.lease_seconds))


@router.delete("/v1/closing-clock/leases/{lease_id}", status_code=204, response_class=Response)
async def release_closing_clock(lease_id: UUID, session: Session, who: Sis) -> None:
    """Let go of the closing clock; it goes on once nobody else holds it."""
    check_whole(who)
    granted(who, _ATTENDANCE)
    await let_go_of_clock(session, lease_id)
