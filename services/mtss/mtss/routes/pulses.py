"""Following up: where a survey calls for support, somebody asks the student how they are, again and again until it does not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.app import Router
from common.db import Session, transaction_time
from common.events import Tier
from common.idempotency import ONCE
from common.paging import Cursor, Limit, Page
from common.runtime import RuntimeOf, Today
from common.sealed import Vault
from common.words import Words
from mtss.models import Pulse, Student, Support, signals_since_of
from mtss.routes.desk import Decider, locked_student, page_of
from mtss.supports import CATALOGUE

router = Router("mtss", tags=["supports"])

_TABLE = "mtss_pulse"


class PulseAsked(BaseModel):
    """How a student is, and what was said and done. The words are sealed."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={"example": {"wellbeing": 3, "words": "He would like to change seats; his teacher agrees."}},
    )

    wellbeing: Annotated[
        int, Field(ge=1, le=5, description="From very bad to very good, in the student's own judgement.")
    ]
    words: Words


class PulseDocument(BaseModel):
    """How a student was on a day."""

    id: UUID
    student_id: UUID
    asked_on: date
    wellbeing: int
    words: str
    by: str
    known_at: datetime


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A student whose survey calls for somebody to ask how they are: since when it does, and when somebody last did."""

    student_id: UUID
    since: date
    last: date | None


@router.post("/v1/students/{student_id}/pulses", status_code=201, dependencies=[ONCE])
async def record_pulse(
    student_id: UUID, asked: PulseAsked, who: Decider, session: Session, runtime: RuntimeOf, today: Today
) -> PulseDocument:
    """Record how a student is. Where it was to be asked, it is to be asked again after the days that the catalogue says."""
    await locked_student(session, who, student_id)
    known_at = await transaction_time(session)
    pulse = Pulse(student_id=student_id, asked_on=today, wellbeing=asked.wellbeing, by=who.subject, known_at=known_at)
    pulse.words = runtime.vault.seal(asked.words, table=_TABLE, column="words", row=pulse.id)
    session.add(pulse)
    return _shown(runtime.vault, pulse)


@router.get("/v1/students/{student_id}/pulses")
async def list_pulses(
    student_id: UUID, who: Decider, session: Session, runtime: RuntimeOf, cursor: Cursor = None, limit: Limit = 100
) -> Page[PulseDocument]:
    """How a student was, from the first time that somebody asked to the last."""
    found, following = await page_of(session, who, student_id, Pulse, col(Pulse.id), cursor, limit)
    return Page(items=[_shown(runtime.vault, each) for each in found], next=following)


async def follow_ups(session: AsyncSession, mine: Sequence[sa.ColumnElement[bool]]) -> list[FollowUp]:
    """Who of some students is to be followed up: they are in a tier of more support, a survey is among its grounds, and no support runs.

    While one runs, its reviews are what somebody looks at; so after the last one nobody is late before the day on which it ended.
    """
    running = sa.exists().where(col(Support.student_id) == col(Student.student_id), col(Support.ended_on).is_(None))
    stands: Any = col(Student.signals_since)
    signals = sorted(CATALOGUE.follow_up.signals)
    listens = sa.or_(stands.is_(None), stands.has_any(array(signals, type_=sa.Text)))
    asked = sa.select(col(Student.student_id), stands).where(
        *mine, col(Student.tier) != Tier.UNIVERSAL, ~running, listens
    )
    known: dict[UUID, dict[str, str] | None] = {row[0]: row[1] for row in await session.execute(asked)}
    if new := [student for student, each in known.items() if each is None]:
        known |= zip(new, await signals_since_of(session, new), strict=True)
    since = {
        student: date.fromisoformat(min(days))
        for student, each in known.items()
        if (days := [day for name, day in (each or {}).items() if name in signals])
    }
    last = sa.select(col(Pulse.student_id), sa.func.max(col(Pulse.asked_on))).group_by(col(Pulse.student_id))
    last = last.where(col(Pulse.student_id).in_(list(since)))
    pulses: dict[UUID, date] = {row[0]: row[1] for row in await session.execute(last)}
    over = sa.select(col(Support.student_id), sa.func.max(col(Support.ended_on))).group_by(col(Support.student_id))
    over = over.where(col(Support.student_id).in_(list(since)))
    for student, ended_on in (await session.execute(over)).all():
        since[student] = max(since[student], (ended_on or date.min) + timedelta(days=1))
    return [FollowUp(student, began, pulses.get(student)) for student, began in since.items()]


def _shown(vault: Vault, pulse: Pulse) -> PulseDocument:
    words = vault.open(pulse.words, table=_TABLE, column="words", row=pulse.id)
    return PulseDocument.model_validate(pulse.model_dump() | {"words": words})
