"""What surveys hears, and what it says again."""

from datetime import date
from uuid import uuid4

import sqlalchemy as sa

from common.events import SurveyScored
from surveys.handlers import scores_as_they_stand
from surveys.models import Enrolment
from tests.surveys.conftest import OTHER_SCHOOL, SCHOOL, Surveys, sheet


async def enrolments(surveys: Surveys) -> list[Enrolment]:
    async with surveys.running.session() as session:
        return list(await session.scalars(sa.select(Enrolment).order_by(Enrolment.school_id)))


async def test_an_enrolment_is_known_once_heard(surveys: Surveys):
    (student,) = await surveys.enrol()

    (known,) = await enrolments(surveys)
    assert (known.student_id, known.school_id, known.exit_on) == (student, SCHOOL, None)


async def test_a_later_revision_replaces_and_an_earlier_one_is_ignored(surveys: Surveys):
    student = uuid4()
    left = surveys.enrolled(student, exit_on=date(2026, 10, 1), revision=7)

    await surveys.running.deliver(left)
    await surveys.running.deliver(surveys.enrolled(student, revision=6))
    await surveys.running.deliver(left)

    (known,) = await enrolments(surveys)
    assert (known.exit_on, known.revision) == (date(2026, 10, 1), 7)


async def test_two_revisions_in_one_batch_leave_the_higher_one(surveys: Surveys):
    student = uuid4()

    await surveys.running.deliver(
        surveys.enrolled(student, revision=9, deleted=True),
        surveys.enrolled(student, revision=8),
        surveys.enrolled(student, OTHER_SCHOOL, revision=3),
    )

    first, second = await enrolments(surveys)
    assert (first.school_id, first.deleted, first.revision) == (SCHOOL, True, 9)
    assert (second.school_id, second.deleted) == (OTHER_SCHOOL, False)


async def test_the_scores_stand_as_they_were_last_said(surveys: Surveys):
    first, second = await surveys.enrol(2)
    window = await surveys.window()
    await surveys.bring(window, sheet(first), sheet(second))
    await surveys.bring(window, sheet(first, [1] * 8))

    async with surveys.running.session() as session:
        standing = [event async for event in scores_as_they_stand(session)]

    _, of_second, corrected = await surveys.running.said(SurveyScored)
    assert sorted(standing, key=lambda event: event.subject) == sorted(
        [of_second, corrected], key=lambda event: event.subject
    )
