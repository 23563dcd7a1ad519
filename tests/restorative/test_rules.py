"""The rules of restorative practice, without any database."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import DomainError
from common.events.sis import plain
from restorative.policy import POLICY
from restorative.rules import agreement, gathering, steps, withdrawal
from restorative.rules import conference as model
from restorative.rules.conference import Conference, Item, ItemKind, Kind, Part, Party, Role, State
from restorative.rules.exclusion import (
    Exclusion,
    Policy,
    free_for,
    frozen,
    hundredths_avoided,
    hundredths_proposed,
    hundredths_served,
    kept_by,
)
from restorative.rules.steps import decide

TODAY = date(2026, 11, 20)
DAY = date(2026, 11, 2)
STUDENT, HARMED, FACILITATOR = UUID(int=1), UUID(int=2), UUID(int=3)


def party(number: int, role: Role, **values: Any) -> Party:
    return Party(id=UUID(int=100 + number), kind=Kind.NAMED, role=role, **values)


RESPONSIBLE = Party(id=UUID(int=101), kind=Kind.STUDENT, role=Role.CAUSED_HARM, student_id=STUDENT)
HURT = Party(id=UUID(int=102), kind=Kind.STUDENT, role=Role.HARMED, student_id=HARMED)
SUPPORTER = party(3, Role.SUPPORTER)
ITEM = Item(id=UUID(int=201), kind=ItemKind.APOLOGY, by_party=RESPONSIBLE.id, for_party=HURT.id, due_on=TODAY)


def day(number: int) -> date:
    return DAY + timedelta(days=number)


def new() -> Conference:
    return Conference(student_id=STUDENT, happened_on=DAY)


def take(conference: Conference, *taken: steps.Step) -> Conference:
    for step in taken:
        conference = decide(conference, step, today=TODAY)
    return conference


SCREENED = (gathering.Screen(suitable=True), gathering.AddParty(party=RESPONSIBLE), gathering.AddParty(party=HURT))
OFFERED = (*SCREENED, gathering.Offer(on=day(1)))
CONSENTED = (
    *OFFERED,
    gathering.Agree(on=day(2), party_id=RESPONSIBLE.id, part=Part.IN_PERSON),
    gathering.Agree(on=day(3), party_id=HURT.id, part=Part.WRITTEN),
)
PREPARED = (
    *CONSENTED,
    gathering.Prepare(on=day(4), party_id=RESPONSIBLE.id),
    gathering.Prepare(on=day(5), party_id=HURT.id),
)
SCHEDULED = (*PREPARED, gathering.Schedule(at=datetime(2026, 11, 9, 10, tzinfo=UTC)))
HELD = (*SCHEDULED, agreement.Hold(on=day(7)))
AGREED = (*HELD, agreement.MakeAgreement(items=(ITEM,)))
KEPT = (*AGREED, agreement.Keep(on=day(9), item_id=ITEM.id, verified_by=FACILITATOR))
COMPLETED = (*KEPT, agreement.Complete(on=day(10)))

STAGES: dict[State, tuple[steps.Step, ...]] = {
    State.PROPOSED: (),
    State.SCREENED: SCREENED,
    State.CONSENTING: OFFERED,
    State.PREPARING: CONSENTED,
    State.SCHEDULED: SCHEDULED,
    State.HELD: HELD,
    State.AGREEMENT_ACTIVE: AGREED,
    State.COMPLETED: COMPLETED,
    State.BREACHED: (*AGREED, agreement.Breach(on=day(10))),
    State.WITHDRAWN: (*OFFERED, withdrawal.Withdraw(on=day(2))),
    State.DECLINED: (*OFFERED, gathering.Refuse(on=day(2), party_id=HURT.id)),
    State.NO_AGREEMENT: (*HELD, agreement.EndWithoutAgreement(on=day(7))),
}

EVERY_STEP: tuple[steps.Step, ...] = (
    gathering.Screen(suitable=True),
    gathering.AddParty(party=SUPPORTER),
    gathering.Offer(on=day(1)),
    gathering.Agree(on=day(3), party_id=HURT.id, part=Part.SURROGATE),
    gathering.Refuse(on=day(3), party_id=HURT.id),
    gathering.Prepare(on=day(5), party_id=HURT.id),
    gathering.Schedule(at=datetime(2026, 11, 10, tzinfo=UTC)),
    agreement.Hold(on=day(7)),
    agreement.MakeAgreement(items=(ITEM,)),
    agreement.Keep(on=day(9), item_id=ITEM.id, verified_by=FACILITATOR),
    agreement.Complete(on=day(10)),
    agreement.Breach(on=day(10)),
    agreement.EndWithoutAgreement(on=day(10)),
    withdrawal.Withdraw(on=day(10)),
    withdrawal.TakeBack(on=day(10)),
    withdrawal.Restore(on=day(10)),
)


class TestTheCourseOfAConference:
    @pytest.mark.parametrize("state", list(State))
    def test_each_state_is_reached_by_its_steps(self, state: State) -> None:
        assert take(new(), *STAGES[state]).state is state

    @pytest.mark.parametrize("state", list(State))
    @pytest.mark.parametrize("step", EVERY_STEP, ids=lambda step: step.name)
    def test_a_step_in_the_wrong_state_is_refused_by_name(self, state: State, step: steps.Step) -> None:
        conference = take(new(), *STAGES[state])
        if state in step.possible_in or step.changes_nothing(conference):
            return
        with pytest.raises(steps.StepOutOfOrder) as refused:
            take(conference, step)
        assert refused.value.facts == {"step": step.name, "state": state.value}

    @pytest.mark.parametrize("stage", [s for s in State if s in model.ENDED])
    def test_what_has_ended_stays_ended(self, stage: State) -> None:
        conference = take(new(), *STAGES[stage])
        for step in EVERY_STEP:
            try:
                assert take(conference, step) == conference
            except steps.StepOutOfOrder:
                continue

    def test_a_day_that_has_not_come_is_refused(self) -> None:
        with pytest.raises(steps.InTheFuture):
            take(new(), *SCREENED, gathering.Offer(on=TODAY + timedelta(days=1)))

    def test_a_meeting_may_lie_ahead(self) -> None:
        ahead = datetime(2030, 1, 1, tzinfo=UTC)
        assert take(new(), *PREPARED, gathering.Schedule(at=ahead)).scheduled_at == ahead

    def test_a_step_that_is_no_step_is_a_mistake_of_ours(self) -> None:
        with pytest.raises(NotImplementedError):
            steps.Step().of(new())

    @pytest.mark.parametrize(
        ("before", "step"),
        [
            (SCREENED, gathering.Offer(on=day(-1))),
            (OFFERED, gathering.Agree(on=day(0), party_id=HURT.id, part=Part.WRITTEN)),
            (OFFERED, gathering.Refuse(on=day(0), party_id=HURT.id)),
            (CONSENTED, gathering.Prepare(on=day(1), party_id=RESPONSIBLE.id)),
            (SCHEDULED, agreement.Hold(on=day(4))),
            (HELD, agreement.MakeAgreement(items=(replace(ITEM, due_on=day(6)),))),
            (AGREED, agreement.Keep(on=day(6), item_id=ITEM.id, verified_by=FACILITATOR)),
            (KEPT, agreement.Complete(on=day(8))),
            (AGREED, agreement.Breach(on=day(6))),
            (HELD, agreement.EndWithoutAgreement(on=day(6))),
            (HELD, withdrawal.Withdraw(on=day(6))),
        ],
        ids=lambda value: value.name if isinstance(value, steps.Step) else "",
    )
    def test_time_runs_forward(self, before: tuple[steps.Step, ...], step: steps.Step) -> None:
        with pytest.raises(steps.TooEarly):
            take(new(), *before, step)


class TestScreening:
    def test_contested_facts_are_not_suitable(self) -> None:
        with pytest.raises(gathering.FactsContested):
            take(new(), gathering.Screen(suitable=True, facts_contested=True))

    def test_denied_responsibility_is_not_suitable(self) -> None:
        with pytest.raises(gathering.ResponsibilityDenied):
            take(new(), gathering.Screen(suitable=True, responsibility_denied=True))

    def test_what_is_not_suitable_is_not_offered(self) -> None:
        with pytest.raises(gathering.NotSuitable):
            take(new(), *SCREENED, gathering.Screen(suitable=False, facts_contested=True), gathering.Offer(on=day(1)))

    def test_it_may_be_judged_anew_before_the_offer(self) -> None:
        assert take(new(), gathering.Screen(suitable=False), gathering.Screen(suitable=True)).suitable is True


class TestParties:
    def test_nobody_joins_twice(self) -> None:
        again = replace(RESPONSIBLE, id=uuid4(), role=Role.SUPPORTER)
        with pytest.raises(gathering.PartyTwice):
            take(new(), gathering.AddParty(party=RESPONSIBLE), gathering.AddParty(party=again))

    def test_two_sealed_names_are_two_people(self) -> None:
        both = take(new(), gathering.AddParty(party=SUPPORTER), gathering.AddParty(party=party(4, Role.SUPPORTER)))
        assert len(both.parties) == 2

    def test_a_staff_member_and_a_student_are_two_people(self) -> None:
        staff = Party(id=uuid4(), kind=Kind.STAFF, role=Role.HARMED, staff_id=FACILITATOR)
        assert len(take(new(), gathering.AddParty(party=RESPONSIBLE), gathering.AddParty(party=staff)).parties) == 2

    def test_no_offer_without_the_student_the_referral_is_about(self) -> None:
        other = replace(RESPONSIBLE, student_id=HARMED)
        with pytest.raises(gathering.ResponsiblePersonMissing):
            take(new(), gathering.Screen(suitable=True), gathering.AddParty(party=other), gathering.Offer(on=day(1)))

    def test_no_offer_without_anybody_affected(self) -> None:
        alone = (
            gathering.Screen(suitable=True),
            gathering.AddParty(party=RESPONSIBLE),
            gathering.AddParty(party=SUPPORTER),
        )
        with pytest.raises(gathering.AffectedPersonMissing):
            take(new(), *alone, gathering.Offer(on=day(1)))

    def test_who_was_harmed_and_joins_late_is_asked_before_it_goes_on(self) -> None:
        late = party(5, Role.HARMED)
        conference = take(new(), *SCHEDULED, gathering.AddParty(party=late))
        assert (conference.state, conference.scheduled_at) == (State.CONSENTING, None)

    def test_a_supporter_who_agrees_late_is_prepared_before_it_goes_on(self) -> None:
        agree = gathering.Agree(on=day(6), party_id=SUPPORTER.id, part=Part.IN_PERSON)
        conference = take(new(), *SCHEDULED, gathering.AddParty(party=SUPPORTER))
        assert conference.state is State.SCHEDULED
        assert take(conference, agree).state is State.PREPARING

    def test_a_party_or_item_nobody_knows_is_refused(self) -> None:
        with pytest.raises(model.PartyUnknown):
            take(new(), *OFFERED, gathering.Agree(on=day(2), party_id=uuid4(), part=Part.IN_PERSON))
        with pytest.raises(model.ItemUnknown):
            take(new(), *AGREED, agreement.Keep(on=day(9), item_id=uuid4(), verified_by=FACILITATOR))


class TestConsent:
    @pytest.mark.parametrize(
        ("who", "given_", "part", "takes_part"),
        [
            (RESPONSIBLE, True, None, Part.IN_PERSON),
            (RESPONSIBLE, True, Part.WRITTEN, Part.WRITTEN),
            (RESPONSIBLE, False, Part.WRITTEN, None),
            (RESPONSIBLE, False, None, None),
            (HURT, True, Part.IN_PERSON, Part.IN_PERSON),
            (HURT, False, Part.SURROGATE, Part.SURROGATE),
            (HURT, False, Part.WRITTEN, Part.WRITTEN),
            (HURT, False, Part.IN_PERSON, None),
            (HURT, False, None, None),
        ],
    )
    def test_what_an_answer_means(self, who: Party, given_: bool, part: Part | None, takes_part: Part | None) -> None:
        conference = take(new(), *OFFERED)
        step = gathering.answer(conference, who.id, given=given_, part=part, on=day(2))
        after = take(conference, step)
        assert after.party(who.id).part == takes_part
        assert (after.state is State.DECLINED) == (takes_part is None)

    def test_refusing_leaves_no_trace_of_who(self) -> None:
        by_one = take(new(), *CONSENTED, gathering.Refuse(on=day(4), party_id=RESPONSIBLE.id))
        by_the_other = take(new(), *CONSENTED, gathering.Refuse(on=day(4), party_id=HURT.id))
        assert by_one == by_the_other
        assert by_one.state is State.DECLINED

    def test_a_supporter_who_refuses_stops_nothing_and_looks_like_never_asked(self) -> None:
        before = take(new(), *SCREENED, gathering.AddParty(party=SUPPORTER), *PREPARED[3:], SCHEDULED[-1])
        agreed = take(before, gathering.Agree(on=day(6), party_id=SUPPORTER.id, part=Part.IN_PERSON))
        after = take(
            agreed,
            gathering.Prepare(on=day(6), party_id=SUPPORTER.id),
            gathering.Refuse(on=day(7), party_id=SUPPORTER.id),
        )
        assert after.party(SUPPORTER.id) == SUPPORTER
        assert after.state is State.PREPARING

    def test_a_refusal_said_again_changes_nothing(self) -> None:
        refuse = gathering.Refuse(on=day(2), party_id=HURT.id)
        declined = take(new(), *OFFERED, refuse)
        assert take(declined, refuse) is declined

    def test_who_takes_part_is_not_dropped_after_the_conference(self) -> None:
        with pytest.raises(steps.StepOutOfOrder):
            take(new(), *HELD, gathering.Refuse(on=day(8), party_id=HURT.id))

    def test_nobody_refuses_what_was_not_offered(self) -> None:
        with pytest.raises(steps.StepOutOfOrder):
            take(new(), *SCREENED, gathering.Refuse(on=day(2), party_id=HURT.id))


class TestMeetingAndAgreement:
    def test_who_has_not_agreed_is_not_prepared(self) -> None:
        with pytest.raises(gathering.ConsentMissing):
            take(
                new(),
                *CONSENTED,
                gathering.AddParty(party=SUPPORTER),
                gathering.Prepare(on=day(5), party_id=SUPPORTER.id),
            )

    def test_no_time_is_set_before_everybody_is_prepared(self) -> None:
        with pytest.raises(gathering.PreparationMissing):
            take(new(), *CONSENTED, SCHEDULED[-1])

    def test_another_time_may_be_set(self) -> None:
        other = datetime(2026, 11, 11, tzinfo=UTC)
        assert take(new(), *SCHEDULED, gathering.Schedule(at=other)).scheduled_at == other

    def test_an_agreement_asks_for_something(self) -> None:
        with pytest.raises(agreement.ItemsMissing):
            take(new(), *HELD, agreement.MakeAgreement(items=()))

    def test_it_asks_nothing_of_somebody_who_takes_no_part(self) -> None:
        asked = replace(ITEM, by_party=SUPPORTER.id, for_party=None)
        start = (gathering.AddParty(party=SUPPORTER), *HELD)
        with pytest.raises(gathering.ConsentMissing):
            take(new(), *start, agreement.MakeAgreement(items=(asked,)))

    def test_an_item_may_be_for_all(self) -> None:
        assert (
            take(new(), *HELD, agreement.MakeAgreement(items=(replace(ITEM, for_party=None),))).items[0].for_party
            is None
        )

    def test_an_item_is_kept_once(self) -> None:
        with pytest.raises(agreement.ItemKept):
            take(new(), *KEPT, agreement.Keep(on=day(10), item_id=ITEM.id, verified_by=FACILITATOR))

    def test_it_is_completed_only_when_every_item_is_kept(self) -> None:
        two = (ITEM, replace(ITEM, id=UUID(int=202)))
        keep = agreement.Keep(on=day(9), item_id=ITEM.id, verified_by=FACILITATOR)
        with pytest.raises(agreement.ItemsOpen):
            take(new(), *HELD, agreement.MakeAgreement(items=two), keep, agreement.Complete(on=day(10)))

    def test_who_verified_is_remembered(self) -> None:
        assert take(new(), *KEPT).item(ITEM.id).verified_by == FACILITATOR


class TestTheOffer:
    @pytest.mark.parametrize(
        ("state", "stands"),
        [
            (State.SCREENED, False),
            (State.CONSENTING, True),
            (State.HELD, True),
            (State.DECLINED, False),
            (State.WITHDRAWN, False),
            (State.NO_AGREEMENT, True),
        ],
    )
    def test_it_stands_until_it_is_called_off(self, state: State, stands: bool) -> None:
        assert take(new(), *STAGES[state]).offer_stands is stands

    def test_what_was_held_was_offered_even_if_withdrawn_later(self) -> None:
        assert take(new(), *AGREED, withdrawal.Withdraw(on=day(8))).offer_stands

    @pytest.mark.parametrize("state", list(State))
    def test_others_see_that_it_is_closed_and_not_who_called_it_off(self, state: State) -> None:
        shown = model.seen_by_others(state)
        assert (shown == model.CLOSED) == (state in (State.DECLINED, State.WITHDRAWN))
        assert shown in (model.CLOSED, state.value)


class TestWhatTheSisTakesBack:
    def test_a_referral_falls_with_its_ground(self) -> None:
        fallen = withdrawal.follow_data(take(new(), *SCREENED), stands=False, today=TODAY)
        assert (fallen.state, fallen.taken_back) == (State.WITHDRAWN, True)

    @pytest.mark.parametrize("taken", [(), SCREENED], ids=["proposed", "screened"])
    def test_and_comes_back_with_it_where_it_was(self, taken: tuple[steps.Step, ...]) -> None:
        before = take(new(), *taken)
        fallen = withdrawal.follow_data(before, stands=False, today=TODAY)
        assert withdrawal.follow_data(fallen, stands=True, today=TODAY) == before

    def test_what_was_offered_goes_on(self) -> None:
        offered = take(new(), *OFFERED)
        assert withdrawal.follow_data(offered, stands=False, today=TODAY) == offered

    def test_what_a_person_withdrew_stays_withdrawn(self) -> None:
        withdrawn = take(new(), withdrawal.Withdraw(on=day(1)))
        assert withdrawal.follow_data(withdrawn, stands=True, today=TODAY) == withdrawn
        with pytest.raises(steps.StepOutOfOrder):
            take(withdrawn, withdrawal.Restore(on=day(2)))


class TestTheFacilitator:
    def test_is_somebody(self) -> None:
        with pytest.raises(model.FacilitatorUnnamed):
            model.check_impartial(None, named=frozenset())

    def test_is_not_whom_the_action_names(self) -> None:
        with pytest.raises(model.FacilitatorNamed):
            model.check_impartial(FACILITATOR, named=frozenset({FACILITATOR}))

    @pytest.mark.parametrize("role", [Role.HARMED, Role.CAUSED_HARM])
    def test_is_not_who_was_harmed_or_caused_harm(self, role: Role) -> None:
        me = Party(id=uuid4(), kind=Kind.STAFF, role=role, staff_id=FACILITATOR)
        with pytest.raises(model.FacilitatorIsParty):
            model.check_impartial(FACILITATOR, named=frozenset(), parties=[HURT, me])

    def test_may_be_anybody_else(self) -> None:
        me = Party(id=uuid4(), kind=Kind.STAFF, role=Role.STAFF, staff_id=FACILITATOR)
        assert model.check_impartial(FACILITATOR, named=frozenset({HARMED}), parties=[me]) == FACILITATOR


def legal(conference: Conference) -> Iterator[bool]:
    """What must hold of every conference, written down independently of the steps that lead there."""
    state, order = conference.state, list(State)
    reached = order.index(state) if state not in model.ENDED else -1
    essential = [p for p in conference.parties if p.role in (Role.CAUSED_HARM, Role.HARMED)]
    met = reached >= order.index(State.HELD) or state in (State.COMPLETED, State.BREACHED, State.NO_AGREEMENT)
    yield (conference.ended_on is not None) == (state in model.ENDED)
    yield state is not State.PROPOSED or conference.suitable is None
    yield conference.offered_on is None or conference.suitable is True
    yield (conference.offered_on is not None) or not (reached >= order.index(State.CONSENTING) or met)
    yield state is not State.DECLINED or not any(p.part or p.agreed_on or p.prepared_on for p in conference.parties)
    yield not conference.taken_back or (state is State.WITHDRAWN and conference.offered_on is None)
    yield all((p.part is None) == (p.agreed_on is None) for p in conference.parties)
    yield all(p.prepared_on is None or p.part is not None for p in conference.parties)
    if state in (State.PREPARING, State.SCHEDULED) or met:
        yield all(p.part is not None for p in essential)
        yield any(p.student_id == conference.student_id and p.role is Role.CAUSED_HARM for p in conference.parties)
    if state is State.SCHEDULED or met:
        yield all(p.prepared_on is not None for p in conference.parties if p.part is not None)
        yield conference.scheduled_at is not None
    yield (conference.held_on is not None) == met or state is State.WITHDRAWN
    yield bool(conference.items) == (state in (State.AGREEMENT_ACTIVE, State.COMPLETED, State.BREACHED)) or (
        state is State.WITHDRAWN
    )
    yield state is not State.COMPLETED or all(item.kept_on and item.verified_by for item in conference.items)


people = st.sampled_from([RESPONSIBLE, HURT, SUPPORTER, party(4, Role.COMMUNITY), party(5, Role.HARMED)])
days = st.integers(-1, 12).map(day)
party_ids = people.map(lambda person: person.id)
any_step = st.one_of(
    st.builds(
        gathering.Screen, suitable=st.booleans(), facts_contested=st.booleans(), responsibility_denied=st.booleans()
    ),
    st.builds(gathering.AddParty, party=people),
    st.builds(gathering.Offer, on=days),
    st.builds(gathering.Agree, on=days, party_id=party_ids, part=st.sampled_from(Part)),
    st.builds(gathering.Refuse, on=days, party_id=party_ids),
    st.builds(gathering.Prepare, on=days, party_id=party_ids),
    st.builds(gathering.Schedule, at=st.datetimes(timezones=st.just(UTC))),
    st.builds(agreement.Hold, on=days),
    st.builds(agreement.MakeAgreement, items=st.lists(st.just(ITEM), max_size=1).map(tuple)),
    st.builds(agreement.Keep, on=days, item_id=st.just(ITEM.id), verified_by=st.just(FACILITATOR)),
    st.builds(agreement.Complete, on=days),
    st.builds(agreement.Breach, on=days),
    st.builds(agreement.EndWithoutAgreement, on=days),
    st.builds(withdrawal.Withdraw, on=days),
    st.builds(withdrawal.TakeBack, on=days),
    st.builds(withdrawal.Restore, on=days),
)


@settings(max_examples=300)
@given(
    start=st.sampled_from(
        [State.PROPOSED, State.SCREENED, State.CONSENTING, State.PREPARING, State.SCHEDULED, State.HELD]
    ),
    taken=st.lists(any_step, max_size=25),
)
def test_no_sequence_of_steps_reaches_an_illegal_state(start: State, taken: list[steps.Step]) -> None:
    conference = take(new(), *STAGES[start])
    for step in taken:
        before = conference
        try:
            conference = decide(before, step, today=TODAY)
        except DomainError:
            continue
        assert all(legal(conference)), (step, before, conference)
        if before.state in model.ENDED and conference != before:
            assert isinstance(step, withdrawal.Restore)


class TestPolicy:
    def test_the_file_lists_suspension_and_expulsion(self) -> None:
        assert POLICY.excludes(["Out of School Suspension"])
        assert POLICY.excludes(["Community Service", "in-school  suspension"])
        assert POLICY.excludes(["Expulsion with Services"])

    def test_and_nothing_that_leaves_a_student_in_class(self) -> None:
        assert not POLICY.excludes(["Community Service", "Other", "Removal from Classroom"])
        assert not POLICY.excludes([])

    def test_an_action_of_a_fortnight_ago_is_late(self) -> None:
        assert POLICY.late(on=TODAY - timedelta(days=14), heard_on=TODAY)
        assert not POLICY.late(on=TODAY - timedelta(days=13), heard_on=TODAY)
        assert not POLICY.late(on=TODAY + timedelta(days=3), heard_on=TODAY)

    def test_capitals_spaces_and_hyphens_do_not_matter(self) -> None:
        assert plain(" In-School_Suspension ") == plain("in school suspension")


def exclusion(number: int = 1, **values: Any) -> Exclusion:
    defaults: dict[str, Any] = {
        "incident_ids": frozenset({UUID(int=1)}),
        "hundredths_proposed": 300,
        "hundredths_served": None,
        "late": False,
        "stands": True,
        "referral_id": None,
    }
    return Exclusion(id=UUID(int=number), **(defaults | values))


class TestDays:
    def test_the_first_version_that_excludes_is_frozen(self) -> None:
        assert frozen(None, proposed=300, excludes=True) == 300
        assert frozen(300, proposed=500, excludes=True) == 300
        assert frozen(None, proposed=300, excludes=False) is None
        assert frozen(300, proposed=0, excludes=False) == 300

    def test_an_action_counts_where_it_names_the_incident_and_nowhere_else_yet(self) -> None:
        here, referral = UUID(int=1), UUID(int=9)
        free, late = exclusion(), exclusion(2, late=True)
        others = [
            exclusion(3, stands=False),
            exclusion(4, referral_id=referral),
            exclusion(5, incident_ids=frozenset()),
        ]
        assert free_for(here, [free, late, *others], late_too=False) == (free,)
        assert free_for(here, [free, late, *others], late_too=True) == (free, late)

    def test_a_referral_keeps_what_stands_and_still_names_its_incident(self) -> None:
        here, mine = UUID(int=1), UUID(int=9)
        kept = exclusion(referral_id=mine)
        others = [
            exclusion(2, referral_id=mine, stands=False),
            exclusion(3, referral_id=mine, incident_ids=frozenset()),
            exclusion(4, referral_id=UUID(int=8)),
            exclusion(5),
        ]
        assert kept_by(mine, here, [kept, *others]) == (kept,)

    def test_what_nobody_recorded_counts_as_not_served(self) -> None:
        assert hundredths_served([exclusion(), exclusion(2, hundredths_served=150)]) == 150

    def test_what_was_taken_back_was_not_served(self) -> None:
        assert hundredths_served([exclusion(hundredths_served=150, stands=False)]) == 0

    @given(proposed=st.integers(0, 20_000), served=st.integers(0, 20_000))
    def test_days_avoided_are_never_negative_and_never_more_than_proposed(self, proposed: int, served: int) -> None:
        assert 0 <= hundredths_avoided(proposed=proposed, served=served) <= proposed


incident_ids = st.frozensets(st.integers(1, 3).map(lambda n: UUID(int=n)), max_size=3)


@given(
    named=st.lists(incident_ids, max_size=6),
    opened=st.lists(st.integers(1, 3).map(lambda n: UUID(int=n)), max_size=6),
    repeated=st.booleans(),
)
def test_each_action_counts_once_whichever_referrals_are_opened(
    named: list[frozenset[UUID]], opened: list[UUID], repeated: bool
) -> None:
    actions = [exclusion(number, incident_ids=ids) for number, ids in enumerate(named)]
    total = 0
    for incident in opened:
        mine = free_for(incident, actions, late_too=True)
        total += hundredths_proposed([*mine, *(mine if repeated else ())])
        actions = [replace(a, referral_id=incident) if a in mine else a for a in actions]
    assert total == 300 * sum(1 for ids in named if ids & set(opened))


def test_a_policy_is_data() -> None:
    strict = Policy(version="x", exclusions=frozenset({"detention"}), late_after_days=1)
    assert strict.excludes(["Detention"])
    assert strict.late(on=day(0), heard_on=day(1))
