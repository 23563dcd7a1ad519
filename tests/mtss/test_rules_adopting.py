"""Whom an adoption changes, and by which clauses."""

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from common.events import Event, Tier
from mtss.rules import (
    Policies,
    Policy,
    always,
    day_number,
    follow,
    policy_of,
    standing_of,
    what_changes,
    what_changes_by,
)
from tests.mtss.made_up import STUDENT, School, districts, facts_of, named, school_days
from tests.mtss.test_rules_policy import ENTRY, TEXT, changed

USUAL = policy_of(json.loads(TEXT))
LOWER = policy_of(changed(f"{ENTRY}/value", 8.5))
SCHOOL, OTHER = School(days=school_days(40)), named("student", 1)
DAYS = [day_number(day) for day in SCHOOL.days]
BEGUN = [SCHOOL.calendar(), SCHOOL.enrols(), SCHOOL.enrols(OTHER), *SCHOOL.closes_through(24)]


def among(events: list[Event], was: Policy, will: Policy) -> list[dict[str, Any]]:
    facts = facts_of(events, [STUDENT, OTHER])
    return [asdict(each) for each in what_changes(follow(facts, always(was)), follow(facts, always(will)))]


def test_who_enters_is_named_with_the_clause_that_would_stand() -> None:
    said = [*BEGUN, SCHOOL.absent(21), SCHOOL.absent(22)]
    began, since = (SCHOOL.days[day] for day in (19, 22))
    (there,), (back,) = among(said, USUAL, LOWER), among(said, LOWER, USUAL)
    assert there["student"] == 0
    assert (there["what"], there["tier_before"], there["tier_after"]) == (
        ("universal_to_targeted",),
        Tier.UNIVERSAL,
        Tier.TARGETED,
    )
    assert (there["since_before"], there["since_after"], there["begins"]) == (SCHOOL.days[0], since, ("attendance",))
    assert (back["what"], back["begins"], back["ends"]) == (("targeted_to_universal",), (), ("attendance",))
    assert began < since


def test_a_tier_that_only_began_on_another_day_is_moved_by_no_clause() -> None:
    (found,) = among([*BEGUN, *(SCHOOL.absent(day) for day in (20, 21, 22))], USUAL, LOWER)
    assert (found["what"], found["begins"], found["ends"]) == (("moved",), (), ())
    assert (found["since_before"], found["since_after"]) == (SCHOOL.days[22], SCHOOL.days[21])


def test_what_is_put_before_a_person_changes_too() -> None:
    said = [*BEGUN, *(SCHOOL.absent(day) for day in (18, 19, 20, 21))]
    lower = policy_of(changed("clauses/severe_attendance/entry/at_least/value", 15))
    (there,), (back,) = among(said, USUAL, lower), among(said, lower, USUAL)
    assert (there["what"], there["begins"]) == (("proposed",), ("severe_attendance",))
    assert (back["what"], back["ends"]) == (("no_longer_proposed",), ("severe_attendance",))


@settings(max_examples=40)
@given(districts())
def test_exactly_those_are_named_who_stand_otherwise(events: list[Event]) -> None:
    students = sorted({event.student_id for event in events if hasattr(event, "student_id")}) or [STUDENT]
    facts = facts_of(events, students)
    now, then = follow(facts, always(USUAL)), follow(facts, always(LOWER))
    was, will = standing_of(now), standing_of(then)
    stands = [list(zip(of.tier, of.since, of.proposal, strict=True)) for of in (was, will)]
    differ = [place for place, (one, other) in enumerate(zip(*stands, strict=True)) if one != other]
    assert [each.student for each in what_changes(now, then)] == differ
    assert what_changes(now, now) == []
    for each in what_changes(now, then):
        assert day_number(each.since_after) == will.since[each.student]


@settings(max_examples=40)
@given(districts(), st.integers(0, 400))
def test_of_many_schools_that_closed_on_different_days_is_said_what_is_said_of_each_student_alone(
    events: list[Event], after: int
) -> None:
    students = sorted({event.student_id for event in events if hasattr(event, "student_id")}) or [STUDENT]
    facts, first_on = facts_of(events, students), min(DAYS) + after
    asked: list[int] = []

    def then(first_day: int) -> Policies:
        asked.append(first_day)
        return [*always(USUAL), (first_day, LOWER)]

    decided, found = what_changes_by(facts, always(USUAL), then, first_on)
    each_alone = [
        what_changes_by(facts.of_those(np.array([place], np.int32)), always(USUAL), then, first_on)
        for place in range(len(students))
    ]
    assert decided == sum(count for count, _ in each_alone)
    assert [replace(each, student=0) for each in found] == [each for _, changed in each_alone for each in changed]
    assert [each.student for each in found] == [place for place, (_, changed) in enumerate(each_alone) if changed]
    assert all(day <= first_on for day in asked)
