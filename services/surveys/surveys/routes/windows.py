"""Windows: which survey, whom, when, and what families were told."""

from datetime import date, datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import require, visible_numbers, visible_to
from common.app import Router
from common.auth import Principal
from common.db import Session, transaction_time
from common.errors import NotFound
from common.events.base import SchoolId
from common.idempotency import ONCE
from common.runtime import Today
from surveys import models
from surveys.instruments import instrument_named
from surveys.rules import ConsentState, KeyTaken, NoticeKind, NoticeRecorded, Stage, may_answer

router = Router("surveys")

_DISTRICT = require("district", reads=["non_personal"], purpose="administration")
_NO_CONTROL = r"^[^\x00-\x1f\x7f]*$"


class Notice(BaseModel):
    """What families were told, when, and where its text is kept."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    sent_on: date
    kind: NoticeKind
    text_reference: Annotated[str, Field(min_length=1, max_length=200, pattern=_NO_CONTROL)]


class WindowAsked(BaseModel):
    """A window to create. ``key`` is the caller's own name for it: asking again answers the same window."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={
            "example": {
                "key": "belonging-fall",
                "instrument": "belonging-8",
                "schools": ["255901001"],
                "opens_on": "2026-10-05",
                "closes_on": "2026-10-16",
                "audience": "student",
                "notice": {"sent_on": "2026-09-14", "kind": "opt_out", "text_reference": "letter 2026-14"},
            }
        },
    )

    key: Annotated[str, Field(min_length=1, max_length=80, pattern=_NO_CONTROL)]
    instrument: Annotated[str, Field(max_length=80)]
    schools: Annotated[list[Annotated[SchoolId, Field(pattern=_NO_CONTROL)]], Field(min_length=1, max_length=2000)]
    opens_on: date
    closes_on: date
    audience: Literal["student"]
    notice: Notice | None = None

    @model_validator(mode="after")
    def _opens_before_it_closes(self) -> Self:
        if self.closes_on < self.opens_on:
            raise ValueError("closes_on must not be before opens_on")
        return self


class WindowRead(BaseModel):
    """A window, and how far it is."""

    id: UUID
    key: str
    instrument: str
    schools: list[str]
    opens_on: date
    closes_on: date
    audience: str
    notice: Notice | None
    stage: Stage


class WindowCounted(WindowRead):
    """A window with counts of the students the caller may see; never an answer.

    ``without_consent`` counts students who may not answer for want of what the notice requires.
    """

    students: int
    invited: int
    answered: int
    without_consent: int


@router.post(
    "/v1/windows",
    status_code=201,
    dependencies=[_DISTRICT, ONCE],
    responses={200: {"model": WindowRead}},
)
async def create_window(asked: WindowAsked, session: Session, today: Today, response: Response) -> WindowRead:
    """Create a window, or answer the one with this key if it says the same."""
    instrument_named(asked.instrument)
    window = _window_of(asked, await transaction_time(session))
    if asked.notice:
        window.rule().check_notice(asked.notice.sent_on)
    created = await session.execute(
        insert(models.Window).values(window.model_dump()).on_conflict_do_nothing().returning(col(models.Window.id))
    )
    if created.first() is None:
        window = await _same_window(session, asked)
        response.status_code = 200
    return WindowRead.model_validate(_told(window, today))


@router.put("/v1/windows/{window_id}/notice", dependencies=[_DISTRICT])
async def record_notice(window_id: UUID, notice: Notice, session: Session, today: Today) -> WindowRead:
    """Record what families were told, once. Without it a window never opens."""
    window = await window_with(session, window_id, for_update=True)
    known = _notice_of(window)
    if known not in (None, notice):
        raise NoticeRecorded
    window.rule().check_notice(notice.sent_on)
    window.notice_kind, window.notice_sent_on = notice.kind, notice.sent_on
    window.notice_text_reference = notice.text_reference
    return WindowRead.model_validate(_told(window, today))


