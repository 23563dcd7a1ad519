"""What people decide: proposals, what they accept and decline, overrides, and what is so once these are over."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.events import Cause, Event, Tier
from mtss.rules import (
    NO_PROPOSAL,
    NOTHING,
    RULINGS,
    TIERS,
    Facts,
    Grounds,
    Held,
    Policy,
    Rulings,
    Said,
    always,
    cause_of,
    day_number,
    day_of,
    follow,
    held_of,
    policy_of,
    said_before,
    said_of,
    standing_of,
)
from mtss.rules.people import Days, Ruling, Stand, stand_of, tiers_of
from tests.mtss.made_up import STUDENT, School, districts, facts_of, named, policy, school_days
from tests.mtss.test_rules_policy import changed

UNIVERSAL, TARGETED, INTENSIVE = range(3)
ACCEPTED, DECLINED, OVERRIDDEN, WITHDRAWN, BEGUN, ENDED = range(6)
USUAL = policy()


def hows(**said: str) -> Policy:
    """The default policy; ``targeted_exit="proposed"`` and so on."""
    found: Any = {"targeted": USUAL.targeted, "intensive": USUAL.intensive}
    for name, how in said.items():
        tier, part = name.split("_")
        found[tier] = replace(found[tier], **{part: how})
    return replace(USUAL, **found)


@dataclass(frozen=True)
class Calls:
    """What facts call for from day 0 on, one letter a day: ``-`` nothing, ``t`` targeted, ``i`` both, ``I`` intensive alone."""

    text: str
    policy: Policy = USUAL
    newest: int = 0

    def after(self, *rulings: Ruling) -> Stand:
        return stand_of(self.days(), rulings)

    def days(self) -> Days:
        letters = np.array(list(self.text))
        return Days(
            days=np.arange(len(letters), dtype=np.int32),
            targeted=np.isin(letters, ["t", "i"]),
            intensive=np.isin(letters, ["i", "I"]),
            policies=always(self.policy),
            newest=lambda _: self.newest,
        )


def tier_since(stand: Stand) -> tuple[int, int]:
    return stand.tier, stand.since


def proposed(stand: Stand) -> tuple[int, int] | None:
    return None if stand.proposal == NO_PROPOSAL else (stand.proposal, stand.proposal_since)


def accepts(day: int, tier: int = INTENSIVE, number: int = 1) -> Ruling:
    return Ruling(number, ACCEPTED, tier, day)


def declines(day: int, tier: int = INTENSIVE, number: int = 1) -> Ruling:
    return Ruling(number, DECLINED, tier, day)


def overrides(day: int, tier: int, until: int, number: int = 1) -> Ruling:
    return Ruling(number, OVERRIDDEN, tier, day, until)


def withdraws(day: int, tier: int, number: int = 2) -> Ruling:
    return Ruling(number, WITHDRAWN, tier, day)


# Proposals


def test_without_people_the_facts_assign_targeted_and_propose_intensive() -> None:
    stand = Calls("--ttii").after()
    assert (tier_since(stand), stand.ruling, proposed(stand)) == ((TARGETED, 2), 0, (INTENSIVE, 4))


def test_what_was_accepted_stands_from_that_day_and_is_proposed_no_longer() -> None:
    stand = Calls("ttii").after(accepts(3))
    assert (tier_since(stand), stand.ruling, proposed(stand)) == ((INTENSIVE, 3), 1, None)


def test_a_ruling_of_a_day_that_is_still_open_counts_at_once() -> None:
    assert tier_since(Calls("ttii").after(accepts(7))) == (INTENSIVE, 7)


def test_an_intensive_tier_whose_ground_is_gone_stays_until_its_end_is_accepted() -> None:
    stand = Calls("iiitt-").after(accepts(1))
    assert (tier_since(stand), proposed(stand)) == ((INTENSIVE, 1), (UNIVERSAL, 3))
    stand = Calls("iiitt").after(accepts(1), accepts(4, TARGETED, 2))
    assert (tier_since(stand), proposed(stand)) == ((TARGETED, 4), None)


def test_where_the_policy_says_so_intensive_support_ends_by_itself_on_a_day_after_the_ruling() -> None:
    by_itself = hows(intensive_exit="assigned")
    assert tier_since(Calls("iiitt", by_itself).after(accepts(1))) == (TARGETED, 3)
    assert tier_since(Calls("iii--", by_itself).after(accepts(1))) == (UNIVERSAL, 3)
    assert tier_since(Calls("iitt", by_itself).after(accepts(2))) == (TARGETED, 3)
    assert proposed(Calls("iit", by_itself).after(accepts(2))) is None


def test_targeted_support_that_is_proposed_stands_once_it_is_accepted() -> None:
    asks = hows(targeted_entry="proposed")
    stand = Calls("-tt", asks).after()
    assert (tier_since(stand), proposed(stand)) == ((UNIVERSAL, 0), (TARGETED, 1))
    assert tier_since(Calls("-ttt-", asks).after(accepts(2, TARGETED))) == (UNIVERSAL, 4)


def test_targeted_support_whose_end_is_proposed_stands_until_that_is_accepted() -> None:
    asks = hows(targeted_exit="proposed")
    stand = Calls("-tt--", asks).after()
    assert (tier_since(stand), proposed(stand)) == ((TARGETED, 1), (UNIVERSAL, 3))
    assert tier_since(Calls("-tt--", asks).after(accepts(4, UNIVERSAL))) == (UNIVERSAL, 4)
    assert tier_since(Calls("-tt--t", asks).after(accepts(4, UNIVERSAL))) == (TARGETED, 5)
    assert tier_since(Calls("iii--", hows(targeted_exit="proposed", intensive_exit="assigned")).after(accepts(1))) == (
        TARGETED,
        3,
    )


def test_the_end_of_targeted_support_is_not_proposed_while_intensive_is() -> None:
    stand = Calls("tI", hows(targeted_exit="proposed")).after(declines(1))
    assert (tier_since(stand), proposed(stand)) == ((TARGETED, 0), None)


def test_a_policy_may_assign_intensive_too_though_the_checker_refuses_it() -> None:
    assert tier_since(Calls("ti", hows(intensive_entry="assigned")).after()) == (INTENSIVE, 1)


@pytest.mark.parametrize(("days", "again"), [(19, None), (20, (INTENSIVE, 0))])
def test_what_was_declined_rests_for_as_many_days_as_the_policy_says(days: int, again: Any) -> None:
    assert proposed(Calls("i" * (4 + days)).after(declines(3))) == again


def test_what_was_declined_is_proposed_at_once_on_new_ground() -> None:
    assert proposed(Calls("iiiiii", newest=3).after(declines(3))) is None
    assert proposed(Calls("iiiiii", newest=4).after(declines(3))) == (INTENSIVE, 0)
    assert proposed(Calls("ii-iii").after(declines(1))) == (INTENSIVE, 3)


def test_who_declines_intensive_is_still_asked_about_targeted() -> None:
    asks = hows(targeted_entry="proposed")
    assert proposed(Calls("iii", asks).after()) == (INTENSIVE, 0)
    assert proposed(Calls("iii", asks).after(declines(1))) == (TARGETED, 0)


def test_an_end_that_was_declined_rests_too() -> None:
    given_up = [accepts(0), declines(3, TARGETED, 2)]
    assert proposed(Calls("iitt").after(*given_up)) is None
    assert proposed(Calls("iittit").after(*given_up)) == (TARGETED, 5)
    assert proposed(Calls("iitt" + "t" * 20).after(*given_up)) == (TARGETED, 2)


def test_an_end_that_was_declined_rests_though_a_clause_of_the_lower_tier_begins_later() -> None:
    given_up = [accepts(0), declines(3, TARGETED, 2)]
    assert proposed(Calls("iittt", newest=4).after(*given_up)) is None


# While a support runs


def begins(day: int, tier: int = TARGETED, number: int = 1) -> Ruling:
    return Ruling(number, BEGUN, tier, day)


def ends(day: int, tier: int = TARGETED, number: int = 2) -> Ruling:
    return Ruling(number, ENDED, tier, day)


def test_no_tier_ends_by_itself_while_a_support_runs_and_its_end_is_proposed() -> None:
    assert tier_since(Calls("tt--").after()) == (UNIVERSAL, 2)
    kept = Calls("tt--").after(begins(1))
    assert (tier_since(kept), proposed(kept), kept.supported) == ((TARGETED, 0), (UNIVERSAL, 2), True)
    ends_by_itself = hows(intensive_exit="assigned")
    assert tier_since(Calls("iit-", ends_by_itself).after(accepts(0), begins(1, INTENSIVE, 2))) == (INTENSIVE, 0)
    assert tier_since(Calls("tt--").after(begins(1), accepts(3, UNIVERSAL, 2))) == (UNIVERSAL, 3)


def test_once_the_last_support_has_ended_the_facts_speak_with_the_next_day() -> None:
    assert proposed(Calls("tt--").after(begins(1), ends(3))) is None
    assert tier_since(Calls("tt---").after(begins(1), ends(3))) == (UNIVERSAL, 4)
    assert tier_since(Calls("tt---").after(begins(1), begins(1, number=2), ends(3, number=3))) == (TARGETED, 0)


def test_a_support_that_began_in_a_tier_keeps_it_though_its_ground_turns_out_never_to_have_been() -> None:
    kept = Calls("----").after(begins(1))
    assert (tier_since(kept), kept.ruling, proposed(kept)) == ((TARGETED, 1), 1, (UNIVERSAL, 0))
    assert tier_since(Calls("----").after(begins(1, UNIVERSAL))) == (UNIVERSAL, 0)


# Overrides


@pytest.mark.parametrize("tier", [UNIVERSAL, TARGETED, INTENSIVE])
def test_an_override_stands_whatever_the_facts_say_through_its_last_day(tier: int) -> None:
    stand = Calls("--ttt").after(overrides(1, tier, 4))
    assert (tier_since(stand), stand.overridden, stand.ruling, stand.beneath) == ((tier, 1), True, 1, TARGETED)


def test_when_an_override_is_over_the_facts_speak_from_the_next_day_of_the_course() -> None:
    stand = Calls("--tttt").after(overrides(1, INTENSIVE, 4))
    assert (tier_since(stand), stand.overridden, stand.ruling) == ((TARGETED, 5), False, 0)
    assert tier_since(Calls("tttt-").after(overrides(1, TARGETED, 2))) == (UNIVERSAL, 4)


def test_an_override_that_is_withdrawn_is_over_that_day() -> None:
    stand = Calls("ttttt").after(overrides(1, UNIVERSAL, 9), withdraws(3, UNIVERSAL))
    assert (tier_since(stand), stand.overridden) == ((TARGETED, 3), False)
    assert tier_since(Calls("tttt").after(overrides(1, UNIVERSAL, 1), withdraws(3, UNIVERSAL))) == (TARGETED, 2)


def test_the_last_of_several_overrides_counts_and_leaves_none_behind() -> None:
    one_and_another = [overrides(1, UNIVERSAL, 8), overrides(2, INTENSIVE, 3, 2)]
    assert tier_since(Calls("tttt").after(*one_and_another)) == (INTENSIVE, 2)
    assert tier_since(Calls("ttttt").after(*one_and_another)) == (TARGETED, 4)


def test_accepting_a_proposal_ends_an_override() -> None:
    stand = Calls("ttii").after(overrides(0, TARGETED, 9), accepts(3, INTENSIVE, 2))
    assert (tier_since(stand), stand.ruling, stand.overridden) == ((INTENSIVE, 3), 2, False)


def test_after_an_override_an_accepted_tier_stands_again_by_the_ruling_that_began_it() -> None:
    stand = Calls("iiii").after(accepts(0), overrides(1, UNIVERSAL, 2, 2))
    assert (tier_since(stand), stand.ruling) == ((INTENSIVE, 3), 1)


def test_an_override_is_asked_about_nothing_but_higher_tiers_on_new_ground() -> None:
    asks = Calls("iii", hows(targeted_entry="proposed"), newest=2)
    assert proposed(asks.after(overrides(1, TARGETED, 9))) == (INTENSIVE, 0)
    assert proposed(asks.after(overrides(1, INTENSIVE, 9))) is None
    assert proposed(asks.after(overrides(2, UNIVERSAL, 9))) is None
    assert proposed(Calls("i--").after(accepts(0), overrides(1, INTENSIVE, 9, 2))) is None


def test_a_ruling_of_before_the_first_day_counts_from_that_day_on() -> None:
    assert tier_since(Calls("ttt").after(overrides(-3, UNIVERSAL, 1))) == (TARGETED, 2)
    assert tier_since(Calls("ttt").after(overrides(-3, UNIVERSAL, 2))) == (UNIVERSAL, 0)


# The same, day by day and slowly


def plainly(text: str, said: Policy, rulings: Sequence[Ruling]) -> tuple[int, int, int]:
    """Tier, since and ruling as a person would find them with a pencil."""
    proposes = {name: getattr(getattr(said, tier), part) == "proposed" for name, tier, part in _PARTS}
    level, by, since, resumed, override, running = UNIVERSAL, 0, 0, -1, None, 0
    for day in range(max(len(text), *(each.day + 1 for each in rulings), 1)):
        before = level
        if day < len(text):
            if override and override.until < day:
                override, resumed = None, day
            level = next_level(level, text[day], proposes if running <= 0 else proposes | _KEPT)
        if level != before:
            since, by = day, 0
        for each in [each for each in rulings if each.day == day]:
            if each.kind == OVERRIDDEN:
                override = each
            elif each.kind in (ACCEPTED, WITHDRAWN) and override:
                override, resumed = None, day
            running += {BEGUN: 1, ENDED: -1}.get(each.kind, 0)
            if each.kind == ACCEPTED or (each.kind == BEGUN and each.tier > level):
                level, since, by = each.tier, day, each.number
    return (override.tier, override.day, override.number) if override else (level, max(since, resumed), by)


def next_level(level: int, letter: str, proposes: dict[str, bool]) -> int:
    targeted, intensive = letter in "ti", letter in "iI"
    if level == INTENSIVE and not intensive and not proposes["leave intensive"]:
        level = TARGETED if targeted or proposes["leave targeted"] else UNIVERSAL
    if level == TARGETED and not targeted and not proposes["leave targeted"]:
        level = UNIVERSAL
    if level == UNIVERSAL and targeted and not proposes["enter targeted"]:
        level = TARGETED
    return level


_PARTS = (
    ("leave intensive", "intensive", "exit"),
    ("leave targeted", "targeted", "exit"),
    ("enter targeted", "targeted", "entry"),
)
_KEPT = {"leave intensive": True, "leave targeted": True}
_HOW = st.sampled_from(["assigned", "proposed"])


@st.composite
def ruled(draw: st.DrawFn) -> list[Ruling]:
    days = sorted(draw(st.lists(st.integers(0, 16), max_size=5)))
    return [
        Ruling(
            number,
            kind := draw(st.integers(0, 5)),
            draw(st.integers(0, 2)),
            day,
            day + draw(st.integers(1, 8)) if kind == OVERRIDDEN else 10**6,
        )
        for number, day in enumerate(days, start=1)
    ]


@settings(max_examples=400)
@given(st.text("-tiI", min_size=1, max_size=14), _HOW, _HOW, _HOW, ruled())
def test_events_alone_lead_where_every_day_leads(
    text: str, entry: str, leaving: str, last: str, rulings: list[Ruling]
) -> None:
    said = hows(targeted_entry=entry, targeted_exit=leaving, intensive_exit=last)
    stand = Calls(text, said).after(*rulings)
    assert (stand.tier, stand.since, stand.ruling) == plainly(text, said, rulings)
    if stand.proposal != NO_PROPOSAL and not stand.overridden:
        assert stand.proposal != stand.tier


@settings(max_examples=200)
@given(st.text("-tiI", min_size=1, max_size=14), _HOW, _HOW, _HOW, ruled())
def test_the_tier_of_each_day_is_the_one_that_stood_at_its_end(
    text: str, entry: str, leaving: str, last: str, rulings: list[Ruling]
) -> None:
    said = hows(targeted_entry=entry, targeted_exit=leaving, intensive_exit=last)
    tiers = tiers_of(Calls(text, said).days(), rulings)
    for day, tier in enumerate(tiers.tolist()):
        known = [each for each in rulings if each.day <= day]
        assert tier == Calls(text[: day + 1], said).after(*known).tier


# Among the facts of a district


def ruling_facts(facts: Facts, *rulings: tuple[int, Ruling]) -> Facts:
    """``facts`` and what people decided, each with the place of the student."""
    rows = [(place, each.number, each.kind, each.tier, each.day, each.until, 0) for place, each in rulings]
    return replace(facts, rulings=Rulings.of(*zip(*rows, strict=True)), authors=("anna",))


def absent_school() -> list[Event]:
    """From day 19 on 3 of 20 days and more are missed: targeted; a low score on day 25 makes it two grounds."""
    school = School(days=school_days(60))
    return [
        school.calendar(),
        school.enrols(),
        *(school.absent(day) for day in (17, 18, 19)),
        school.scores(25, 2.0),
        *school.closes_through(30),
    ]


DAYS = [day_number(day) for day in school_days(60)]


@settings(max_examples=80)
@given(districts(), st.data())
def test_who_nobody_ruled_about_stands_as_the_facts_say(events: list[Event], data: st.DataObject) -> None:
    students = sorted({each.student_id for each in events if hasattr(each, "student_id")}) or [STUDENT]
    facts = facts_of(events, students)
    alone = standing_of(follow(facts, always(USUAL)))
    # A withdrawal of nothing says nothing, but sends every student the long way.
    spoken = ruling_facts(facts, *((place, Ruling(1, WITHDRAWN, 0, DAYS[3])) for place in range(len(students))))
    found = standing_of(follow(spoken, always(USUAL)))
    for student in np.flatnonzero(alone.decided).tolist():
        for name in ("tier", "since", "ruling", "overridden", "beneath", "until", "proposal", "proposal_since"):
            assert getattr(found, name)[student] == getattr(alone, name)[student], name
    assert data is not None


def test_a_proposal_that_was_declined_comes_back_with_a_clause_that_begins_later() -> None:
    facts = facts_of(absent_school(), [STUDENT])
    low = standing_of(follow(facts, always(USUAL)))
    assert (low.proposal.tolist(), low.proposal_since.tolist()) == ([INTENSIVE], [DAYS[25]])
    for day, wanted in ((24, INTENSIVE), (25, NO_PROPOSAL)):
        said = standing_of(follow(ruling_facts(facts, (0, declines(DAYS[day]))), always(USUAL)))
        assert said.proposal.tolist() == [wanted]


def test_targeted_support_that_is_proposed_is_so_for_whom_the_facts_call_for_it() -> None:
    other = named("student", 1)
    school = School(days=school_days(60))
    facts = facts_of([*absent_school(), school.enrols(other)], [STUDENT, other])
    asks = policy_of(changed("tiers/targeted/entry", "proposed"))
    both = standing_of(follow(facts, [*always(USUAL), (DAYS[40], asks)]))
    assert both.tier.tolist() == [TARGETED, UNIVERSAL]
    found = standing_of(follow(facts, [*always(USUAL), (DAYS[5], asks)]))
    assert (found.tier.tolist(), found.proposal.tolist()) == ([UNIVERSAL] * 2, [INTENSIVE, NO_PROPOSAL])
    spoken = ruling_facts(facts, (0, declines(DAYS[28])))
    found = standing_of(follow(spoken, [*always(USUAL), (DAYS[5], asks)]))
    assert found.proposal.tolist() == [TARGETED, NO_PROPOSAL]


def test_what_is_said_names_the_ruling_and_what_lies_beneath_an_override() -> None:
    facts = ruling_facts(facts_of(absent_school(), [STUDENT, named("nobody")]), (0, overrides(DAYS[28], 2, DAYS[40])))
    courses = follow(facts, always(USUAL))
    standing = standing_of(courses)
    said = said_of(standing, 0)
    assert said == Said(Tier.INTENSIVE, day_of(DAYS[28]), 1, overridden=True)
    assert (held_of(standing, 0), held_of(standing, 1)) == (Held(day_of(DAYS[40]), Tier.TARGETED), None)
    assert said_of(standing, 1) == NOTHING
    assert said_before(courses, 0, said.tier, said.since, 1) == said
    assert said_before(courses, 0, said.tier, said.since, 0).overridden is False


def test_at_the_end_of_a_day_later_days_and_later_rulings_say_nothing_yet() -> None:
    facts = ruling_facts(facts_of(absent_school(), [STUDENT]), (0, overrides(DAYS[28], 2, DAYS[40])))

    def said(day: int) -> Said:
        return said_of(standing_of(follow(facts.through(DAYS[day]), always(USUAL))), 0)

    assert said(10) == Said(Tier.UNIVERSAL, day_of(DAYS[0]))
    assert said(27) == Said(Tier.TARGETED, day_of(DAYS[19]))
    assert said(28) == Said(Tier.INTENSIVE, day_of(DAYS[28]), 1, overridden=True)
    assert not facts.through(DAYS[0] - 1).closed.day.size
    assert facts.through(DAYS[0]).closed.day.tolist() == [DAYS[0]]


def test_a_ground_holds_who_decided_what() -> None:
    facts = ruling_facts(facts_of(absent_school(), [STUDENT]), (0, declines(DAYS[28])))
    ground = Grounds(facts).of(0)["rulings"]
    assert ground["count"] == 1
    assert Grounds(replace(facts, authors=("ben",))).of(0)["rulings"] != ground
    other = ruling_facts(facts, (0, accepts(DAYS[28])))
    assert Grounds(other).of(0)["rulings"] != ground


def test_tiers_are_ordered_from_the_least_support_to_the_most() -> None:
    assert TIERS == (Tier.UNIVERSAL, Tier.TARGETED, Tier.INTENSIVE)
    assert RULINGS == ("accepted", "declined", "overridden", "withdrawn", "support_begun", "support_ended", "looked")


# Causes

EARLY, LATE = date(2026, 9, 1), date(2026, 10, 1)


@pytest.mark.parametrize(
    ("last", "now", "cause"),
    [
        (Said(Tier.TARGETED, EARLY), Said(Tier.INTENSIVE, LATE, 1), Cause.ACCEPTED),
        (Said(Tier.INTENSIVE, EARLY, 1), Said(Tier.TARGETED, LATE, 2), Cause.ACCEPTED),
        (Said(Tier.TARGETED, EARLY), Said(Tier.TARGETED, LATE, 1, True), Cause.OVERRIDDEN),
        (Said(Tier.UNIVERSAL, EARLY, 1, True), Said(Tier.INTENSIVE, LATE, 2, True), Cause.OVERRIDDEN),
        (Said(Tier.UNIVERSAL, EARLY, 1, True), Said(Tier.TARGETED, LATE), Cause.RESUMED),
        (Said(Tier.TARGETED, EARLY, 2, True), Said(Tier.TARGETED, LATE, 1), Cause.RESUMED),
        (Said(Tier.INTENSIVE, EARLY, 1), Said(Tier.TARGETED, LATE), Cause.EXITED),
        (Said(Tier.INTENSIVE, EARLY, 1), Said(Tier.INTENSIVE, LATE, 1), Cause.CORRECTED),
        (Said(Tier.UNIVERSAL, EARLY), Said(Tier.INTENSIVE, LATE), Cause.ENTERED),
        (Said(Tier.INTENSIVE, EARLY, 1, True), NOTHING, Cause.CORRECTED),
        (NOTHING, Said(Tier.UNIVERSAL, EARLY, 1, True), Cause.OVERRIDDEN),
        (Said(Tier.TARGETED, EARLY, 1), Said(Tier.TARGETED, EARLY, 1), None),
    ],
)
def test_the_cause_says_that_a_person_decided(last: Said, now: Said, cause: Cause | None) -> None:
    assert cause_of(last, now) == cause
