"""F7: the broker is killed, frozen or restarted under load; sis accepts all the while, and the lag goes back to zero."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.checker import settled, under_load, violations
from tests.faults.district import District, district
from tests.faults.push import School, school

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

AWAY_SECONDS = 60
CAUGHT_UP_WITHIN_SECONDS = 30
"""From the broker's answer to a lag of zero, while the load goes on for the length of the outage."""


@pytest_asyncio.fixture(loop_scope="session")
async def second(shared: District, tmp_path: Path) -> AsyncIterator[District]:
    """Another district with a broker of its own, so that two outages pass at once."""
    async with district("sis", "mtss", "tally", logs=tmp_path) as made:
        yield made


async def test_the_broker_killed_or_frozen_for_a_minute_under_load(
    shared: District, second: District, record_property: Callable[[str, object], None]
) -> None:
    killed, frozen = [[school(each) for _ in range(2)] for each in (shared, second)]

    async with under_load(*killed, *frozen, settle=120):
        shared.kafka.kill()
        second.kafka.freeze()
        began = time.monotonic()
        await still_working(shared, second, until=began + AWAY_SECONDS)
        await asyncio.to_thread(shared.kafka.start)
        second.kafka.thaw()
        back = time.monotonic()
        for each in (*killed, *frozen):
            each.rest.set()
        caught_up = dict(zip(("killed", "frozen"), await asyncio.gather(*map(quiet, (shared, second))), strict=True))

    for name, at in caught_up.items():
        record_property(f"seconds_until_the_lag_was_zero_after_the_broker_was_{name}", round(at - back, 1))
        assert at - back < CAUGHT_UP_WITHIN_SECONDS
    assert sum(each.cut for each in (*killed, *frozen)) == 0, "sis accepts without Kafka"
    assert await violations(shared, killed) == []
    assert await violations(second, frozen) == []


async def test_the_broker_restarted_in_the_middle_of_batches(shared: District) -> None:
    schools: list[School] = [school(shared) for _ in range(3)]

    async with under_load(*schools):
        for _ in range(2):
            await asyncio.to_thread(shared.kafka.restart)
            await asyncio.sleep(2)  # so that batches are under way again

    assert await violations(shared, schools) == []


async def quiet(each: District) -> float:
    """When everything said had been heard."""
    await settled(each, within=3 * CAUGHT_UP_WITHIN_SECONDS)
    return time.monotonic()


async def still_working(*districts: District, until: float) -> None:
    """Every process is alive and ready without the broker, and says how long events have been waiting."""
    while time.monotonic() < until:
        for each in districts:
            for member in each.members:
                async with each.http(member, "district") as http:
                    assert (await http.get("/livez")).status_code == 200, f"{member} is not alive"
                    assert (await http.get("/readyz")).status_code == 200, f"{member} is not ready"
        await asyncio.sleep(1)
    for each in districts:
        async with each.http("sis", "district") as http:
            status = (await http.get("/sis/v1/status")).json()
        assert status["unpublished"] > 0
        assert status["oldest_unpublished_seconds"] > AWAY_SECONDS / 2
