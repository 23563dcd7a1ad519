"""Whom a rehearsed policy reaches, by group."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from common.events import Event
from mtss.rules.policy.document import Policy
from mtss.rules.policy.reading import policy_of
from mtss.rules.rehearsal.recorded import district_of
from mtss.rules.rehearsal.report import Asked, rehearse
from mtss.rules.rehearsal.who import NOT_SAID, OTHER, groups_of
from tests.mtss.made_up import School, facts_of, named, policy
from tests.mtss.test_rules_rehearsal import COMPARISON

STUDENTS = [named("student", number) for number in range(120)]
DAYS = 60


def _events(missing: Mapping[int, Sequence[int]]) -> list[Event]:
    """All of one school but the last fifty; by the place of a student the days that they missed."""
    one, other = School("A"), School("B")
    events: list[Event] = []
    for at in (one, other):
        events += [at.calendar(), *at.closes_through(DAYS)]
    events += [(one if place < 70 else other).enrols(each) for place, each in enumerate(STUDENTS)]
    events += [
        (one if place < 70 else other).absent(day, STUDENTS[place]) for place, days in missing.items() for day in days
    ]
    return events


def _who(missing: Mapping[int, Sequence[int]], said: Sequence[str | None], against: Policy | None = None) -> Any:
    asked = Asked(policy(), against or policy(), replace(COMPARISON, steps_each_way=0))
    district = district_of(facts_of(_events(missing), STUDENTS), asked.policies)
    return rehearse(district, asked, lambda: None, groups={"race": groups_of(said)})["who"]


def _of(lines: Sequence[dict[str, Any]], group: str) -> dict[str, Any]:
    (found,) = [line for line in lines if line["group"] == group]
    return found


# Three of twenty days, and one of the first twenty-two; who misses no more leaves again on day 56.
EARLY, LATER = (0, 1, 2), (0, 20, 21, 22, 23)


def test_a_group_twice_as_likely_to_enter_has_the_ratio_two_and_waits_as_long_as_it_waits() -> None:
    said = ["black"] * 60 + ["white"] * 60
    missing: dict[int, Sequence[int]] = dict.fromkeys(range(24), EARLY) | dict.fromkeys(range(60, 72), LATER)

    lines = _who(missing, said)["policy"]["race"]

    black, white = _of(lines, "black"), _of(lines, "white")
    assert (black["students"], black["entered"]["count"], white["entered"]["count"]) == (60, 24, 12)
    assert black["entered"]["against_all_others"]["ratio"] == 2
    assert white["entered"]["against_all_others"]["ratio"] == 0.5
    assert black["school_days_until_decided"] == [19, 19, 19]
    assert white["school_days_until_decided"][1] > 19


def test_who_leaves_again_is_told_of_those_who_entered() -> None:
    said = ["black"] * 60 + ["white"] * 60
    stays = range(0, DAYS, 4)
    missing: dict[int, Sequence[int]] = dict.fromkeys(range(15), EARLY) | dict.fromkeys(range(15, 30), stays)
    missing |= dict.fromkeys(range(60, 75), EARLY) | dict.fromkeys(range(75, 90), stays)

    lines = _who(missing, said)["policy"]["race"]

    assert [_of(lines, group)["left"]["count"] for group in ("black", "white")] == [15, 15]
    assert _of(lines, "black")["left"]["against_all_others"]["ratio"] == 1


def test_the_school_is_a_group_and_where_none_is_said_that_is_one_too() -> None:
    said = ["black"] * 60 + [None] * 60
    missing: dict[int, Sequence[int]] = dict.fromkeys([*range(20), *range(70, 90)], EARLY)

    found = _who(missing, said)["policy"]

    assert {line["group"]: line["students"] for line in found["school"]} == {"A": 70, "B": 50}
    assert _of(found["race"], NOT_SAID)["entered"]["count"] == 20


def test_of_a_small_group_nothing_is_told_and_it_cannot_be_had_from_the_others() -> None:
    said = ["asian"] * 5 + ["black"] * 55 + ["white"] * 60
    missing: dict[int, Sequence[int]] = dict.fromkeys([0, *range(5, 25), *range(60, 85)], EARLY)

    lines = _who(missing, said)["policy"]["race"]

    nothing = {"students": None, "entered": None, "left": None, "school_days_until_decided": None}
    assert _of(lines, "asian") == {"group": "asian"} | nothing
    assert _of(lines, "black") == {"group": "black"} | nothing
    assert _of(lines, "white")["entered"]["count"] == 25


def test_of_two_policies_that_differ_in_few_students_only_one_is_told_of() -> None:
    said = ["black"] * 60 + ["white"] * 60
    missing: dict[int, Sequence[int]] = dict.fromkeys([*range(20), *range(60, 80)], EARLY)
    document = copy.deepcopy(dict(policy().document))
    document["clauses"]["attendance"]["entry"]["at_least"]["value"] = 11

    assert _who(missing, said, policy_of(document))["against"] is not None
    assert _who(missing | {20: (0, 1)}, said, policy_of(document))["against"] is None


def test_small_groups_of_an_open_list_are_one() -> None:
    found = groups_of(["es", "es", "es", "vi", "so", None], least=3)

    assert found.names == ("es", OTHER)
    assert np.array_equal(found.of, [0, 0, 0, 1, 1, -1])
