"""Answers given on paper and typed in later."""

from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, WithJsonSchema
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import require
from common.app import Router
from common.audit.writing import about
from common.db import Session
from common.errors import DomainError
from common.idempotency import ONCE
from common.problems import Problem, problem_of, validation_problem
from common.runtime import RuntimeOf, Today
from surveys import rules
from surveys.instruments import instrument_named
from surveys.models import Enrolment, Window, enrolled, standing_consents
from surveys.routes.recording import Given, record
from surveys.routes.windows import window_with
from surveys.rules import ConsentMissing, ConsentState, StudentNotYetKnown

router = Router("surveys")


class PaperAnswers(BaseModel):
    """One student's sheet. An item may be null or left out.

    The rules check the answers, so that no problem document repeats a name that is not an item's.
    """

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={
            "example": {
                "student_id": "0190f3c2-7b1e-7c3a-8a55-2f6b1c9d0e11",
                "answered_on": "2026-10-06",
                "language": "es",
                "answers": {"adult_support_1": 4, "adult_support_2": None},
            }
        },
    )

    student_id: UUID
    answered_on: date
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$", description="The language of the sheet, ISO 639.")]
    answers: Annotated[
        dict[str, Any],
        Field(max_length=200),
        WithJsonSchema({"type": "object", "additionalProperties": {"type": ["integer", "null"]}}),
    ]


_SHEET = TypeAdapter(PaperAnswers)


class Sheets(BaseModel):
    """Up to 500 sheets. A bad one is rejected, the others are kept."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    items: Annotated[
        list[Annotated[Any, WithJsonSchema(PaperAnswers.model_json_schema())]], Field(min_length=1, max_length=500)
    ]


class Rejected(BaseModel):
    """Which item was rejected, and why. ``student-not-yet-known`` may pass later."""

    index: int
    problem: Problem


class Imported(BaseModel):
    """How many sheets said something new, how many were known already, and which were rejected."""

    imported: int
    unchanged: int
    rejected: list[Rejected]


@router.post(
    "/v1/windows/{window_id}/responses/import",
    dependencies=[
        require("district", permission="surveys.import-paper", reads=["non_personal"], purpose="administration"),
        ONCE,
    ],
    response_model_exclude_none=True,
)
async def import_responses(
    window_id: UUID, sheets: Sheets, session: Session, runtime: RuntimeOf, today: Today
) -> Imported:
    """Import sheets: the same again changes nothing; a corrected one is a new revision of the student's response."""
    window = await window_with(session, window_id, for_update=True)
    window.rule().told()
    read = [_read(item) for item in sheets.items]
    people = await _people(session, window, [sheet.student_id for sheet in read if isinstance(sheet, PaperAnswers)])
    judged = [_judged(sheet, window, people, today) for sheet in read]
    given = [each for each in judged if isinstance(each, Given)]
    about(*(each.student_id for each in given))
    changed = await record(session, runtime.vault, window, given)
    rejected = [Rejected(index=index, problem=each) for index, each in enumerate(judged) if isinstance(each, Problem)]
    return Imported(imported=changed.count(True), unchanged=changed.count(False), rejected=rejected)


@dataclass(frozen=True, slots=True)
class _Person:
    """What decides whether a student's sheet counts."""

    state: ConsentState | None
    enrolments: list[rules.Enrolment] = field(default_factory=list)


def _read(item: Any) -> PaperAnswers | Problem:
    try:
        return _SHEET.validate_python(item)
    except ValidationError as error:
        return validation_problem(error)


async def _people(session: AsyncSession, window: Window, students: list[UUID]) -> dict[UUID, _Person]:
    """What is known of those ``students`` who belong to the window."""
    consents = standing_consents(window.id)
    rows = await session.execute(
        sa.select(Enrolment, consents.c.state)
        .outerjoin(consents, consents.c.student_id == col(Enrolment.student_id))
        .where(enrolled(window), col(Enrolment.student_id) == sa.any_(sa.cast(students, sa.ARRAY(sa.Uuid))))
    )
    people: dict[UUID, _Person] = {}
    for enrolment, state in rows:
        person = people.setdefault(enrolment.student_id, _Person(ConsentState(state) if state else None))
        person.enrolments.append(enrolment.rule())
    return people


def _judged(sheet: PaperAnswers | Problem, window: Window, people: dict[UUID, _Person], today: date) -> Given | Problem:
    if isinstance(sheet, Problem):
        return sheet
    try:
        return _given(sheet, window, people.get(sheet.student_id), today)
    except DomainError as error:
        return problem_of(error)


def _given(sheet: PaperAnswers, window: Window, person: _Person | None, today: date) -> Given:
    window.rule().check_answered(sheet.answered_on, today=today)
    rules.check_answers(instrument_named(window.instrument).scoring_key(), sheet.answers)
    school = rules.school_on(person.enrolments, sheet.answered_on) if person else None
    if person is None or school is None:
        raise StudentNotYetKnown
    if not rules.may_answer(window.rule().told(), person.state):
        raise ConsentMissing
    return Given(school_id=school, source="paper", **dict(sheet))
