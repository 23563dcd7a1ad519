"""Events in: store what was heard, then evaluate whom it touches, once."""

from collections.abc import AsyncIterator, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.events import (
    AttendanceRecorded,
    CourseMarked,
    Event,
    ExclusionRecorded,
    IncidentRecorded,
    SchoolCalendarSet,
    SchoolDayClosed,
    StudentEnrolled,
    SurveyScored,
    TierDecided,
)
from common.routing import EventRouter
from common.scope import events as scope_events
from mtss.deciding import reassess
from mtss.handlers.facts import store
from mtss.models import Decision, Student
from mtss.rules import coverage_of

events = EventRouter()
events.include(scope_events)


@events.on_batch(
    StudentEnrolled,
    SchoolCalendarSet,
    AttendanceRecorded,
    SchoolDayClosed,
    IncidentRecorded,
    ExclusionRecorded,
    CourseMarked,
    SurveyScored,
)
async def follow_courses(heard: Sequence[Event], session: AsyncSession) -> None:
    """Keep every fact of the batch; then decide for the students whose course it may have changed."""
    await reassess(session, await store(session, heard))


@events.standing
async def last_decisions(session: AsyncSession) -> AsyncIterator[Event]:
    """The last decision about each student."""
    decisions = sa.select(Decision).join(Student, col(Student.decision_id) == Decision.id)
    async for decision in await session.stream_scalars(decisions.execution_options(yield_per=1000)):
        said = decision.model_dump(include=set(TierDecided.model_fields))
        yield TierDecided(decision_id=decision.id, **said, **coverage_of(decision.clauses)._asdict())
