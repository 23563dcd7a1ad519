"""Several policies, each counting from its day on."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from common.events import Event
from mtss.rules import (
    EVER,
    Courses,
    InForce,
    Policies,
    Step,
    always,
    course_of,
    day_number,
    day_of,
    follow,
    policy_of,
    since_ever,
    standing_of,
)
from tests.mtss.made_up import FIRST, STUDENT, School, districts, facts_of, named, school_days
from tests.mtss.test_rules_policy import ATTENDANCE, ENTRY, TEXT, changed, number

USUAL = policy_of(json.loads(TEXT))
EARLIER = policy_of(changed(f"{ENTRY}/value", 8.5) | {"version": "earlier"})
OTHER = policy_of(
    changed("schools", {school: {ENTRY.replace("/", "."): number(30)} for school in ("A", "100")})
    | {"version": "other", "exempt_grades": ["Preschool"]}
)
DAYS = st.integers(day_number(FIRST) - 10, day_number(FIRST) + 120)


def courses(events: Sequence[Event], policies: Policies) -> Courses:
    students = sorted({event.student_id for event in events if hasattr(event, "student_id")}) or [STUDENT]
    return follow(facts_of(events, students), policies)


def columns(found: Courses) -> list[Any]:
    return [found.targeted, found.candidate]


@settings(max_examples=60)
@given(districts(), DAYS, DAYS)
def test_policies_that_say_the_same_change_nothing(events: list[Event], first: int, second: int) -> None:
    one = courses(events, always(USUAL))
    several = courses(events, [(EVER, USUAL), *sorted([(first, USUAL), (second, USUAL)], key=lambda each: each[0])])
    for was, now in zip(columns(one), columns(several), strict=True):
        assert np.array_equal(was, now)


@settings(max_examples=60)
@given(districts(), DAYS, st.sampled_from([EARLIER, OTHER]))
def test_each_day_is_what_its_own_policy_says(events: list[Event], first: int, policy: Any) -> None:
    before, after = courses(events, always(USUAL)), courses(events, always(policy))
    both = courses(events, [(EVER, USUAL), (first, policy)])
    begun = both.timeline.days >= first
    for was, new, now in zip(columns(before), columns(after), columns(both), strict=True):
        assert np.array_equal(now, np.where(begun[:, None], new, was))
    assert both.policy is (policy if begun.any() else USUAL)
    for student in range(both.targeted.shape[1]):
        mine = both.timeline.days[both.timeline.on_course[:, student]]
        assert both.as_of(student).policy is (policy if len(mine) and mine[-1] >= first else USUAL)


def test_the_later_of_three_counts_from_its_day_on() -> None:
    school = School(days=school_days(40))
    said = [school.calendar(), school.enrols(), *school.closes_through(40), school.absent(0), school.absent(1)]
    days = [day_number(day) for day in school.days]
    facts = facts_of(said, [STUDENT])
    # 2 of 20 days is 10 percent, 2 of 23 is over 8.5; under 30 percent nobody is considered.
    found = follow(facts, [(EVER, OTHER), (days[21], EARLIER), (days[30], OTHER)])
    assert np.flatnonzero(found.targeted[:, 0]).tolist() == list(range(21, 30))


def test_who_is_targeted_under_both_keeps_the_day_it_began() -> None:
    school, other = School(days=school_days(40)), named("student", 1)
    said = [school.calendar(), school.enrols(), school.enrols(other), *school.closes_through(40)]
    said += [school.absent(0), school.absent(1), school.absent(20, other), school.absent(21, other)]
    facts = facts_of(said, [STUDENT, other])
    standing = standing_of(follow(facts, [(EVER, USUAL), (day_number(school.days[30]), EARLIER)]))
    assert standing.since.tolist() == [day_number(school.days[19]), day_number(school.days[30])]
    assert standing.tier.tolist() == [1, 1]
    assert standing.through.tolist() == [day_number(school.days[39])] * 2


def test_the_words_are_those_that_count_for_the_student() -> None:
    variant = {"name": "ninth", "grades": ["Ninth grade"], "changes": {ENTRY.replace("/", "."): number(12)}}
    policy = policy_of(changed("variants", [variant]))
    school, other = School(days=school_days(30)), named("student", 1)
    said = [school.calendar(), school.enrols(grade="Ninth grade"), school.enrols(other), *school.closes_through(30)]
    facts = facts_of(said, [STUDENT, other])
    found = follow(facts, always(policy))
    words = [course_of(facts, found, place).clauses()[0].what_would_change_it for place in (0, 1)]
    assert ["12 percent" in words[0], "10 percent" in words[1]] == [True, True]


def test_a_share_that_has_no_exit_is_said_so() -> None:
    policy = policy_of(changed(f"{ATTENDANCE}/exit", ...))
    school = School(days=school_days(20))
    facts = facts_of(
        [school.calendar(), school.enrols(), *school.closes_through(20), school.absent(0), school.absent(1)], [STUDENT]
    )
    clause = course_of(facts, follow(facts, always(policy)), 0).clauses()[0]
    assert clause.what_would_change_it == "This ends once less than 10 percent of these days were missed."
    assert "days_in_a_row_below_exit" not in clause.evidence


# Which policy counts, after several adoptions


def test_a_later_adoption_replaces_every_other_from_its_first_day_on() -> None:
    steps = since_ever(USUAL).steps
    in_force = InForce((*steps, Step(1, 100, EARLIER), Step(2, 200, OTHER), Step(3, 150, USUAL)))
    assert [(each.number, each.first_day) for each in in_force.counting()] == [(0, EVER), (1, 100), (3, 150)]
    assert [(each.number, each.first_day) for each in in_force.until(2).counting()] == [(0, EVER), (1, 100), (2, 200)]
    assert [policy.version for _, policy in in_force.until(1).policies()] == ["default-1", "earlier"]
    assert in_force.reached(np.array([0, 99, 100, 149, 150, 300], np.int32)).tolist() == [0, 0, 1, 1, 3, 3]
    assert [in_force.on(day).number for day in (99, 100, 250)] == [0, 1, 3]
    assert (in_force.number, len(in_force.every)) == (3, 4)
    assert [each.began_on for each in in_force.counting()] == [None, day_of(100), day_of(150)]


def test_to_revert_twice_takes_back_the_policy_before_and_not_the_same_again() -> None:
    in_force = since_ever(USUAL).after(EARLIER, 100).after(OTHER, 200)
    once = reverted(in_force)
    assert counting(once) == [("default-1", EVER), ("earlier", 100), ("earlier", 200)]
    twice = reverted(once)
    assert counting(twice) == [("default-1", EVER), ("default-1", 100)]
    assert twice.taken_back() is None
    assert since_ever(USUAL).taken_back() is None
    assert (in_force.on(250).number, once.on(250).number, twice.on(250).number) == (2, 3, 4)


def test_to_revert_lets_all_that_the_policy_had_replaced_count_again_each_from_its_own_day() -> None:
    """The later policy began earlier: it had replaced the one before altogether."""
    in_force = since_ever(USUAL).after(EARLIER, 140).after(OTHER, 130)
    assert counting(in_force) == [("default-1", EVER), ("other", 130)]
    once = reverted(in_force)
    assert counting(once) == [("default-1", EVER), ("default-1", 130), ("earlier", 140)]
    assert [once.on(day).number for day in (129, 135, 145)] == [0, 3, 3]
    assert counting(reverted(once)) == [("default-1", EVER), ("default-1", 130), ("default-1", 140)]
    # What counts before it had replaced nothing else: a policy adopted again is taken back whole.
    again = since_ever(USUAL).after(OTHER, 100).after(OTHER, 200)
    assert counting(reverted(again)) == [("default-1", EVER), ("default-1", 100)]
    # The default one adopted from an earlier day takes back like any other.
    early = since_ever(USUAL).after(OTHER, 100).after(USUAL, 50)
    assert counting(reverted(early)) == [("default-1", EVER), ("default-1", 50), ("other", 100)]


def reverted(in_force: InForce) -> InForce:
    began = in_force.taken_back()
    assert began is not None
    return in_force.without(began.origin, began.first_day)


def counting(in_force: InForce) -> list[tuple[str, int]]:
    return [(each.policy.version, each.first_day) for each in in_force.counting()]


def test_a_policy_and_its_clauses_are_known_after_it_was_replaced() -> None:
    in_force = since_ever(USUAL).after(OTHER, 10).after(USUAL, 10)
    assert in_force.named("other") is OTHER
    assert in_force.named("none") is None
    assert in_force.signals_of("referrals") == {"referrals"}
    assert in_force.signals_of("none") == frozenset()
