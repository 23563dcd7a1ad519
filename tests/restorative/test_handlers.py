"""What the SIS says of incidents and actions, in any order, and what becomes of referrals."""

import asyncio
from datetime import datetime, timedelta
from itertools import permutations
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from common.events import AgreementCompleted, ConferenceOffered, Event, ExclusionAvoided
from restorative.announcements import everything_said
from tests.restorative.conftest import OTHER_SCHOOL, SCHOOL, Restorative, ago


async def test_an_exclusion_for_an_incident_opens_a_referral(restorative: Restorative) -> None:
    await restorative.hear(restorative.happened(), restorative.excluded())
    referral = await restorative.referral()
    assert (referral["state"], referral["days_proposed"], referral["opened_by_hand"]) == ("proposed", 3.0, False)
    assert (referral["school_id"], referral["happened_on"]) == (SCHOOL, str(ago(10)))
    assert [step["step"] for step in referral["steps"]] == ["open"]


async def test_the_exclusion_may_come_before_its_incident(restorative: Restorative) -> None:
    await restorative.hear(restorative.excluded())
    assert await restorative.referrals() == []
    await restorative.hear(restorative.happened())
    assert (await restorative.referral())["days_proposed"] == 3.0


async def test_any_order_and_any_batches_end_the_same(restorative: Restorative) -> None:
    first, second = uuid4(), uuid4()
    told = [
        restorative.happened(),
        restorative.excluded(first),
        restorative.excluded(second, hundredths_proposed=150),
        restorative.happened(association_id=uuid4()),
    ]
    for order in permutations(told):
        await restorative.running.empty()
        await restorative.hear(restorative.enrolled())
        for event in (*order[:2], *order):
            await restorative.hear(event)
        referral = await restorative.referral()
        assert (referral["state"], referral["days_proposed"]) == ("proposed", 4.5)
    await restorative.running.empty()
    await restorative.hear(restorative.enrolled(), *told, *told)
    assert (await restorative.referral())["days_proposed"] == 4.5


async def test_what_is_no_exclusion_opens_nothing(restorative: Restorative) -> None:
    await restorative.hear(restorative.happened(), restorative.excluded(actions=("Community Service",)))
    assert await restorative.referrals() == []


async def test_an_action_that_becomes_an_exclusion_opens_one(restorative: Restorative) -> None:
    action = uuid4()
    await restorative.hear(restorative.happened(), restorative.excluded(action, actions=("Other",)))
    await restorative.hear(restorative.excluded(action, hundredths_proposed=200))
    assert (await restorative.referral())["days_proposed"] == 2.0


async def test_there_is_one_referral_for_a_student_and_an_incident(restorative: Restorative) -> None:
    await restorative.hear(restorative.happened(), restorative.happened(association_id=uuid4()))
    await restorative.hear(restorative.excluded(), restorative.excluded())
    assert len(await restorative.referrals()) == 1


async def test_two_students_of_one_incident_are_two_referrals(restorative: Restorative) -> None:
    other, action = uuid4(), uuid4()
    await restorative.hear(restorative.enrolled(other))
    await restorative.hear(restorative.happened(), restorative.happened(student_id=other, association_id=uuid4()))
    await restorative.hear(restorative.excluded(action), restorative.excluded(action, student_id=other))
    assert {line["student_id"] for line in await restorative.referrals()} == {str(restorative.student), str(other)}


async def test_an_action_that_names_two_incidents_counts_in_the_earlier_alone(restorative: Restorative) -> None:
    earlier = uuid4()
    both = (restorative.incident, earlier)
    await restorative.hear(
        restorative.excluded(incident_ids=both),
        restorative.happened(),
        restorative.happened(association_id=earlier, incident_id=earlier, on=ago(11)),
    )
    referral = await restorative.referral()
    assert (referral["incident_id"], referral["days_proposed"]) == (str(earlier), 3.0)


async def test_the_days_are_those_of_the_first_version_seen(restorative: Restorative) -> None:
    action = uuid4()
    first = restorative.excluded(action)
    await restorative.hear(restorative.happened(), first, restorative.excluded(action, hundredths_proposed=1000))
    assert (await restorative.referral())["days_proposed"] == 3.0


async def test_an_old_revision_changes_nothing(restorative: Restorative) -> None:
    action = uuid4()
    old, new = restorative.excluded(action, deleted=True), restorative.excluded(action)
    await restorative.hear(restorative.happened(), new)
    await restorative.hear(old)
    assert (await restorative.referral())["state"] == "proposed"


