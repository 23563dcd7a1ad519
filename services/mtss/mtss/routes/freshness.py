"""Freshness: up to which day each school is known, what is unknown of its students, and what has not been handled yet."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated

import sqlalchemy as sa
from fastapi import Query, Request
from pydantic import BaseModel, Field
from sqlmodel import col

from common.access import visible_numbers, visible_to
from common.app import Router
from common.db import Session
from common.errors import SisterUnavailable
from common.paging import Cursor, Limit, Page, keyset, next_of
from common.runtime import Now, Runtime, RuntimeOf, Today
from mtss.models import Student, last_enrolment_is_open
from mtss.models.freshness import parked_since, schools_heard, unknown_at
from mtss.routes.documents import NO_CONTROL, WholeReader
from mtss.ruling import days_within

router = Router("mtss")


class SchoolFreshness(BaseModel):
    """How fresh what is known of one school is."""

    school_id: str
    closed_through: Annotated[date | None, Field(description="The last closed day.")]
    silent_days: Annotated[
        int, Field(description="Instructional days before today, after that one, that are not closed.")
    ]
    silent: Annotated[bool, Field(description="So many that the policy has it wait for a person.")]
    last_push_at: Annotated[
        datetime | None,
        Field(
            description="When the newest that is known of it was accepted. A push that changes nothing says nothing."
        ),
    ]
    students: Annotated[int, Field(description="Whose last enrolment is open.")]
    undecided: Annotated[int, Field(description="Those of them without any closed day.")]
    unknown_clauses: Annotated[
        dict[str, int],
        Field(
            description="For each clause the students of whom it was unknown on their last closed day.",
            examples=[{"adult_support": 12}],
        ),
    ]
    oldest_unprocessed_seconds: Annotated[
        float | None,
        Field(description="Age of the oldest event of it that is not handled here. Null: none is known of."),
    ]


class Freshness(Page[SchoolFreshness]):
    """A page of schools, and what is known of events under way."""

    sis_answers: Annotated[bool, Field(description="False: nothing is known of events that have not left sis.")]
    lag: Annotated[
        int | None, Field(description="Events that Kafka holds and nobody here has heard; null without Kafka.")
    ]


@router.get("/v1/freshness")
async def read_freshness(
    request: Request,
    who: WholeReader,
    session: Session,
    runtime: RuntimeOf,
    today: Today,
    now: Now,
    school: Annotated[str | None, Query(max_length=40, pattern=NO_CONTROL)] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Freshness:
    """Each school that has students, by its id: how old what is known of it is, and how much is unknown."""
    unsaid = await _unpublished(runtime)  # before anything is asked of the database: it may take a while
    theirs = last_enrolment_is_open(today), visible_to(who, col(Student.student_id))
    asked = sa.select(col(Student.school_id)).where(*theirs, visible_numbers(who, col(Student.school_id)))
    by_id = col(Student.school_id).collate("C")
    if school is not None:
        asked = asked.where(col(Student.school_id) == school)
    found = (await session.scalars(keyset(asked.group_by(col(Student.school_id)), by_id, cursor, limit))).all()
    schools = [str(each) for each in found[:limit]]

    unknown = await unknown_at(session, (*theirs, col(Student.school_id).in_(schools)))
    silent_after = await days_within(session, "school_silent", today)
    waiting = [await parked_since(session, schools), request.app.state.inbox.oldest_in_hand(), unsaid or {}]
    return Freshness(
        items=[
            SchoolFreshness(
                school_id=each.school_id,
                closed_through=each.through,
                silent_days=each.silent_days,
                silent=each.silent_days >= silent_after,
                last_push_at=each.last_push_at,
                students=unknown[each.school_id].students,
                undecided=unknown[each.school_id].undecided,
                unknown_clauses=dict(unknown[each.school_id].clauses),
                oldest_unprocessed_seconds=_age(each.school_id, waiting, now),
            )
            for each in await schools_heard(session, schools, today)
        ],
        next=next_of(found, limit, str),
        sis_answers=unsaid is not None,
        lag=runtime.lag,
    )


def _age(school: str, waiting: Sequence[Mapping[str, datetime]], now: datetime) -> float | None:
    since = [each[school] for each in waiting if school in each]
    return max(0.0, round((now - min(since)).total_seconds(), 3)) if since else None


async def _unpublished(runtime: Runtime) -> dict[str, datetime] | None:
    """By school since when an event waits in sis; ``None`` if sis does not answer."""
    try:
        answer = await runtime.clients.request("sis", "GET", "/sis/v1/unpublished")
    except SisterUnavailable:
        return None
    if not answer.is_success:
        return None
    return {each["school_id"]: datetime.fromisoformat(each["oldest_at"]) for each in answer.json()["schools"]}
