"""What was said for each student: consent, opt-out, withdrawal. Every row is kept."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

import sqlalchemy as sa
from fastapi import Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import require
from common.app import Router
from common.auth import Principal
from common.db import Session, transaction_time
from common.preconditions import IfMatch, check_seen, etag_of
from common.runtime import Today
from surveys.models import Consent, Draft, Enrolment, Window, enrolled
from surveys.policy import POLICY
from surveys.routes.windows import window_with
from surveys.rules import ConsentState, StudentNotYetKnown, check_said

router = Router("surveys")

_ALONE = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")


class Said(BaseModel):
    """What was said, by whom (rights pass to the student at 18) and on which day."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={"example": {"state": "consented", "by": "guardian", "on": "2026-09-20"}},
    )

    state: ConsentState
    by: Literal["guardian", "student"]
    on: date


class SaidOnRecord(Said):
    """The same, with when it was recorded."""

    model_config = ConfigDict(extra="ignore", from_attributes=True)

    recorded_at: datetime


class History(BaseModel):
    """Everything said for one student and window, the newest first: that one stands. One document, of one ETag."""

    items: list[SaidOnRecord]


@router.put("/v1/windows/{window_id}/consents/{student_id}")
async def record_consent(
    window_id: UUID,
    student_id: UUID,
    said: Said,
    who: Annotated[Principal, require("district", reads=["directory"], purpose="administration")],
    session: Session,
    today: Today,
    response: Response,
    expected: IfMatch = None,
) -> SaidOnRecord:
    """Record what was said, over the history whose ETag ``If-Match`` names. Anything but consent stops the student's link at once and forgets answers not yet sent."""
    check_said(said.on, today=today, earliest=POLICY.earliest_said_on)
    window = await window_with(session, window_id)
    await _alone(session, window_id, student_id)
    await _check_known(session, window, student_id)
    history = await _history(session, window_id, student_id)
    if history and said == Said.model_validate(history[0].model_dump(include=set(Said.model_fields))):
        response.headers["ETag"] = _version(history)
        return history[0]
    check_seen(expected, _version(history))
    at = await transaction_time(session)
    row = {"window_id": window_id, "student_id": student_id, "recorded_by": who.subject, "recorded_at": at}
    await session.execute(sa.insert(Consent).values(**row, **said.model_dump()))
    if said.state is not ConsentState.CONSENTED:
        mine = sa.and_(col(Draft.window_id) == window_id, col(Draft.student_id) == student_id)
        await session.execute(sa.delete(Draft).where(mine))
    recorded = SaidOnRecord(**said.model_dump(), recorded_at=at)
    response.headers["ETag"] = _version([recorded, *history])
    return recorded


@router.get(
    "/v1/windows/{window_id}/consents/{student_id}",
    dependencies=[require("district", reads=["directory"], purpose="administration")],
)
async def list_consents(window_id: UUID, student_id: UUID, session: Session, response: Response) -> History:
    """Everything that was said for one student. Its ETag goes into If-Match of what is said next."""
    await window_with(session, window_id)
    history = await _history(session, window_id, student_id)
    response.headers["ETag"] = _version(history)
    return History(items=history)


def _version(history: list[SaidOnRecord]) -> str:
    return etag_of(*(said.model_dump_json() for said in history))


async def _alone(session: AsyncSession, window_id: UUID, student_id: UUID) -> None:
    """Let nobody else record for this student until the transaction ends: before the first word there is no row to lock."""
    await session.execute(_ALONE, {"name": f"surveys_consent {window_id} {student_id}"})


async def _check_known(session: AsyncSession, window: Window, student_id: UUID) -> None:
    mine = sa.select(Enrolment).where(enrolled(window), col(Enrolment.student_id) == student_id).limit(1)
    if await session.scalar(mine) is None:
        raise StudentNotYetKnown


async def _history(session: AsyncSession, window_id: UUID, student_id: UUID) -> list[SaidOnRecord]:
    rows = await session.scalars(
        sa.select(Consent)
        .where(col(Consent.window_id) == window_id, col(Consent.student_id) == student_id)
        .order_by(col(Consent.id).desc())
    )
    return [SaidOnRecord.model_validate(row) for row in rows]