class TestLateness:
    @pytest.mark.parametrize("zone", ["Pacific/Pago_Pago", "Pacific/Kiritimati"])
    async def test_a_fortnight_is_counted_in_the_days_of_the_district(
        self, restorative: Restorative, monkeypatch: pytest.MonkeyPatch, zone: str
    ) -> None:
        runtime, today = restorative.running.runtime, datetime.now(ZoneInfo(zone)).date()
        monkeypatch.setattr(runtime, "settings", runtime.settings.model_copy(update={"time_zone": zone}))
        for days, opened in ((14, 0), (13, 1)):
            on = today - timedelta(days=days)
            await restorative.hear(restorative.happened(on=on), restorative.excluded(on=on))
            assert len(await restorative.referrals()) == opened

    async def test_an_action_heard_a_fortnight_late_opens_nothing(self, restorative: Restorative) -> None:
        await restorative.hear(restorative.happened(on=ago(14)), restorative.excluded(on=ago(14)))
        assert await restorative.referrals() == []

    async def test_a_day_earlier_it_does(self, restorative: Restorative) -> None:
        await restorative.hear(restorative.happened(on=ago(13)), restorative.excluded(on=ago(13)))
        assert len(await restorative.referrals()) == 1

    async def test_it_adds_nothing_to_what_opened_by_itself(self, restorative: Restorative) -> None:
        await restorative.hear(restorative.happened(), restorative.excluded(), restorative.excluded(on=ago(20)))
        assert (await restorative.referral())["days_proposed"] == 3.0

    async def test_it_counts_where_a_facilitator_opens_by_hand(self, restorative: Restorative) -> None:
        await restorative.hear(restorative.happened(on=ago(20)), restorative.excluded(on=ago(20)))
        about = {"student_id": str(restorative.student), "incident_id": str(restorative.incident)}
        assert (await restorative.post("/referrals", about)).status_code == 201
        await restorative.hear(restorative.excluded(on=ago(20), hundredths_proposed=100))
        referral = await restorative.referral()
        assert (referral["days_proposed"], referral["opened_by_hand"]) == (4.0, True)


