"""Requests for help: any member of staff may ask for a student whom they see, and somebody answers with what was done."""

from collections.abc import Sequence
from datetime import date, datetime
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
import structlog
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import require
from common.app import Router
from common.auth import Principal
from common.db import Session, afterwards, transaction_time
from common.errors import DomainError
from common.events import UrgentHelpRequested
from common.idempotency import ONCE
from common.outbox import publish
from common.paging import Cursor, Limit, Page
from common.runtime import Runtime, RuntimeOf, Today
from common.sealed import Vault
from common.telemetry import record_alert
from common.words import Words
from mtss.deciding import Touched, reassess
from mtss.models import Author, HelpRequest, Student
from mtss.routes.desk import locked_student, page_of
from mtss.routes.documents import MIXES, PURPOSE, READS
from mtss.routes.handing import find
from mtss.rules.reviewing import due_on
from mtss.ruling import days_within, school_days
from mtss.supports import CATALOGUE

router = Router("mtss")
log = structlog.get_logger(__name__)

Asker = Annotated[
    Principal, require("district", "principal", "counselor", "teacher", reads=("directory",), purpose=PURPOSE)
]
Answerer = Annotated[
    Principal,
    require(
        "district",
        "principal",
        "counselor",
        reads=(*READS, *MIXES, "narrative"),
        mixes=("contact_address",),
        purpose=PURPOSE,
    ),
]
"""Who decides about students, and may read which contact asked."""
_TABLE = "mtss_help_request"


class HelpAnswered(DomainError):
    """This request was answered already; what was done is there to read."""


class HelpAsked(BaseModel):
    """What somebody has noticed, in their own words. They are sealed, and read by those alone who decide about support."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={"example": {"words": "He sits alone since the break and hardly speaks."}},
    )

    words: Words


class ConcernAsked(HelpAsked):
    """What a member of staff has noticed: signs of the district's catalogue beside their own words."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"words": "He sits alone since the break and hardly speaks.", "signs": ["alone", "withdrawn"]}
        }
    )

    signs: Annotated[
        list[Annotated[str, Field(max_length=60)]],
        Field(max_length=30, description="By their names in `GET /mtss/v1/supports/catalogue`; sealed like the words."),
    ] = []


class HelpDone(BaseModel):
    """What was done."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={"example": {"answer": "His counselor met him on Tuesday and meets him weekly."}},
    )

    answer: Words


class HelpTaken(BaseModel):
    """A request that was taken, and by when it is to be answered."""

    id: UUID
    asked_on: date
    due_on: Annotated[date | None, Field(description="The same day if urgent; null while no calendar has that day.")]


class HelpRequestDocument(BaseModel):
    """A request for help, and what was done."""

    id: UUID
    student_id: UUID
    asked_on: date
    author: Annotated[Author, Field(description="A member of staff; or over a personal link the student or a contact.")]
    by: Annotated[
        str | None,
        Field(
            description="Who asked: of whoever used a link the id, as sis knows them; null: a contact, and you read none."
        ),
    ]
    words: str
    signs: list[str]
    urgent: bool
    known_at: datetime
    answered_on: date | None
    answered_by: str | None
    answer: str | None


@router.post("/v1/students/{student_id}/help-requests", status_code=201, dependencies=[ONCE])
async def ask_for_help(
    student_id: UUID, asked: ConcernAsked, who: Asker, session: Session, runtime: RuntimeOf, today: Today
) -> HelpTaken:
    """Ask for help for a student. It waits in the school's queue, and a policy may hear that it was asked."""
    urgent = CATALOGUE.noticed(asked.signs)
    student = await locked_student(session, who, student_id)
    request = HelpRequest(student_id=student_id, asked_on=today, by=who.subject, urgent=urgent)
    if asked.signs:
        signs = "\n".join(sorted(set(asked.signs)))
        request.signs = runtime.vault.seal(signs, table=_TABLE, column="signs", row=request.id)
    await take(session, runtime, request, asked.words)
    within = await days_within(session, "help_answered", today)
    days = await school_days(session, str(student.school_id), today)
    return HelpTaken(id=request.id, asked_on=today, due_on=today if urgent else due_on(days, today, within))


@router.post("/v1/help-requests/{request_id}/answer", status_code=201, dependencies=[ONCE])
async def answer_help_request(
    request_id: UUID, done: HelpDone, who: Answerer, session: Session, runtime: RuntimeOf, today: Today
) -> HelpRequestDocument:
    """Answer a request for help with what was done. It leaves the queue.

    Raises:
        HelpAnswered: somebody has answered it.
    """
    request = await find(session, who, HelpRequest, request_id, "request for help", today, lock=True)
    if request.answered_on is not None:
        raise HelpAnswered
    request.answered_on, request.answered_by = today, who.subject
    request.answer = runtime.vault.seal(done.answer, table=_TABLE, column="answer", row=request.id)
    session.add(request)
    if request.urgent:
        await publish(session, await _urgent(session, request, revision=2, deleted=True))
    return _shown(runtime.vault, who, request)


@router.get("/v1/students/{student_id}/help-requests")
async def list_help_requests(
    student_id: UUID, who: Answerer, session: Session, runtime: RuntimeOf, cursor: Cursor = None, limit: Limit = 100
) -> Page[HelpRequestDocument]:
    """Every request for help for a student and what was done, from the first to the last."""
    found, following = await page_of(session, who, student_id, HelpRequest, col(HelpRequest.id), cursor, limit)
    return Page(items=[_shown(runtime.vault, who, each) for each in found], next=following)


async def take(session: AsyncSession, runtime: Runtime, request: HelpRequest, words: str) -> None:
    """Keep a request for help with its words sealed, say that it cannot wait if so, and decide what a policy makes of it."""
    request.known_at = await transaction_time(session)
    request.words = runtime.vault.seal(words, table=_TABLE, column="words", row=request.id)
    session.add(request)
    await session.flush()
    if request.urgent:  # a danger does not wait until somebody looks into a queue
        said = await _urgent(session, request, revision=1)
        await publish(session, said)
        afterwards(session, partial(_alert, runtime.name, said.school_id))
    await reassess(session, Touched(school={request.student_id}))


def _alert(service: str, school: str) -> None:
    record_alert(service, state="urgent-help")
    log.warning("an alert", service=service, reason="urgent-help", where=school)


async def _urgent(session: AsyncSession, request: HelpRequest, **stands: Any) -> UrgentHelpRequested:
    student = await session.get_one(Student, request.student_id)
    return UrgentHelpRequested(request_id=request.id, school_id=str(student.school_id), **stands)


async def open_requests(session: AsyncSession, mine: Sequence[sa.ColumnElement[bool]]) -> Sequence[HelpRequest]:
    """The requests that wait for an answer, of some students."""
    asked = sa.select(HelpRequest).join(Student, col(Student.student_id) == col(HelpRequest.student_id))
    return (await session.scalars(asked.where(*mine, col(HelpRequest.answered_on).is_(None)))).all()


def _shown(vault: Vault, who: Principal, request: HelpRequest) -> HelpRequestDocument:
    words = vault.open(request.words, table=_TABLE, column="words", row=request.id)
    done = request.answer
    answer = None if done is None else vault.open(done, table=_TABLE, column="answer", row=request.id)
    signs = "" if request.signs is None else vault.open(request.signs, table=_TABLE, column="signs", row=request.id)
    told = request.author != Author.FAMILY or "contact_address" in who.reads
    return HelpRequestDocument.model_validate(
        {
            **request.model_dump(),
            "by": request.by if told else None,
            "words": words,
            "signs": signs.split(),
            "answer": answer,
        }
    )
