"""F1, F2, F3: kill -9 at every named place, under load."""

import asyncio

import pytest

from common.failpoints import NAMES
from tests.faults.checker import under_load, violations
from tests.faults.district import District, Member
from tests.faults.push import school
from tests.faults.test_contact import SENDER
from tests.mtss.test_policies import ADOPTION

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

PASSES = {
    "relay-before-send": {"sis": 1, "mtss": 3},
    "relay-after-send": {"sis": 3, "mtss": 1},
    "inbox-before-commit": {"mtss": 1, "tally": 7},
    "inbox-after-commit": {"mtss": 7, "tally": 1},
    "audit-before-seal": {"sis": 2},
}
"""Which services are killed at each place, and at which time they pass it."""


def test_every_named_place_is_one_where_a_process_is_killed() -> None:
    assert {*PASSES, SENDER, ADOPTION} == set(NAMES)


@pytest.mark.parametrize("name", PASSES)
async def test_killed_at_a_named_place_nothing_is_lost_and_nothing_acts_twice(shared: District, name: str) -> None:
    schools = [school(shared) for _ in range(3)]

    async with under_load(*schools):
        await asyncio.gather(*(killed_at(shared.members[each], f"{name}:{nth}") for each, nth in PASSES[name].items()))

    assert await violations(shared, schools) == []


async def test_killed_at_any_moment_nothing_is_lost_and_nothing_acts_twice(shared: District) -> None:
    schools = [school(shared) for _ in range(3)]

    async with under_load(*schools):
        for name in ("mtss", "sis", "tally", "mtss"):
            shared.members[name].kill()
            await shared.members[name].started()

    assert await violations(shared, schools) == []


async def killed_at(member: Member, failpoint: str) -> None:
    """Start the member anew, wait until it has killed itself there, and start it again."""
    await asyncio.to_thread(member.stop)
    await member.started(failpoint)
    await member.killed_itself()
    await member.started()
