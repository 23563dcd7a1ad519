"""What happens without a request: rehearsals are worked off; requests for help that wait, and silent schools, are counted."""

import sqlalchemy as sa

from common.runtime import Runtime
from common.telemetry import record_help, record_silent
from mtss.models.freshness import schools_heard
from mtss.rehearsals.working import work_off
from mtss.ruling import days_within

# Late is what was due before today: so many school days lie between.
_WAITING = sa.text(
    """
    SELECT count(*), count(*) FILTER (WHERE :within <= (
        SELECT count(DISTINCT day) FROM mtss_calendar AS c, unnest(c.days) AS day
        WHERE c.school_id = s.school_id AND c.superseded_at IS NULL AND NOT c.deleted
          AND day > h.asked_on AND day < :today
    ) OR (h.urgent AND h.asked_on < :today))
    FROM mtss_help_request AS h JOIN mtss_student AS s USING (student_id) WHERE h.answered_on IS NULL
    """
)


_SCHOOLS = sa.text(
    "SELECT DISTINCT school_id FROM mtss_student WHERE enrolled AND coalesce(exit_on, 'infinity') >= :today"
)


async def rehearse_policies(runtime: Runtime) -> None:
    """Work off every rehearsal that waits, one after the other."""
    while await work_off(runtime):
        pass


async def measure_help_requests(runtime: Runtime) -> None:
    """Note how many requests for help wait for an answer, and how many are late."""
    async with runtime.transaction() as session:
        today = runtime.today()
        within = await days_within(session, "help_answered", today)
        waiting, late = (await session.execute(_WAITING, {"within": within, "today": today})).one()
    record_help(runtime.name, waiting=waiting, late=late)


async def measure_silent_schools(runtime: Runtime) -> None:
    """Note how many schools have students and closed no day for as long as the policy lets wait."""
    async with runtime.transaction() as session:
        today = runtime.today()
        schools = (await session.scalars(_SCHOOLS, {"today": today})).all()
        silent_after = await days_within(session, "school_silent", today)
        silent = sum(each.silent_days >= silent_after for each in await schools_heard(session, schools, today))
    record_silent(runtime.name, schools=silent)
