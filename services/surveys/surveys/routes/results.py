"""What a survey came to for a school and its sections: of no student, in no order of scores, counted once."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import numpy as np
import sqlalchemy as sa
from fastapi import Path
from fastapi import Response as Answer
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import require, visible_numbers, visible_to
from common.app import Router
from common.auth import Principal
from common.db import Session, transaction_time
from common.errors import NotFound
from common.idempotency import ONCE
from common.runtime import RuntimeOf, Today
from common.scope import see_all
from surveys.instruments import instrument_named
from surveys.models import Enrolment, Response, Result, Window, enrolled, insert_all, standing_consents
from surveys.policy import POLICY
from surveys.results_page import results_page
from surveys.routes.windows import may_answer_now, window_with
from surveys.rules import Stage, WindowNotClosed
from surveys.rules.results import Least, Means, Subscale, results

router = Router("surveys")

_LEAST = Least(POLICY.results_cell, POLICY.results_ends_percent)
_Reader = Annotated[
    Principal,
    require("district", "principal", "counselor", "teacher", reads=["directory"], purpose="instruction"),
]
_School = Annotated[str, Path(max_length=40, pattern=r"^[^\x00-\x1f\x7f]*$")]
_SECTIONS = sa.text(
    """
    SELECT DISTINCT section_id, student_id, school_id FROM scope_section_student
    WHERE school_id = ANY(CAST(:schools AS text[])) AND NOT deleted AND begin_on <= :day AND coalesce(end_on, 'infinity') >= :day
    ORDER BY section_id
    """
)
# Who taught it sees it while they see everybody who sits there still; a few who stayed do not stand for all who answered.
_SEEN_SECTIONS = sa.text(
    """
    SELECT s.section_id FROM scope_section_student AS s JOIN scope_enrolment AS e USING (student_id, school_id)
    WHERE s.school_id = :school AND NOT s.deleted AND s.begin_on <= :today AND coalesce(s.end_on, 'infinity') >= :today
      AND e.entry_on <= :today AND e.seen_until >= :today
    GROUP BY s.section_id
    HAVING count(DISTINCT s.student_id) >= :cell AND bool_and(s.student_id = ANY(CAST(:seen AS uuid[])))
    """
)


class Counted(BaseModel):
    """That a window was counted, when, and for how many schools."""

    window_id: UUID
    counted_at: datetime
    schools: int


class Score(BaseModel):
    """The mean of a subscale over all who were scored, on the scale of its questions; higher is better."""

    scored: Annotated[int, Field(description="Students with enough answers for this subscale.")]
    mean: float
    low: Annotated[
        float,
        Field(description="From here to `high` is the 95 percent interval, by how students of all schools differ."),
    ]
    high: float
    beyond: Annotated[
        Literal["at_most", "at_least"] | None,
        Field(description="The mean is at most, or at least, this: nearer to the end of the scale none is told."),
    ]


class GroupTold(BaseModel):
    """A school or a section. Of one of which no subscale is told, no number is."""

    students: Annotated[int | None, Field(description="Who could have answered.")]
    answered: int | None
    subscales: Annotated[
        dict[str, Score | None],
        Field(description="Null: too few, or something of a few could be had from it and what else is told."),
    ]


class SectionTold(GroupTold):
    """The same of a section, by who sat in it on the last day of the window."""

    section_id: UUID


class ResultsDocument(BaseModel):
    """What a survey came to at one school: a condition of the school, no grade of anybody. Sections stand in the order of their ids."""

    window_id: UUID
    school_id: str
    instrument: str
    counted_at: datetime
    minimum: Annotated[int, Field(description="What fewer students answered is not told, nor can be had from it.")]
    school: Annotated[GroupTold | None, Field(description="Null for who does not see the whole school.")]
    sections: list[SectionTold]


@router.post(
    "/v1/windows/{window_id}/results",
    status_code=201,
    dependencies=[require("district", reads=["non_personal"], purpose="administration"), ONCE],
    responses={200: {"model": Counted}},
)
async def count_results(window_id: UUID, session: Session, today: Today, answer: Answer) -> Counted:
    """Count what a closed window came to, once for all: what comes in later counts nowhere, or two readings would tell whose it is."""
    window = await window_with(session, window_id, for_update=True)
    if window.rule().stage(today) is not Stage.CLOSED:
        raise WindowNotClosed
    known = (await session.scalars(sa.select(Result).where(col(Result.window_id) == window_id))).all()
    if known:
        answer.status_code = 200
        return Counted(window_id=window_id, counted_at=known[0].counted_at, schools=len(known))
    at = await transaction_time(session)
    rows = await _count(session, window, at)
    if rows:
        await session.execute(insert_all(rows))
    return Counted(window_id=window_id, counted_at=at, schools=len(rows))


@router.get("/v1/windows/{window_id}/schools/{school_id}/results")
async def read_results(
    window_id: UUID,
    school_id: _School,
    who: _Reader,
    session: Session,
    today: Today,
) -> ResultsDocument:
    """What a survey came to at a school, as far as one sees: who sees the school all of it, a teacher their sections."""
    window = await window_with(session, window_id)
    whole = bool(await session.scalar(sa.select(visible_numbers(who, school_id))))
    mine = sa.select(col(Enrolment.student_id)).where(
        col(Enrolment.school_id) == school_id, visible_to(who, col(Enrolment.student_id))
    )
    seen = [] if whole else list(await session.scalars(mine))
    await see_all(session)  # both nets said whom they see; what is told of whom was counted for all alike
    found = await session.get(Result, (window_id, school_id))
    asked = {"school": school_id, "today": today, "cell": _LEAST.cell, "seen": seen}
    sections = {str(each) for each in await session.scalars(_SEEN_SECTIONS, asked)} if seen else set()
    shown = [each for each in found.groups if whole or each["section_id"] in sections] if found else []
    if not found or not shown:
        raise NotFound(what="result of this survey")
    return ResultsDocument(
        window_id=window_id,
        school_id=school_id,
        instrument=window.instrument,
        counted_at=found.counted_at,
        minimum=_LEAST.cell,
        school=next((GroupTold.model_validate(each) for each in shown if each["section_id"] is None), None),
        sections=[SectionTold.model_validate(each) for each in shown if each["section_id"]],
    )


@router.get("/v1/windows/{window_id}/schools/{school_id}/results.html", response_class=HTMLResponse)
async def show_results(
    window_id: UUID, school_id: _School, who: _Reader, session: Session, today: Today, runtime: RuntimeOf
) -> HTMLResponse:
    """The same as a page to read or print."""
    told = await read_results(window_id, school_id, who, session, today)
    window = await window_with(session, window_id)
    counted_on = runtime.date_of(told.counted_at)
    return results_page(told.model_dump(), window.opens_on, window.closes_on, counted_on)


async def _count(session: AsyncSession, window: Window, at: datetime) -> list[Result]:
    answers = await _answers(session, window)
    members = await _members(session, window, answers)
    sections: dict[str, dict[str, set[UUID]]] = {}
    asked = {"schools": window.schools, "day": window.closes_on}
    for section, student, school in await session.execute(_SECTIONS, asked):
        sections.setdefault(school, {}).setdefault(str(section), set()).add(student)
    spread = _spread([scores for _, scores in answers.values()])
    rows = []
    for school, students in sorted(members.items()):
        # Beside the loop that answers others meanwhile: a school of 3,000 with 960 sections takes three seconds.
        groups = await asyncio.to_thread(_told, window, sorted(students), sections.get(school, {}), answers, spread)
        rows.append(Result(window_id=window.id, school_id=school, counted_at=at, groups=groups))
    return rows


_Answers = Mapping[UUID, tuple[str, Mapping[str, float]]]
"""By student the school for which they answered, and their scores by subscale."""


async def _answers(session: AsyncSession, window: Window) -> _Answers:
    """Of whoever may still answer: consent that was withdrawn takes the answers out."""
    said = standing_consents(window.id)
    rows = await session.execute(
        sa.select(col(Response.student_id), col(Response.school_id), col(Response.scores))
        .outerjoin(said, said.c.student_id == col(Response.student_id))
        .where(col(Response.window_id) == window.id, may_answer_now(window, said.c.state))
    )
    return {student: (school, {each["subscale"]: each["mean"] for each in scores}) for student, school, scores in rows}


async def _members(session: AsyncSession, window: Window, answers: _Answers) -> dict[str, set[UUID]]:
    """By school who could have answered there; who did so at one school is of that school alone."""
    members: dict[str, set[UUID]] = {}
    for student, (school, _) in answers.items():
        members.setdefault(school, set()).add(student)
    asked = sa.select(col(Enrolment.student_id), col(Enrolment.school_id)).where(enrolled(window)).distinct()
    for student, school in await session.execute(asked):
        if student not in answers:
            members.setdefault(school, set()).add(student)
    return members


def _spread(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = {name for each in scores for name in each}
    return {name: float(np.std([each[name] for each in scores if name in each])) for name in names}


def _told(
    window: Window,
    students: Sequence[UUID],
    sections: Mapping[str, set[UUID]],
    answers: _Answers,
    spread: Mapping[str, float],
) -> list[dict[str, Any]]:
    """The groups of one school as they are kept: the school, then its sections."""
    key = instrument_named(window.instrument).scoring_key()
    names: list[str | None] = [None, *sections]
    places = {student: place for place, student in enumerate(students)}
    groups = [np.ones(len(students), bool), *(np.zeros(len(students), bool) for _ in sections)]
    for group, members in zip(groups[1:], sections.values(), strict=True):
        group[[places[each] for each in members if each in places]] = True
    there = np.array([each in answers for each in students])

    def means(subscale: str) -> Means:
        return np.array([answers[each][1].get(subscale, np.nan) if each in answers else np.nan for each in students])

    subscales = {
        name: Subscale(means(name), spread.get(name, 0.0), key.ends(items[0]))
        for name, items in key.subscales().items()
    }
    found = []
    for name, group, told in zip(names, groups, results(groups, subscales, _LEAST), strict=True):
        if group.any():
            told_any = any(told.values())
            found.append(
                {
                    "section_id": name,
                    "students": int(group.sum()) if told_any else None,
                    "answered": int((group & there).sum()) if told_any else None,
                    "subscales": {subscale: asdict(each) if each else None for subscale, each in told.items()},
                }
            )
    return found
