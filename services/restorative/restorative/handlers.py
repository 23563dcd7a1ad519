"""Events in: the roster, incidents and actions as the SIS told them."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import ExclusionRecorded, IncidentRecorded, StudentEnrolled
from common.routing import EventRouter
from common.scope import events as scope_events
from restorative.announcements import everything_said
from restorative.following import keep_facts, lock_students, settle

events = EventRouter()
events.include(scope_events)
events.standing(everything_said)

_KEEP_ENROLMENTS = sa.text(
    """
    INSERT INTO restorative_enrolment (student_id, school_id, entry_on, revision, deleted)
    SELECT DISTINCT ON (student_id, school_id, entry_on) * FROM unnest(
        CAST(:students AS uuid[]), CAST(:schools AS text[]), CAST(:entries AS date[]), CAST(:revisions AS bigint[]),
        CAST(:deleted AS boolean[])) AS heard (student_id, school_id, entry_on, revision, deleted)
    ORDER BY student_id, school_id, entry_on, revision DESC
    ON CONFLICT (student_id, school_id, entry_on) DO UPDATE
    SET revision = excluded.revision, deleted = excluded.deleted
    WHERE excluded.revision > restorative_enrolment.revision
    """
)


@events.on_batch(StudentEnrolled)
async def keep_enrolments(heard: Sequence[StudentEnrolled], session: AsyncSession) -> None:
    """Remember to which schools a student belongs."""
    await session.execute(
        _KEEP_ENROLMENTS,
        {
            "students": [event.student_id for event in heard],
            "schools": [event.school_id for event in heard],
            "entries": [event.entry_on for event in heard],
            "revisions": [event.revision for event in heard],
            "deleted": [event.deleted for event in heard],
        },
    )


@events.on_batch(IncidentRecorded, ExclusionRecorded)
async def follow_discipline(heard: Sequence[IncidentRecorded | ExclusionRecorded], session: AsyncSession) -> None:
    """Store what is new, then open, withdraw or recount the referrals it touches."""
    students = {event.student_id for event in heard}
    await lock_students(session, students)
    await keep_facts(session, heard)
    await settle(session, students)
