"""What happens without a request: days close by the clock, and event ids are forgotten in time."""

from datetime import timedelta

import sqlalchemy as sa

from common.runtime import Runtime
from sis.arrivals.rejected import forget_rejected
from sis.closing import NoInstructionalDay, clock_may_move, close_days, schools_due
from sis.policy import ARRIVALS, CLOSING, REMEMBERED_DAYS

_FORGET = sa.text("DELETE FROM sis_heard_event WHERE heard_at < clock_timestamp() - make_interval(days => :days)")
_FORGET_HISTORY = (
    sa.text("DELETE FROM sis_arrival WHERE day < :first"),
    sa.text("DELETE FROM sis_source_count WHERE day < :first"),
)


async def close_by_the_clock(runtime: Runtime) -> None:
    """Close the days of every school whose rows have come, one school a transaction, unless somebody holds the clock."""
    if not CLOSING.clock:
        return
    latest = CLOSING.latest_due(runtime.now().astimezone(runtime.settings.zone))
    async with runtime.transaction() as session:
        due = await schools_due(session, latest)
    for school, through in due:
        async with runtime.transaction() as session:
            if not await clock_may_move(session):
                return
            try:
                await close_days(session, school, through, said=False)
            except NoInstructionalDay:
                continue  # its calendar has not come yet


async def forget_arrivals(runtime: Runtime) -> None:
    """Forget rejected rows that did not come again, and counts of years that nobody asks about."""
    async with runtime.transaction() as session:
        await forget_rejected(session)
        for statement in _FORGET_HISTORY:
            await session.execute(statement, {"first": runtime.today() - timedelta(days=ARRIVALS.history_days)})


async def forget_heard_events(runtime: Runtime) -> None:
    """Forget the ids of events that nobody sends again."""
    async with runtime.transaction() as session:
        await session.execute(_FORGET, {"days": REMEMBERED_DAYS})
