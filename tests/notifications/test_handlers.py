"""What is heard becomes rows, and nothing else."""

import itertools
from datetime import date
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from common.events import Cause, SchoolCalendarSet, Tier
from tests.harness import Running
from tests.notifications.made_up import (
    FRIDAY,
    SCHOOL,
    THURSDAY,
    Sisters,
    calendar,
    completed,
    decided,
    offered,
    rows,
    targeted,
    withdrawn,
)


async def occasions(running: Running) -> list[tuple[str, str, date, str]]:
    return sorted((o["purpose"], o["ground"], o["effective_on"], o["state"]) for o in await rows(running, "occasion"))


async def test_a_tier_that_became_targeted_is_to_be_told(notifications: Running) -> None:
    await notifications.deliver(targeted(uuid4()), targeted(uuid4(), before=None))
    assert await occasions(notifications) == [("tier", "targeted", THURSDAY, "open")] * 2


async def test_what_the_policy_tells_nobody_is_told_to_nobody_also_not_later(notifications: Running) -> None:
    student = uuid4()
    silent = targeted(student).model_copy(update={"tells_families": False, "cause": Cause.ADOPTED})
    await notifications.deliver(silent)
    await notifications.deliver(targeted(student, before=Tier.TARGETED, revision=2, cause=Cause.CORRECTED))
    assert await occasions(notifications) == []


async def test_who_gets_more_or_less_support_is_told_once_that_there_is_some(notifications: Running) -> None:
    student = uuid4()
    await notifications.deliver(decided(student, Tier.INTENSIVE, on=THURSDAY, before=None, revision=1))
    more = [(Tier.TARGETED, Tier.INTENSIVE), (Tier.INTENSIVE, Tier.TARGETED)]
    for revision, (tier, before) in enumerate(more, start=2):
        await notifications.deliver(decided(student, tier, on=THURSDAY, before=before, revision=revision))
    assert await occasions(notifications) == [("tier", "targeted", THURSDAY, "open")]


@pytest.mark.parametrize("tier", [Tier.UNIVERSAL, None])
async def test_other_tiers_are_told_to_nobody(notifications: Running, tier: Tier | None) -> None:
    await notifications.deliver(decided(uuid4(), tier, on=THURSDAY, before=None, revision=1))
    assert await occasions(notifications) == []


async def test_a_decision_that_changes_no_tier_is_told_to_nobody(notifications: Running) -> None:
    await notifications.deliver(targeted(uuid4(), before=Tier.TARGETED))
    assert await occasions(notifications) == []


async def test_the_same_again_in_new_events_stays_one(notifications: Running) -> None:
    student = uuid4()
    await notifications.deliver(targeted(student), targeted(student))
    await notifications.deliver(targeted(student, revision=5))
    await notifications.deliver(targeted(student, revision=6), targeted(student, revision=7))
    assert len(await occasions(notifications)) == 1


async def test_an_older_revision_is_ignored(notifications: Running) -> None:
    student = uuid4()
    await notifications.deliver(withdrawn(student, revision=2))
    await notifications.deliver(targeted(student, revision=1))
    assert await occasions(notifications) == []


async def test_a_lost_decision_is_made_good_by_the_next(notifications: Running) -> None:
    student = uuid4()
    await notifications.deliver(
        decided(student, Tier.UNIVERSAL, on=THURSDAY, before=None, revision=1, cause=Cause.ENROLLED)
    )
    await notifications.deliver(targeted(student, before=Tier.TARGETED, revision=3))
    assert len(await occasions(notifications)) == 1


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_in_any_order_the_last_word_counts(notifications: Running, order: tuple[int, ...]) -> None:
    student = uuid4()
    said = [targeted(student, revision=1), withdrawn(student, revision=2), targeted(student, revision=3, on=FRIDAY)]
    for place in order:
        await notifications.deliver(said[place])
    standing = [o for o in await occasions(notifications) if o[3] == "open"]
    assert standing == [("tier", "targeted", FRIDAY, "open")]


