"""A policy that listens to course marks decides by what the SIS says of them, and proves it."""

from datetime import UTC, datetime

from common.events import Cause, Tier, TierDecided
from tests.harness import Running
from tests.mtss.made_up import STUDENT, School, school_days
from tests.mtss.test_people import differing
from tests.mtss.test_policies import adopted
from tests.mtss.test_proofs import touch
from tests.mtss.test_rules_marks import MARKS

SCHOOL = School(days=school_days(40))
WORDS = "2 of 3 courses were not passed at the end of the grading period of August 29, 2024."


async def test_marks_decide_from_the_end_of_their_grading_period_on_and_provably(mtss: Running) -> None:
    mtss.clock.set(datetime(2024, 8, 19, 12, tzinfo=UTC))
    await adopted(mtss, MARKS | {"version": "ours-1"}, 0)
    mtss.clock.set(datetime(2024, 9, 3, 18, tzinfo=UTC))
    given = SCHOOL.marks(8, True, True, False)
    await mtss.deliver(SCHOOL.calendar(), SCHOOL.enrols(), *given, *SCHOOL.closes_through(8))
    await mtss.deliver(*SCHOOL.closes(8))
    mended = given[0].model_copy(update={"failing": False, "revision": given[2].revision + 1})
    await mtss.deliver(mended, *given)
    said = await mtss.said(TierDecided)
    assert [(each.tier, each.cause, each.effective_on) for each in said] == [
        (Tier.UNIVERSAL, Cause.ENROLLED, SCHOOL.days[0]),
        (Tier.TARGETED, Cause.ENTERED, SCHOOL.days[8]),
        (Tier.UNIVERSAL, Cause.WITHDRAWN, SCHOOL.days[0]),
    ]
    decisions = f"/mtss/v1/students/{STUDENT}/decisions"
    told = await mtss.http.get(decisions, headers=mtss.headers("district"))
    assert WORDS in told.text
    assert await differing(mtss) == []
    await touch(mtss, "UPDATE mtss_mark SET failing = NOT failing WHERE superseded_at IS NOT NULL")
    assert "facts.marks" in await differing(mtss)
