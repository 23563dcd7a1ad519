from collections.abc import AsyncIterator
from datetime import date
from typing import Annotated
from uuid import UUID, uuid5

import sqlalchemy as sa
from fastapi import Path
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession

from common.access import public, require
from common.app import Router, create_app
from common.auth import Principal
from common.db import Session
from common.errors import DomainError, Invalid
from common.events import Event, SurveyScored, TierDecided
from common.idempotency import ONCE, repeatable
from common.outbox import publish
from common.routing import EventRouter

router = Router("echo")
events = EventRouter()

_NAMES = UUID(int=7)


class HandlerBug(Exception):
    """What a test makes the handler raise."""


class TooShort(DomainError):
    """The number must be at least {least}."""

    status = 409


class Note(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    number: int
    on: date | None = None


@router.post(
    "/v1/notes",
    dependencies=[require("district", "principal", reads=["directory"], purpose="support"), ONCE],
    status_code=201,
)
async def record_note(note: Note, session: Session) -> dict[str, str]:
    if note.number < 0:
        raise TooShort(least=0)
    student = uuid5(_NAMES, note.name)
    await publish(session, scored(student, note.number))
    return {"id": str(student)}


@router.get("/v1/who")
async def read_who(
    who: Annotated[Principal, require("principal", services=("mtss",), reads=["directory"], purpose="support")],
) -> dict[str, list[str]]:
    return {"schools": sorted(who.schools)}


@router.get(
    "/v1/drawer",
    dependencies=[
        require(
            "district", services=("mtss",), permission="surveys.import-paper", reads=["directory"], purpose="support"
        )
    ],
)
async def read_drawer() -> None: ...


@router.get("/v1/vault")
async def read_vault(
    who: Annotated[
        Principal, require("district", "counselor", second_factor=True, reads=["directory"], purpose="support")
    ],
) -> dict[str, str]:
    return {"role": who.role, "subject": who.subject, "staff_id": str(who.staff_id)}


@router.get("/v1/desk")
async def read_desk(
    who: Annotated[Principal, require("district", "counselor", reads=["directory"], purpose="support")],
) -> dict[str, str]:
    return {"role": who.role, "subject": who.subject, "staff_id": str(who.staff_id)}


@router.get(
    "/v1/open/{number}", dependencies=[public("a test needs one", reads=["non_personal"], purpose="operations")]
)
async def read_open(number: Annotated[int, Path(ge=1)]) -> dict[str, int]:
    return {"number": number}


@router.get("/v1/broken", dependencies=[public("a test needs one", reads=["non_personal"], purpose="operations")])
async def read_broken() -> None:
    raise HandlerBug("a canary that must not be seen")


@router.post("/v1/shout", dependencies=[public("a test needs one", reads=["non_personal"], purpose="operations")])
@repeatable("nothing is kept")
async def shout(note: Note) -> None:
    raise Invalid(field="name", rule=f"must be louder than {note.name}")


@events.on(TierDecided)
async def remember_tier(event: TierDecided, session: AsyncSession) -> None:
    if event.policy == "bug":
        raise HandlerBug("a canary that must not be seen")
    await session.execute(
        sa.text(
            "INSERT INTO echo_tier (student_id, tier, revision, times) VALUES (:student, :tier, :revision, 1) "
            "ON CONFLICT (student_id) DO UPDATE SET tier = excluded.tier, revision = excluded.revision, "
            "times = echo_tier.times + 1 WHERE echo_tier.revision < excluded.revision"
        ),
        {"student": event.student_id, "tier": event.tier, "revision": event.revision},
    )


@events.standing
async def everything_said(session: AsyncSession) -> AsyncIterator[Event]:
    for number in range(3):
        yield scored(uuid5(_NAMES, str(number)), number)


def scored(student: UUID, number: int) -> SurveyScored:
    return SurveyScored(
        student_id=student,
        window_id=_NAMES,
        school_id="1",
        instrument="echo",
        answered_on=date(2026, 9, 1),
        scores=(),
        revision=number + 1,
    )


app = create_app("echo", router, events)
