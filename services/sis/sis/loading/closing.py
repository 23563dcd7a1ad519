"""School days: the closing clock stands still while rows come in, then each school's days are closed."""

import asyncio
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager, suppress
from datetime import date
from uuid import uuid4

from sis.loading.door import Door, NotPermitted, Refused, Stop
from sis.loading.folder import Folder
from sis.loading.report import Report

CLOSED = "school days"
_LEASES = "/sis/v1/closing-clock/leases"
_RENEW_SECONDS, _RELEASE_SECONDS = 40.0, 2.0


@asynccontextmanager
async def clock_held(door: Door) -> AsyncIterator[None]:
    """Hold the closing clock, so that no day closes before its rows are in; renewed long before it runs out.

    Raises:
        Stop: what answers knows no such clock.
    """
    lease = f"{_LEASES}/{uuid4()}"
    try:
        await door.send("PUT", lease)
    except NotPermitted:
        yield
        return
    except Refused as refused:
        raise Stop(f"What answers there is not Trellis, or not well ({refused}): is --url right?") from None
    renewal = asyncio.create_task(_renew(door, lease))
    try:
        yield
    finally:
        renewal.cancel()
        await asyncio.gather(renewal, return_exceptions=True)
        with suppress(Stop, Refused, NotPermitted, TimeoutError):  # it runs out by itself in two minutes
            async with asyncio.timeout(_RELEASE_SECONDS):
                await door.send("DELETE", lease)


async def close_days(
    door: Door, folder: Folder, report: Report, today: date, *, without: Container[int] = frozenset()
) -> None:
    """Close the days of each school through the newest attendance row; lines ``without`` were not taken."""
    days = folder.days_to_close(today, without=without)
    if not days:
        return
    report.begin(CLOSED, len(days))
    for school, day in days.items():
        try:
            answer = await door.send("POST", f"/sis/v1/schools/{school}/days/{day}/close")
        except NotPermitted:
            report.leave_out(CLOSED)
            return
        except Refused as refused:
            report.reject(f"{CLOSED} of {school}", 0, str(refused), part=CLOSED)
        else:
            report.closed += answer.json().get("closed", 0)
            report.settle(CLOSED)


async def _renew(door: Door, lease: str) -> None:
    while True:
        await asyncio.sleep(_RENEW_SECONDS)
        try:
            await door.send("PUT", lease)
        except (Stop, Refused, NotPermitted):
            return