@router.get("/v1/windows/{window_id}")
async def read_window(
    window_id: UUID,
    who: Annotated[
        Principal, require("district", "principal", "counselor", reads=["directory"], purpose="administration")
    ],
    session: Session,
    today: Today,
) -> WindowCounted:
    """A window with its counts, as far as the caller's schools go."""
    window = await window_with(session, window_id)
    school = sa.func.unnest(sa.cast(window.schools, ARRAY(sa.Text))).column_valued("school")
    if not await session.scalar(sa.select(sa.exists(sa.select(school).where(visible_numbers(who, school))))):
        raise NotFound(what="survey window")
    return WindowCounted.model_validate(_told(window, today) | await _counts(session, window, who))


async def window_with(session: AsyncSession, window_id: UUID, *, for_update: bool = False) -> models.Window:
    """The window with this id, locked for the rest of the transaction if it is to change or its responses are.

    Raises:
        NotFound: there is none.
    """
    lock = {"key_share": True} if for_update else None
    window = await session.get(models.Window, window_id, with_for_update=lock)
    if window is None:
        raise NotFound(what="survey window")
    return window


def _window_of(asked: WindowAsked, at: datetime) -> models.Window:
    notice: dict[str, Any] = asked.notice.model_dump() if asked.notice else dict.fromkeys(Notice.model_fields)
    return models.Window(
        **asked.model_dump(exclude={"notice", "schools"}),
        **{f"notice_{name}": value for name, value in notice.items()},
        id=uuid_utils.uuid7(),
        schools=sorted(set(asked.schools)),
        created_at=at,
    )


async def _same_window(session: AsyncSession, asked: WindowAsked) -> models.Window:
    window = (await session.scalars(sa.select(models.Window).where(col(models.Window.key) == asked.key))).one()
    wanted = _window_of(asked, window.created_at)
    same = {"instrument", "schools", "opens_on", "closes_on", "audience"}
    if window.model_dump(include=same) != wanted.model_dump(include=same):
        raise KeyTaken
    if asked.notice and asked.notice != _notice_of(window):
        raise KeyTaken
    return window


def _notice_of(window: models.Window) -> Notice | None:
    if window.notice_kind is None:
        return None
    return Notice.model_validate({name: getattr(window, f"notice_{name}") for name in Notice.model_fields})


def _told(window: models.Window, today: date) -> dict[str, Any]:
    return window.model_dump() | {"notice": _notice_of(window), "stage": window.rule().stage(today)}


async def _counts(session: AsyncSession, window: models.Window, who: Principal) -> dict[str, Any]:
    students = (
        sa.select(col(models.Enrolment.student_id))
        .where(models.enrolled(window), visible_to(who, col(models.Enrolment.student_id)))
        .distinct()
        .subquery("students")
    )
    consents = models.standing_consents(window.id)
    live = sa.and_(
        col(models.Link.window_id) == window.id,
        col(models.Link.student_id) == students.c.student_id,
        col(models.Link.revoked_at).is_(None),
    )
    response = sa.and_(
        col(models.Response.window_id) == window.id, col(models.Response.student_id) == students.c.student_id
    )
    found = await session.execute(
        sa.select(
            sa.func.count(students.c.student_id).label("students"),
            sa.func.count(col(models.Link.student_id)).label("invited"),
            sa.func.count(col(models.Response.student_id)).label("answered"),
            sa.func.count().filter(~may_answer_now(window, consents.c.state)).label("without_consent"),
        )
        .select_from(students)
        .outerjoin(consents, consents.c.student_id == students.c.student_id)
        .outerjoin(models.Link, live)
        .outerjoin(models.Response, response)
    )
    return dict(found.mappings().one())


def may_answer_now(window: models.Window, state: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """The rule of the same name as a condition: before the notice is recorded, nobody may."""
    notice = window.rule().notice
    allowed = [known for known in (None, *ConsentState) if notice and may_answer(notice, known)]
    said = state.in_([known.value for known in allowed if known])
    return sa.or_(said, state.is_(None)) if None in allowed else sa.and_(state.is_not(None), said)
