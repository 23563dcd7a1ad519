"""What ``surveys`` hears, and what it can say again."""

from collections.abc import AsyncIterator, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import Event, StudentEnrolled
from common.routing import EventRouter
from common.scope import events as scope_events
from surveys.models import Response

events = EventRouter()
events.include(scope_events)

_FOLLOW = sa.text(
    """
    INSERT INTO surveys_enrolment AS known (student_id, school_id, entry_on, exit_on, "primary", deleted, revision)
    SELECT DISTINCT ON (student_id, school_id, entry_on) *
    FROM unnest(CAST(:students AS uuid[]), CAST(:schools AS text[]), CAST(:entries AS date[]), CAST(:exits AS date[]),
                CAST(:primaries AS bool[]), CAST(:deleted AS bool[]), CAST(:revisions AS bigint[]))
         AS heard(student_id, school_id, entry_on, exit_on, "primary", deleted, revision)
    ORDER BY student_id, school_id, entry_on, revision DESC
    ON CONFLICT (student_id, school_id, entry_on) DO UPDATE
    SET exit_on = excluded.exit_on, "primary" = excluded."primary", deleted = excluded.deleted, revision = excluded.revision
    WHERE excluded.revision > known.revision
    """
)


@events.on_batch(StudentEnrolled)
async def follow_enrolments(heard: Sequence[StudentEnrolled], session: AsyncSession) -> None:
    """Keep the newest revision of each enrolment."""
    await session.execute(
        _FOLLOW,
        {
            "students": [event.student_id for event in heard],
            "schools": [event.school_id for event in heard],
            "entries": [event.entry_on for event in heard],
            "exits": [event.exit_on for event in heard],
            "primaries": [event.primary for event in heard],
            "deleted": [event.deleted for event in heard],
            "revisions": [event.revision for event in heard],
        },
    )


@events.standing
async def scores_as_they_stand(session: AsyncSession) -> AsyncIterator[Event]:
    """Every student's scores of every window, as last said."""
    async for response in await session.stream_scalars(sa.select(Response).execution_options(yield_per=500)):
        yield response.event()
