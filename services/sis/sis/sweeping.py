"""What the sweep of the waiting room does: nothing waits for what is here, whoever came first and whatever was killed."""

import time
from collections.abc import MutableMapping, Sequence
from uuid import UUID
from weakref import WeakKeyDictionary

import sqlalchemy as sa
import structlog

from common.db import is_transient
from common.errors import DomainError
from common.logs import place_of
from common.runtime import Runtime
from common.telemetry import record_waiting
from sis.arrivals.intake import count_called
from sis.documents import take_in_called
from sis.policy import BULK_ROWS, REMEMBERED_DAYS
from sis.waiting import called, refuse, sweep

log = structlog.get_logger(__name__)

_PAGE = 5_000
_SECONDS, _BUSY_SECONDS = 0.2, 10.0
"""How long one pass looks on where nothing is found, and where something is; a larger room takes several passes."""
_FIRST = UUID(int=0)
_STANDING = sa.text(
    """
    SELECT count(*), extract(epoch FROM clock_timestamp() - min(since)) FROM sis_waiting WHERE NOT taken_back
    """
)
# Marks are kept as long as event ids: who sends an older row late does so within days.
_FORGET = sa.text(
    "DELETE FROM sis_waiting WHERE taken_back AND since < clock_timestamp() - make_interval(days => :days)"
)

_places: MutableMapping[Runtime, UUID] = WeakKeyDictionary()


class NotApplied(DomainError):
    """What this row waited for has come, and it could not be applied."""


async def sweep_waiting(runtime: Runtime) -> None:
    """Take in rows that wait although something they wait for is here, and take away what a mark says was taken back.

    More waited for it than one push takes along, or they came while it was being committed.
    """
    began = time.monotonic()
    while True:
        async with runtime.transaction() as session:
            due, place = await sweep(session, _places.get(runtime, _FIRST), page=_PAGE)
        for start in range(0, len(due), BULK_ROWS):
            await _take_in(runtime, due[start : start + BULK_ROWS])
        _places[runtime] = place or _FIRST
        if place is None or time.monotonic() - began > (_BUSY_SECONDS if due else _SECONDS):
            return


async def measure_waiting(runtime: Runtime) -> None:
    """Note in the metrics how many rows wait and for how long, and forget the marks of rows taken back long ago."""
    async with runtime.transaction() as session:
        await session.execute(_FORGET, {"days": REMEMBERED_DAYS})
        rows, oldest = (await session.execute(_STANDING)).one()
    record_waiting(runtime.name, rows=rows, oldest_seconds=float(oldest or 0))


async def _take_in(runtime: Runtime, ids: Sequence[UUID]) -> None:
    """Take in these together; where that fails each alone, so that a row which cannot be applied is found and refused."""
    try:
        async with runtime.transaction() as session:
            taken = await take_in_called(session, runtime.vault, await called(session, runtime.vault, ids))
            await count_called(session, runtime, taken)
    except Exception as error:
        if is_transient(error):
            raise
        if len(ids) > 1:
            for one in ids:
                await _take_in(runtime, [one])
            return
        log.warning(
            "a row that waited was refused", service=runtime.name, error=type(error).__name__, where=place_of(error)
        )
        async with runtime.transaction() as session:
            given_up = await called(session, runtime.vault, ids)
            await refuse(session, runtime.vault, given_up, NotApplied())
            await count_called(session, runtime, [(one, NotApplied()) for one in given_up])
