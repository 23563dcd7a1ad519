"""Overrides: a person decides otherwise than the policy, up or down, until a day; and every ruling about a student."""

from datetime import date
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from pydantic import ConfigDict, Field
from sqlmodel import col

from common.access import visible_to
from common.app import Router
from common.db import Session
from common.errors import DomainError, NotFound
from common.events import Tier
from common.idempotency import ONCE
from common.paging import Cursor, Limit, Page
from common.runtime import RuntimeOf
from mtss.models import Ruling
from mtss.routes.desk import At, Decider, Reasoned, RulingDocument, page_of, shown
from mtss.rules.reviewing import check_ahead
from mtss.ruling import days_within, school_days

router = Router("mtss")


class TierMissing(DomainError):
    """There is no tier yet that could be overridden: no day of this student's school is closed."""


class OverrideOver(DomainError):
    """The override does not stand any more: it has ended, was withdrawn, or was followed by another ruling."""


class OverrideAsked(Reasoned):
    """Which tier it shall be instead, through which day, and why."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"tier": "targeted", "until": "2026-12-18", "reason": "New here; her last school supported her."}
        }
    )

    tier: Tier
    until: Annotated[date, Field(description="The last day, an instructional one; how far away, the policy says.")]


@router.post("/v1/students/{student_id}/overrides", status_code=201, dependencies=[ONCE])
async def create_override(student_id: UUID, asked: OverrideAsked, desk: At) -> RulingDocument:
    """Set a student's tier from today through a day, whatever the facts say; afterwards they speak again, by a decision.

    It takes the place of an override that stands. If-Match names the ETag of the student.

    Raises:
        TierMissing: nothing was decided yet.
    """
    student = await desk.student(student_id)
    if student.tier is None:
        raise TierMissing
    days = await school_days(desk.session, str(student.school_id), desk.today)
    most = await days_within(desk.session, "override_at_most", desk.today)
    check_ahead("until", days, desk.today, asked.until, most)
    return await desk.rule(student, asked.reason, kind="overridden", tier=asked.tier, until=asked.until)


@router.post("/v1/overrides/{override_id}/withdraw", status_code=201, dependencies=[ONCE])
async def withdraw_override(override_id: UUID, asked: Reasoned, desk: At) -> RulingDocument:
    """End an override today: the facts speak again, by a decision. If-Match names the ETag of the student.

    Raises:
        OverrideOver: it does not stand any more.
    """
    mine = col(Ruling.kind) == "overridden", visible_to(desk.who, col(Ruling.student_id))
    override = (await desk.session.scalars(sa.select(Ruling).where(col(Ruling.id) == override_id, *mine))).one_or_none()
    if override is None:
        raise NotFound(what="override")
    student = await desk.student(override.student_id)
    if student.ruling != override.number:
        raise OverrideOver
    return await desk.rule(student, asked.reason, kind="withdrawn", tier=override.tier)


@router.get("/v1/students/{student_id}/rulings")
async def list_rulings(
    student_id: UUID, who: Decider, session: Session, runtime: RuntimeOf, cursor: Cursor = None, limit: Limit = 100
) -> Page[RulingDocument]:
    """Everything that people decided about a student, from the first to the last."""
    found, following = await page_of(session, who, student_id, Ruling, col(Ruling.number), cursor, limit)
    return Page(items=[shown(runtime.vault, each) for each in found], next=following)
