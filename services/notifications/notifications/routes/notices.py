"""What the families of one student were told, and why that way."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel
from sqlmodel import col

from common.access import require, visible_to
from common.app import Router
from common.auth import Principal
from common.db import Session
from common.errors import NotFound
from common.paging import Cursor, Limit, Page, part_of
from notifications.models import Attempt, Notice
from notifications.routes.fields import TOLD

router = Router("notifications")


class TriedOnce(BaseModel):
    """One attempt."""

    number: int
    channel: str
    state: str
    words: str
    started_at: datetime
    ended_at: datetime | None


class NoticeRead(BaseModel):
    """One household and one matter."""

    id: UUID
    purpose: str
    effective_on: date
    state: str
    reason: str
    channel: str | None
    language: str
    text_language: str
    fallback: bool
    why: dict[str, Any]
    not_before: datetime | None
    told_on: date | None
    attempts: list[TriedOnce]


@router.get("/v1/notices/{student_id}")
async def read_notices(
    student_id: UUID,
    who: Annotated[Principal, require("district", "principal", "counselor", reads=TOLD, purpose="contact")],
    session: Session,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Page[NoticeRead]:
    """The notices about one student, the latest first: to how many households, how, in which language, and what became of them."""
    found = await session.execute(
        sa.select(Notice).where(col(Notice.student_id) == student_id, visible_to(who, col(Notice.student_id)))
    )
    every = found.scalars().all()
    if not every:
        raise NotFound(what="notice about this student")
    notices, following = part_of(every, _latest_first, cursor, limit)
    tries = await session.execute(
        sa.select(Attempt).where(col(Attempt.notice_id).in_([n.id for n in notices])).order_by(col(Attempt.fence))
    )
    under: dict[UUID, list[TriedOnce]] = {}
    for tried in tries.scalars():
        under.setdefault(tried.notice_id, []).append(TriedOnce.model_validate(tried, from_attributes=True))
    return Page(items=[_read(notice, under.get(notice.id, [])) for notice in notices], next=following)


def _latest_first(notice: Notice) -> str:
    return f"{(date.max - notice.effective_on).days:07} {notice.id}"


def _read(notice: Notice, attempts: list[TriedOnce]) -> NoticeRead:
    return NoticeRead(**notice.model_dump(include=set(NoticeRead.model_fields) - {"attempts"}), attempts=attempts)