class TestTakenBack:
    async def test_the_last_exclusion_takes_its_referral_with_it(self, restorative: Restorative) -> None:
        one, other = uuid4(), uuid4()
        await restorative.hear(restorative.happened(), restorative.excluded(one), restorative.excluded(other))
        await restorative.hear(restorative.excluded(one, deleted=True))
        assert (await restorative.referral())["days_proposed"] == 3.0
        await restorative.hear(restorative.excluded(other, deleted=True))
        referral = await restorative.referral()
        assert (referral["state"], referral["days_proposed"]) == ("withdrawn", 0.0)
        assert [step["step"] for step in referral["steps"]] == ["open", "take_back"]

    async def test_so_does_the_incident(self, restorative: Restorative) -> None:
        await restorative.hear(restorative.happened(), restorative.excluded())
        await restorative.hear(restorative.happened(deleted=True))
        assert (await restorative.referral())["state"] == "withdrawn"

    async def test_and_an_action_changed_into_something_else(self, restorative: Restorative) -> None:
        action = uuid4()
        await restorative.hear(restorative.happened(), restorative.excluded(action))
        await restorative.hear(restorative.excluded(action, actions=("Community Service",)))
        assert (await restorative.referral())["state"] == "withdrawn"

    async def test_what_comes_back_brings_the_referral_back_where_it_was(self, restorative: Restorative) -> None:
        action = uuid4()
        conference = await restorative.conference()
        await restorative.hear(restorative.excluded(action))
        await conference.screen()
        for deleted in (True, False):
            await restorative.hear(restorative.happened(deleted=deleted))
        referral = await restorative.referral()
        assert (referral["state"], referral["suitable"], referral["days_proposed"]) == ("screened", True, 6.0)
        assert [step["step"] for step in referral["steps"]] == ["open", "screen", "take_back", "restore"]

    async def test_what_a_person_withdrew_stays_withdrawn(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        await conference.done("withdraw", {"on": str(ago(1)), "reason": "They have moved"})
        await restorative.hear(restorative.excluded())
        assert (await restorative.referral())["state"] == "withdrawn"

    async def test_after_the_offer_the_conference_goes_on_and_its_days_stand(self, restorative: Restorative) -> None:
        action = uuid4()
        conference = await restorative.conference()
        await restorative.hear(restorative.excluded(action))
        await conference.through("offer")
        await restorative.hear(restorative.excluded(action, deleted=True), restorative.happened(deleted=True))
        referral = await restorative.referral()
        assert (referral["state"], referral["days_proposed"]) == ("consenting", 6.0)

    async def test_an_action_heard_deleted_first_is_nothing(self, restorative: Restorative) -> None:
        await restorative.hear(restorative.happened(), restorative.excluded(deleted=True))
        assert await restorative.referrals() == []

    async def test_an_action_of_two_incidents_counts_in_the_other_if_the_first_falls(
        self, restorative: Restorative
    ) -> None:
        earlier, action = uuid4(), uuid4()
        first = restorative.happened(association_id=earlier, incident_id=earlier, on=ago(11))
        both = restorative.excluded(action, incident_ids=(earlier, restorative.incident))
        await restorative.hear(first, restorative.happened(), both)
        assert (await restorative.referral())["incident_id"] == str(earlier)
        await restorative.hear(first.model_copy(update={"deleted": True, "revision": restorative.next()}))
        states = {line["incident_id"]: (line["state"], line["days_proposed"]) for line in await restorative.referrals()}
        assert states == {str(earlier): ("withdrawn", 0.0), str(restorative.incident): ("proposed", 3.0)}

    async def test_an_action_that_moves_to_another_incident_moves_its_days(self, restorative: Restorative) -> None:
        for before in (-1, 0, 1):
            await restorative.running.empty()
            action, other = uuid4(), uuid4()
            there = restorative.happened(association_id=other, incident_id=other, on=ago(10 + before))
            await restorative.hear(restorative.enrolled(), restorative.happened(), restorative.excluded(action))
            await restorative.hear(there, restorative.excluded(action, incident_ids=(other,)))
            now = {
                line["incident_id"]: (line["state"], line["days_proposed"]) for line in await restorative.referrals()
            }
            assert now == {str(restorative.incident): ("withdrawn", 0.0), str(other): ("proposed", 3.0)}


class TestDaysServed:
    async def test_they_follow_the_action_after_completion_with_a_higher_revision(
        self, restorative: Restorative
    ) -> None:
        action = uuid4()
        conference = await restorative.conference()
        await restorative.hear(restorative.excluded(action, hundredths_proposed=200))
        await conference.through("complete")
        for served in (50, 50, 900):
            await restorative.hear(restorative.excluded(action, hundredths_proposed=200, hundredths_served=served))
        first, second, third = await restorative.running.said(ExclusionAvoided)
        assert [fact.hundredths_proposed for fact in (first, second, third)] == [500, 500, 500]
        assert [fact.hundredths_served for fact in (first, second, third)] == [0, 50, 900]
        assert [fact.hundredths_avoided for fact in (first, second, third)] == [500, 450, 0]
        assert first.revision < second.revision < third.revision
        assert (await restorative.referral())["days_avoided"] == 0.0

    async def test_an_exclusion_entered_after_the_offer_is_served_and_not_proposed(
        self, restorative: Restorative
    ) -> None:
        conference = await restorative.conference()
        await conference.through("offer")
        await restorative.hear(restorative.excluded(hundredths_proposed=700, hundredths_served=100))
        referral = await restorative.referral()
        assert (referral["days_proposed"], referral["days_served"]) == (3.0, 1.0)

    async def test_what_is_taken_back_was_not_served(self, restorative: Restorative) -> None:
        action = uuid4()
        conference = await restorative.conference()
        await restorative.hear(restorative.excluded(action, hundredths_served=100))
        await conference.through("complete")
        await restorative.hear(restorative.excluded(action, hundredths_served=100, deleted=True))
        assert [fact.hundredths_avoided for fact in await restorative.running.said(ExclusionAvoided)] == [500, 600]

    async def test_nothing_is_said_of_days_before_completion(self, restorative: Restorative) -> None:
        action = uuid4()
        conference = await restorative.conference()
        await restorative.hear(restorative.excluded(action))
        await conference.through("keep")
        await restorative.hear(restorative.excluded(action, hundredths_served=100))
        assert await restorative.running.said(ExclusionAvoided) == []


async def test_enrolments_are_kept_by_their_highest_revision(restorative: Restorative) -> None:
    await restorative.running.empty()
    old, new = restorative.enrolled(deleted=True), restorative.enrolled()
    await restorative.hear(new, restorative.enrolled(school_id=OTHER_SCHOOL))
    await restorative.hear(old)
    async with restorative.running.session() as session:
        rows = await session.execute(sa.text("SELECT school_id, deleted FROM restorative_enrolment ORDER BY school_id"))
        assert [tuple(row) for row in rows] == [(SCHOOL, False), (OTHER_SCHOOL, False)]


async def test_everything_said_is_said_again_as_it_stands(restorative: Restorative) -> None:
    await (await restorative.conference()).through("complete")
    said = await restorative.running.said(Event)
    async with restorative.running.session() as session:
        again = [fact async for fact in everything_said(session)]
    assert sorted(again, key=repr) == sorted(said, key=repr)
    assert {type(fact) for fact in again} == {ConferenceOffered, AgreementCompleted, ExclusionAvoided}


async def test_the_same_student_heard_twice_at_once_opens_one_referral(restorative: Restorative) -> None:
    await restorative.hear(restorative.happened())
    await asyncio.gather(*(restorative.hear(restorative.excluded()) for _ in range(6)))
    assert (await restorative.referral())["days_proposed"] == 18.0


@pytest.mark.parametrize("students", [1, 40])
async def test_a_batch_takes_few_statements_whatever_its_size(restorative: Restorative, students: int) -> None:
    statements = 0

    def count(*_: object) -> None:
        nonlocal statements
        statements += 1

    engine = restorative.running.runtime.engine.sync_engine
    late = [restorative.excluded(student_id=uuid4(), on=ago(30)) for _ in range(students)]
    sa.event.listen(engine, "before_cursor_execute", count)
    try:
        await restorative.hear(*late)
    finally:
        sa.event.remove(engine, "before_cursor_execute", count)
    assert statements <= 14