async def test_one_batch_says_the_same_as_three(notifications: Running) -> None:
    student = uuid4()
    await notifications.deliver(
        targeted(student, revision=1), withdrawn(student, revision=2), targeted(student, revision=3, on=FRIDAY)
    )
    assert [o for o in await occasions(notifications) if o[3] == "open"] == [("tier", "targeted", FRIDAY, "open")]


async def test_what_was_left_and_entered_again_is_told_anew_and_not_twice(notifications: Running) -> None:
    student = uuid4()
    await notifications.deliver(targeted(student))
    await notifications.deliver(withdrawn(student), targeted(student, revision=3, on=FRIDAY))
    assert await occasions(notifications) == [
        ("tier", "targeted", THURSDAY, "cancelled"),
        ("tier", "targeted", FRIDAY, "open"),
    ]


async def test_a_withdrawn_decision_cancels_and_a_new_one_revives(notifications: Running) -> None:
    student = uuid4()
    await notifications.deliver(targeted(student))
    await notifications.deliver(withdrawn(student))
    assert await occasions(notifications) == [("tier", "targeted", THURSDAY, "cancelled")]
    await notifications.deliver(targeted(student, revision=3))
    assert await occasions(notifications) == [("tier", "targeted", THURSDAY, "open")]


async def test_conferences_and_agreements_are_to_be_told(notifications: Running) -> None:
    student, conference = uuid4(), uuid4()
    await notifications.deliver(offered(student, conference=conference), completed(student))
    purposes = [purpose for purpose, *_ in await occasions(notifications)]
    assert purposes == ["agreement_completed", "conference_offered"]


async def test_a_corrected_day_of_an_offer_is_not_a_second_offer(notifications: Running) -> None:
    student, conference = uuid4(), uuid4()
    await notifications.deliver(offered(student, conference=conference))
    await notifications.deliver(offered(student, conference=conference, on=FRIDAY, revision=2))
    assert len(await occasions(notifications)) == 1


async def test_an_offer_taken_back_is_cancelled(notifications: Running) -> None:
    student, conference = uuid4(), uuid4()
    await notifications.deliver(offered(student, conference=conference))
    await notifications.deliver(offered(student, conference=conference, revision=2, deleted=True))
    assert [state for *_, state in await occasions(notifications)] == ["cancelled"]


async def test_the_newest_calendar_counts(notifications: Running) -> None:
    await notifications.deliver(calendar(THURSDAY, revision=3), calendar(FRIDAY, revision=2))
    await notifications.deliver(calendar(revision=1))
    (stored,) = await rows(notifications, "calendar")
    assert stored["instructional_days"] == [THURSDAY]

    gone = SchoolCalendarSet(revision=4, deleted=True, school_id=SCHOOL, school_year=2027, instructional_days=(FRIDAY,))
    await notifications.deliver(gone)
    assert (await rows(notifications, "calendar"))[0]["instructional_days"] == []


async def test_a_batch_takes_the_same_number_of_statements_whatever_its_size(notifications: Running) -> None:
    async def statements(students: int) -> int:
        counted: list[str] = []

        def count(conn: object, cursor: object, statement: str, *_: object) -> None:
            counted.append(statement)

        engine = notifications.runtime.engine.sync_engine
        sa.event.listen(engine, "before_cursor_execute", count)
        try:
            known = [uuid4() for _ in range(students)]
            await notifications.deliver(*map(targeted, known), *map(offered, known), *map(withdrawn, known))
        finally:
            sa.event.remove(engine, "before_cursor_execute", count)
        return len(counted)

    assert await statements(2) == await statements(100)


async def test_a_handler_asks_nobody(notifications: Running, student: UUID, sisters: Sisters) -> None:
    await notifications.deliver(targeted(student), offered(student))
    assert sisters.asked == []
