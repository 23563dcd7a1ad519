"""The service ``tally``."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from common.app import Router, create_app
from common.events import CATALOGUE, Event
from common.routing import EventRouter

BUG = "school-of-bugs"
"""What happens at this school is more than the handler can take."""

_COUNT = sa.text(
    """
    INSERT INTO tally_heard (state, times) SELECT state, count(*) FROM unnest(CAST(:states AS uuid[])) AS state
    GROUP BY state ORDER BY state ON CONFLICT (state) DO UPDATE SET times = tally_heard.times + excluded.times
    """
)


class HandlerBug(Exception):
    """What the handler raises at the school of bugs."""


events = EventRouter()


@events.on_batch(*CATALOGUE)
async def count(heard: Sequence[Event], session: AsyncSession) -> None:
    """Count each state of each fact; nothing here looks whether it was counted before."""
    if any(getattr(event, "school_id", None) == BUG for event in heard):
        raise HandlerBug
    await session.execute(_COUNT, {"states": [event.standing_id() for event in heard]})


app = create_app("tally", Router("tally"), events)
