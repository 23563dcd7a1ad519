"""Answers become a response, its scores and what is said of them: the same for the page and for paper."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.db import next_revision, transaction_time
from common.outbox import publish
from common.sealed import Vault
from surveys import rules
from surveys.instruments import Instrument, instrument_named
from surveys.models import Draft, Response, Window, insert_all, seal, unseal
from surveys.rules import Answers


@dataclass(frozen=True, slots=True)
class Given:
    """What one student answered, for which school, and how it came: ``online`` or ``paper``."""

    student_id: UUID
    school_id: str
    answered_on: date
    language: str
    source: str
    answers: Answers

    def says(self, instrument: Instrument) -> tuple[date, str, str]:
        """All that makes it differ from another: its day, language and answers, in one spelling."""
        answers = {item.key: self.answers.get(item.key) for item in instrument.items}
        return self.answered_on, self.language, json.dumps(answers)


async def record(session: AsyncSession, vault: Vault, window: Window, given: Sequence[Given]) -> list[bool]:
    """Store and score what was given, the last of each student standing, and say the scores of responses that changed.

    The caller holds the lock under which no one else records for these students. What is known already changes
    nothing and says nothing; anything else is a new revision of the student's response.

    Returns:
        For each of ``given``, taken one after the other, whether it said anything new.
    """
    instrument = instrument_named(window.instrument)
    known = await _known(session, window, given)
    said = {student: (row.answered_on, row.language, unseal(vault, row)) for student, row in known.items()}
    last = {each.student_id: each for each in given}
    at = await transaction_time(session)
    responses = [
        _response(vault, window, instrument, each, known.get(each.student_id), at)
        for each in last.values()
        if each.says(instrument) != said.get(each.student_id)
    ]
    await _store(session, window, responses)
    await publish(session, *(response.event() for response in responses))
    return rules.news(said, [(each.student_id, each.says(instrument)) for each in given])


async def _known(session: AsyncSession, window: Window, given: Sequence[Given]) -> dict[UUID, Response]:
    students = [each.student_id for each in given]
    rows = await session.execute(
        sa.select(Response).where(
            col(Response.window_id) == window.id, col(Response.student_id) == sa.any_(sa.cast(students, ARRAY(sa.Uuid)))
        )
    )
    return {row.student_id: row for row in rows.scalars()}


def _response(
    vault: Vault, window: Window, instrument: Instrument, given: Given, before: Response | None, at: datetime
) -> Response:
    key = instrument.scoring_key()
    answers = given.says(instrument)[2]
    return Response(
        window_id=window.id,
        student_id=given.student_id,
        school_id=given.school_id,
        instrument=window.instrument,
        answered_on=given.answered_on,
        language=given.language,
        source=given.source,
        answers=seal(vault, Response, window.id, given.student_id, answers),
        scores=[asdict(score) | {"prorated": score.prorated} for score in rules.score(key, given.answers)],
        straight_line=rules.is_straight_line(key, given.answers),
        revision=next_revision(before.revision if before else None, at),
        recorded_at=at,
    )


async def _store(session: AsyncSession, window: Window, responses: Sequence[Response]) -> None:
    if not responses:
        return
    statement = insert_all(responses)
    identity = ("window_id", "student_id")
    state = {column.name: column for column in statement.excluded if column.name not in identity}
    await session.execute(statement.on_conflict_do_update(index_elements=identity, set_=state))
    students = [response.student_id for response in responses]
    mine = col(Draft.student_id) == sa.any_(sa.cast(students, ARRAY(sa.Uuid)))
    await session.execute(sa.delete(Draft).where(col(Draft.window_id) == window.id, mine))
