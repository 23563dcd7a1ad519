"""Events in, decisions out."""

from common.events import Cause, Tier, TierDecided
from tests.harness import Running
from tests.mtss.made_up import STUDENT, School


async def test_a_deleted_absence_withdraws_the_tier(mtss: Running) -> None:
    school = School()
    await mtss.deliver(
        school.calendar(), school.enrols(), *(school.absent(day) for day in range(54, 60)), *school.closes_through(60)
    )

    await mtss.deliver(school.absent(55, hundredths=0))

    first, then = await mtss.said(TierDecided)
    assert (first.tier, first.tier_before, first.cause) == (Tier.TARGETED, None, Cause.ENTERED)
    assert (then.tier, then.tier_before, then.cause) == (Tier.UNIVERSAL, Tier.TARGETED, Cause.WITHDRAWN)
    assert then.student_id == STUDENT
