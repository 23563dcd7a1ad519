"""Requests for help as a signal that a policy may hear."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from common.events import Event
from mtss.rules import Facts, Grounds, HelpRequests, always, course_of, day_number, day_of, follow, policy_of
from mtss.rules.coming import Least, what_may_change
from mtss.rules.policy.checking import check
from tests.mtss.made_up import FIRST, STUDENT, School, districts, facts_of, school_days
from tests.mtss.test_rules_kernel import check_against_closed_form, rehearsed, students_of
from tests.mtss.test_rules_policy import TEXT, number


def hears(entry: int = 2, window: int = 14) -> dict[str, Any]:
    """The default policy, and targeted support after so many requests within so many days."""
    document: dict[str, Any] = json.loads(TEXT) | {"version": "hears-1"}
    document["clauses"]["asked"] = {
        "signal": "help_requested",
        "window_days": number(window),
        "entry": {"at_least": number(entry)},
        "when_unknown": "hold",
    }
    document["tiers"]["targeted"]["when"]["any"].append("asked")
    return document


def with_requests(facts: Facts, *asked: tuple[int, int]) -> Facts:
    """``facts`` and requests, each with the place of the student and the day."""
    return replace(facts, help_requests=HelpRequests.of(*zip(*asked, strict=True)) if asked else facts.help_requests)


DAYS = [day_number(day) for day in school_days(60)]


def facts() -> Facts:
    school = School(days=school_days(60))
    return facts_of([school.calendar(), school.enrols(), *school.closes_through(30)], [STUDENT])


def test_a_policy_that_hears_requests_is_in_order() -> None:
    assert check(hears()) == ()


def test_enough_requests_stand_until_they_are_longer_ago() -> None:
    asked = with_requests(facts(), (0, DAYS[3]), (0, DAYS[5]))
    courses = follow(asked, always(policy_of(hears(window=10))))
    # From the second on, and as long as the first is among the last ten calendar days.
    assert np.flatnonzero(courses.targeted[:, 0]).tolist() == list(range(5, 10))
    words = [course_of(asked, courses, 0).clauses(day)[-1] for day in (4, 5)]
    assert [each.clause for each in words] == ["asked", "asked"]
    assert [each.holds for each in words] == [False, True]
    assert words[0].in_words == "Fewer than 2 requests for help in 10 days: 1, counted through August 23, 2024."
    assert words[0].what_would_change_it == "Extra support begins after 2 requests for help in 10 days."
    assert words[1].what_would_change_it == "This ends once they are longer ago."


def test_requests_are_part_of_the_ground() -> None:
    assert Grounds(facts()).of(0)["help_requests"]["count"] == 0
    one, other = (Grounds(with_requests(facts(), (0, day))).of(0)["help_requests"] for day in (DAYS[3], DAYS[4]))
    assert (one["count"], one == other) == (1, False)


@settings(max_examples=40)
@given(districts(students=3), st.data(), st.integers(1, 3), st.sampled_from([1, 7, 30]))
def test_a_rehearsal_says_what_the_closed_form_says(
    events: Sequence[Event], data: st.DataObject, entry: int, window: int
) -> None:
    students = students_of(events)
    drawn = st.tuples(st.integers(0, len(students) - 1), st.integers(0, 60).map(lambda day: day + day_number(FIRST)))
    known = with_requests(facts_of(events, students), *data.draw(st.lists(drawn, max_size=8)))
    policy = policy_of(hears(entry, window))
    check_against_closed_form(known, policy, rehearsed(known, policy))


def test_what_would_change_it_is_as_many_requests_as_are_missing() -> None:
    policy = always(policy_of(hears(entry=3)))
    asked = with_requests(facts(), (0, DAYS[25]))
    change = what_may_change(asked, follow(asked, policy), policy, [0])[0]["asked"]
    two = Least(2, day_of(DAYS[30]))
    assert (change.by, change.clause, change.tier) == ("help_requests", two, two)
    enough = with_requests(facts(), *((0, DAYS[28]) for _ in range(3)))
    passing = what_may_change(enough, follow(enough, policy), policy, [0])[0]["asked"]
    assert (passing.by, passing.clause and passing.clause.on) == ("school_days", day_of(DAYS[28] + 14))
