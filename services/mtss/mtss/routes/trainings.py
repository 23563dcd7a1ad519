"""Who of the staff was trained to see that a student needs help: recorded for many at once, read school by school."""

from datetime import date, timedelta
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import col

from common.access import require
from common.app import Router
from common.auth import Principal
from common.db import Session, transaction_time
from common.described import refusing
from common.errors import Invalid, NotFound
from common.idempotency import ONCE
from common.paging import Cursor, Limit, Page, last_of, next_of
from common.runtime import Today
from common.scope import see_all
from mtss.models.trainings import Training, count_trained, record_training, trained_at, unknown_staff
from mtss.routes.documents import NO_CONTROL
from mtss.routes.schools import is_known
from mtss.supports import CATALOGUE

router = Router("mtss", tags=["trainings"])

Recorder = Annotated[Principal, require("district", reads=("non_personal",), purpose="administration")]
Reader = Annotated[Principal, require("district", "principal", reads=("directory",), purpose="administration")]
_AT_ONCE = 1000


class TrainingRecorded(BaseModel):
    """Who took part in a training on a day."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={
            "example": {
                "training": "signs",
                "trained_on": "2026-08-20",
                "staff_ids": ["0190f6a8-0000-7000-8000-000000000001"],
            }
        },
    )

    training: Annotated[str, Field(max_length=100, description="Its name in the district's catalogue.")]
    trained_on: date
    staff_ids: Annotated[list[UUID], Field(min_length=1, max_length=_AT_ONCE, description="As sis names them.")]


class RecordedDocument(BaseModel):
    """What came of it."""

    recorded: Annotated[int, Field(description="Of so many it was not known.")]
    known: Annotated[int, Field(description="Of so many it was: nothing was changed.")]


class HeldDocument(BaseModel):
    """The last day on which somebody took part in a training."""

    id: UUID
    training: Annotated[str, Field(examples=["signs"])]
    trained_on: date
    holds_until: Annotated[
        date | None, Field(description="Its last day. Null: the catalogue has this training no more.")
    ]
    holds: bool


class StaffDocument(BaseModel):
    """A member of staff who works at the school today."""

    staff_id: UUID
    trainings: list[HeldDocument]


class TrainingCount(BaseModel):
    """How many of a school's staff hold a training today."""

    training: Annotated[str, Field(examples=["signs"])]
    title: str
    staff: int
    hold: int


class TrainingsPage(Page[StaffDocument]):
    """A page of a school's staff, and how many of all of them hold what."""

    counts: list[TrainingCount]


@router.post("/v1/trainings", status_code=201, dependencies=[ONCE])
async def record_trainings(asked: TrainingRecorded, who: Recorder, session: Session, today: Today) -> RecordedDocument:
    """Record that members of staff were trained. Said again, it changes nothing.

    Raises:
        Invalid: the catalogue has no such training, the day is to come, or the SIS assigns somebody to nothing.
    """
    if asked.training not in CATALOGUE.trainings:
        raise Invalid(field="training", rule="must be one of the trainings in the district's catalogue")
    if asked.trained_on > today:
        raise Invalid(field="trained_on", rule="must not be after today")
    staff = sorted(set(asked.staff_ids))
    if unknown := await unknown_staff(session, asked.staff_ids):
        places = ", ".join(map(str, unknown[:10])) + (", …" if len(unknown) > 10 else "")
        raise Invalid(
            field="staff_ids",
            rule=f"must be staff whom the SIS assigns to a school or a district; not so: number {places}",
        )
    recorded = await record_training(session, asked.training, asked.trained_on, staff, who.subject)
    return RecordedDocument(recorded=recorded, known=len(staff) - recorded)


@router.delete("/v1/trainings/{training_id}", status_code=204, responses=refusing(NotFound))
async def withdraw_training(training_id: UUID, who: Recorder, session: Session) -> None:
    """Withdraw what was recorded by mistake. It stays in the database, with who withdrew it and when."""
    stands = sa.update(Training).where(col(Training.id) == training_id, col(Training.withdrawn_at).is_(None))
    withdrawn = stands.values(withdrawn_at=await transaction_time(session), withdrawn_by=who.subject)
    if not (await session.execute(withdrawn.returning(col(Training.id)))).all():
        raise NotFound(what="training")


@router.get("/v1/schools/{school_id}/trainings", responses=refusing(NotFound))
async def list_trainings(
    school_id: Annotated[str, Path(max_length=40, pattern=NO_CONTROL)],
    who: Reader,
    session: Session,
    today: Today,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> TrainingsPage:
    """Who works at a school today and what they were last trained in, by their id; and how many of all hold it."""
    if not await is_known(session, who, school_id):
        raise NotFound(what="school")
    await see_all(session)  # staff are nobody's students: who is told of the school is told of who works there
    after = last_of(cursor, UUID)[0] if cursor else None
    found = await trained_at(session, school_id, today, after, limit + 1)
    since = [(name, today - timedelta(days=each.holds_days)) for name, each in CATALOGUE.trainings.items()]
    return TrainingsPage(
        items=[
            StaffDocument(staff_id=each.staff_id, trainings=[_held(*one, today) for one in each.last])
            for each in found[:limit]
        ],
        next=next_of(found, limit, lambda each: each.staff_id),
        counts=[
            TrainingCount(training=name, title=CATALOGUE.trainings[name].title, staff=staff, hold=held)
            for staff, name, held in await count_trained(session, school_id, today, since)
        ],
    )


def _held(identity: UUID, name: str, trained_on: date, today: date) -> HeldDocument:
    kept = CATALOGUE.trainings.get(name)
    until = trained_on + timedelta(days=kept.holds_days) if kept else None
    return HeldDocument(
        id=identity, training=name, trained_on=trained_on, holds_until=until, holds=until is not None and until >= today
    )
