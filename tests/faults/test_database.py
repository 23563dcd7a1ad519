"""F9: PostgreSQL crashes, restarts and loses connections in the middle of COMMIT, under load."""

import asyncio
import os
import signal

import pytest

from tests.faults.checker import under_load, violations
from tests.faults.district import District
from tests.faults.patience import eventually
from tests.faults.push import school

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_postgresql_restarted_under_load(shared: District, mode: str) -> None:
    schools = [school(shared) for _ in range(3)]

    async with under_load(*schools):
        for _ in range(2):
            await asyncio.to_thread(shared.clusters["sis"].pg_ctl, "restart", "-m", mode)
            await shared.forget_connections()
            await asyncio.gather(*(member.ready() for member in shared.members.values()))
            await asyncio.sleep(1)  # so that transactions are under way again

    assert sum(each.cut for each in schools) > 0, "no request was cut"
    assert await violations(shared, schools) == []


async def test_backends_killed_in_the_middle_of_commit(shared: District) -> None:
    schools = [school(shared) for _ in range(3)]
    killed = 0

    async with under_load(*schools):
        for _ in range(3):
            # A standby that never answers: every COMMIT is on disk and waits, and who is killed now is never told.
            await shared.command("sis", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
            await shared.command("sis", "SELECT pg_reload_conf()")
            await eventually("transactions hang in COMMIT", lambda: hanging(shared))
            killed += len(await shared.command("sis", f"SELECT pg_terminate_backend(pid) {_HANGING}"))
            await shared.command("sis", "ALTER SYSTEM RESET synchronous_standby_names")
            await shared.command("sis", "SELECT pg_reload_conf()")
            await asyncio.sleep(1)  # so that transactions are under way again

    assert killed >= 6
    assert await violations(shared, schools) == []


async def test_a_backend_killed_with_minus_nine_takes_all_others_along(shared: District) -> None:
    schools = [school(shared) for _ in range(3)]

    async with under_load(*schools):
        (victim,) = await shared.rows("mtss", "SELECT pg_backend_pid()")
        os.kill(victim[0], signal.SIGKILL)
        await shared.forget_connections()
        await asyncio.gather(*(member.ready() for member in shared.members.values()))

    assert await violations(shared, schools) == []


_HANGING = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


async def hanging(district: District) -> bool:
    """Whether transactions of at least two services hang in COMMIT."""
    rows = await district.command("sis", f"SELECT DISTINCT datname {_HANGING}")
    return len(rows) >= 2
