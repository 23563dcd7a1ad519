"""Tasks: what only a person can settle."""

from datetime import date, datetime
from operator import attrgetter
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import require, visible_to
from common.app import Router
from common.audit.writing import about
from common.auth import Principal
from common.db import Session
from common.errors import DomainError, Invalid, NotFound
from common.idempotency import ONCE
from common.paging import Cursor, Limit, Page, keyset, next_of
from common.runtime import Now, Today
from notifications.models import Attempt, Notice, Task
from notifications.routes.fields import TOLD

router = Router("notifications")

OUTCOMES = {"uncertain": ("arrived", "not_arrived"), "cap": ("continue",)}
"""What a task of a kind may end with; every other kind ends with ``done``."""


class AlreadyResolved(DomainError):
    """This task was settled before."""


class TaskRead(BaseModel):
    """A task, and how it may end."""

    id: UUID
    kind: str
    student_id: UUID | None
    school_id: str | None
    notice_id: UUID | None
    made_at: datetime
    outcomes: list[str]


class Resolve(BaseModel):
    """How a task ended."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"outcome": "arrived"}]})

    outcome: str = Field(max_length=40)


class Resolved(BaseModel):
    """A settled task."""

    id: UUID
    outcome: str
    resolved_by: str
    resolved_at: datetime


Staff = Annotated[Principal, require("district", "principal", "counselor", reads=TOLD, purpose="contact")]


@router.get("/v1/tasks")
async def list_tasks(who: Staff, session: Session, limit: Limit = 100, cursor: Cursor = None) -> Page[TaskRead]:
    """Open tasks, oldest first: those of the students the caller sees; those of no student for the district."""
    asked = sa.select(Task).where(col(Task.resolved_at).is_(None), visible_to(who, col(Task.student_id)))
    tasks = (await session.scalars(keyset(asked, col(Task.id), cursor, limit))).all()
    items = [
        TaskRead(**task.model_dump(exclude={"about"}), outcomes=list(_outcomes(task.kind))) for task in tasks[:limit]
    ]
    return Page(items=items, next=next_of(tasks, limit, attrgetter("id")))


@router.post("/v1/tasks/{task_id}/resolve", dependencies=[ONCE])
async def resolve_task(task_id: UUID, how: Resolve, who: Staff, session: Session, now: Now, today: Today) -> Resolved:
    """Settle a task. ``not_arrived`` lets the next way be tried; ``continue`` lets sending go on for today."""
    found = await session.execute(
        sa.select(Task).where(col(Task.id) == task_id, visible_to(who, col(Task.student_id))).with_for_update()
    )
    task = found.scalar_one_or_none()
    if task is None:
        raise NotFound(what="task")
    about(task.student_id)
    if task.resolved_at is not None:
        raise AlreadyResolved
    if how.outcome not in _outcomes(task.kind):
        raise Invalid(field="outcome", rule=f"must be one of: {', '.join(_outcomes(task.kind))}")
    if task.kind == "uncertain" and task.notice_id is not None:
        await _settle(session, task.notice_id, arrived=how.outcome == "arrived", at=now, today=today)
    task.outcome, task.resolved_by, task.resolved_at = how.outcome, who.subject, now
    return Resolved(id=task.id, outcome=how.outcome, resolved_by=who.subject, resolved_at=now)


def _outcomes(kind: str) -> tuple[str, ...]:
    return OUTCOMES.get(kind, ("done",))


async def _settle(session: AsyncSession, notice_id: UUID, *, arrived: bool, at: datetime, today: date) -> None:
    """Write what a person found out. A message that did not arrive has failed, and the next way is open."""
    notice = await session.get_one(Notice, notice_id, with_for_update=True)
    await session.execute(
        sa.update(Attempt)
        .where(col(Attempt.notice_id) == notice_id, col(Attempt.state) == "uncertain")
        .values(state="delivered" if arrived else "failed")
    )
    if arrived:
        notice.state, notice.reason = "delivered", ""
        notice.told_on = notice.told_on or today
    else:
        notice.state, notice.reason, notice.told_on, notice.not_before = "pending", "", None, at
