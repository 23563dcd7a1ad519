"""What a month's decisions came to by group: what is told, and which ratios call for a person."""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, fields
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtss.rules.equity import Minimum
from mtss.rules.monthly import MEASURES, Month, Report, by_group, inequities, low_levels
from mtss.rules.policy.reading import read_policy
from mtss.rules.rehearsal.who import Groups, groups_of
from tests.mtss.made_up import policy

LEAST = Minimum(cell=10, students=30)


def month(students: int, **flags: Sequence[int]) -> Month:
    """Everybody is there; what is named happened to the first so many of each range of places."""
    found: dict[str, Any] = {each.name: np.zeros(students, np.bool_) for each in fields(Month)}
    found["there"][:] = True
    found["between"] = np.arange(students, dtype=np.int32)
    for name, places in flags.items():
        found[name][list(places)] = True
    return Month(**found)


def lines(found: Report, measure: str, kind: str = "race") -> Mapping[str, Any]:
    return {line["group"]: line["told"] for line in found[measure][kind]}


TWO = {"race": groups_of(["asian"] * 40 + ["white"] * 40)}
MANY = {"race": groups_of(["asian"] * 80 + ["white"] * 80)}
UNEVEN = (*range(24), *range(40, 50))


def test_each_group_is_told_with_its_share_and_how_many_times_as_likely_it_is() -> None:
    found = by_group(month(80, entered=UNEVEN), TWO, LEAST)
    asian = lines(found, "entered")["asian"]
    assert (asian["count"], asian["of"], asian["share"]) == (24, 40, 0.6)
    assert round(asian["against_all_others"]["ratio"], 6) == 2.4
    assert lines(found, "left") == {"asian": None, "white": None}  # nobody was supported


def test_who_left_is_a_part_of_who_was_supported() -> None:
    supported, left = range(80), (*range(12), *range(40, 60))
    found = by_group(month(80, supported=supported, left=left), TWO, LEAST)
    assert [each["of"] for each in lines(found, "left").values()] == [40, 40]


def named(of: Month, groups: Mapping[str, Groups], threshold: float = 2.0) -> list[tuple[str, str, str, bool]]:
    """The measure, group and side of each, and whether its number is told."""
    return [
        (each.measure, each.group, each.side, bool(each.ratio)) for each in inequities(of, groups, threshold, LEAST)
    ]


def of_each(*counts: int, of: int = 200) -> list[int]:
    """So many of each group, one group after the other."""
    return [place * of + each for place, count in enumerate(counts) for each in range(count)]


def test_who_is_served_is_told_as_a_part_of_who_is_supported_and_a_group_that_is_not_calls_for_a_person() -> None:
    some = month(160, supported=range(160), served=(*range(60), *range(80, 100)))
    told = lines(by_group(some, MANY, LEAST), "served").values()
    assert [(each["count"], each["of"]) for each in told] == [(60, 80), (20, 80)]
    assert named(some, MANY) == [("served", "white", "less", True)]


@pytest.mark.parametrize(
    ("served", "told"),
    [((190, 30, 90), True), ((150, 0, 160), False), ((100, 9, 30), False)],
)
def test_the_group_that_is_not_served_is_named_among_many_and_without_a_number_where_hardly_anybody_is(
    served: Sequence[int], told: bool
) -> None:
    groups = {"race": groups_of([*["asian"] * 200, *["black"] * 200, *["white"] * 200])}
    some = month(600, supported=range(600), served=of_each(*served))
    assert named(some, groups) == [("served", "black", "less", told)]


def test_a_group_that_feels_less_connected_calls_for_a_person_and_one_that_feels_more_so_does_not() -> None:
    groups = {"race": groups_of([*["asian"] * 200, *["black"] * 200, *["white"] * 200])}
    some = month(600, answered=range(600), disconnected=of_each(60, 10, 30))
    assert named(some, groups) == [("disconnected", "asian", "more", True)]


def test_groups_are_compared_by_the_highest_level_of_a_subscale_that_a_clause_listens_to() -> None:
    assert low_levels(policy()) == {"adult_support": Decimal("2.5")}
    document: Any = json.loads(json.dumps(policy().document))
    for name, level in (("lower", 2), ("higher", 3)):
        document["clauses"][name] = deepcopy(document["clauses"]["adult_support"])
        document["clauses"][name]["entry"]["at_most"]["value"] = level
    assert low_levels(read_policy(json.dumps(document))) == {"adult_support": Decimal(3)}


def test_a_group_of_whom_everybody_waits_is_named_without_a_number() -> None:
    some = month(160, entered=range(160), waited=(*range(80), *range(80, 90)))
    assert named(some, MANY) == [("waited", "asian", "more", False)]


def test_where_it_happened_to_too_few_of_all_or_a_group_is_small_nobody_is_named() -> None:
    assert named(month(160, entered=range(9)), MANY) == []
    assert named(month(160, supported=(*range(29), *range(80, 160)), served=range(80, 160)), MANY) == []


def test_a_measure_that_harms_on_either_side_names_both_ends_and_of_two_groups_the_likelier() -> None:
    groups = {"race": groups_of([*["asian"] * 200, *["black"] * 200, *["white"] * 200])}
    both = [("entered", "asian", "more", True), ("entered", "black", "less", True)]
    assert named(month(600, entered=of_each(180, 20, 60)), groups) == both
    assert named(month(80, entered=UNEVEN), TWO) == [("entered", "asian", "more", True)]
    some = {"race": groups_of(["asian"] * 80 + [None] * 80)}
    assert named(month(160, entered=of_each(20, 60, of=80)), some) == [("entered", "asian", "less", True)]


def test_how_soon_is_told_of_a_group_only_if_how_many_entered_is() -> None:
    everybody, late = range(40), range(15)
    groups = {"race": groups_of(["asian"] * 40 + ["white"] * 40)}
    found = by_group(month(80, entered=everybody, waited=late), groups, LEAST)
    assert lines(found, "entered") == lines(found, "waited") == {"asian": None, "white": None}
    both = month(160, entered=(*range(40), *range(80, 120)), waited=(*range(15), *range(80, 105)))
    found = by_group(both, {"race": groups_of((["asian"] * 80) + ["white"] * 80)}, LEAST)
    assert [each["count"] for each in lines(found, "waited").values()] == [15, 25]


def test_how_long_a_decision_took_is_told_as_quartiles_of_those_who_entered() -> None:
    asian, white = lines(by_group(month(80, entered=UNEVEN), TWO, LEAST), "entered").values()
    assert (asian["school_days_until_decided"], white["school_days_until_decided"]) == ([5, 11, 17], [42, 44, 47])
    untold = by_group(month(80, entered=range(9)), TWO, LEAST)
    assert lines(untold, "entered") == {"asian": None, "white": None}
    assert "school_days_until_decided" not in str(untold["waited"])


def test_a_ratio_at_the_threshold_calls_for_a_person_and_one_that_may_be_chance_does_not() -> None:
    some = month(80, entered=UNEVEN)
    (one,) = inequities(some, TWO, 2.4, LEAST)
    assert (one.measure, one.kind, one.group, one.ratio and round(one.ratio.ratio, 6)) == (
        "entered",
        "race",
        "asian",
        2.4,
    )
    assert inequities(some, TWO, 2.5, LEAST) == []
    chance = month(80, entered=(*range(16), *range(40, 50)))
    assert round(lines(by_group(chance, TWO, LEAST), "entered")["asian"]["against_all_others"]["ratio"], 6) == 1.6
    assert inequities(chance, TWO, 1.5, LEAST) == []


def test_schools_and_those_of_whom_nothing_is_said_are_not_named() -> None:
    some = month(160, entered=of_each(60, 20, of=80))
    assert named(some, {"school": groups_of(["north"] * 80 + ["south"] * 80)}) == []
    assert named(some, {"language": groups_of(["other"] * 80 + [None] * 80)}) == []


_HAPPENED = fields(Month)[1:-1]
_student = st.tuples(
    st.sampled_from(["asian", "black", "white", None]),
    st.lists(st.booleans(), min_size=len(_HAPPENED), max_size=len(_HAPPENED)),
)


@given(st.lists(_student, max_size=200))
def test_nothing_is_told_below_the_minimum_and_of_no_part_whose_whole_is_untold(students: Any) -> None:
    least = Minimum(cell=2, students=5)
    flags: dict[str, Any] = {"there": np.ones(len(students), np.bool_)}
    flags["between"] = np.zeros(len(students), np.int32)
    for place, each in enumerate(_HAPPENED):
        flags[each.name] = np.array([happened[place] for _, happened in students], np.bool_)
    flags["waited"] &= flags["entered"]
    flags["left"] &= flags["supported"]
    flags["served"] &= flags["supported"]
    flags["help_late"] &= flags["help_due"]
    flags["disconnected"] &= flags["answered"]
    of, groups = Month(**flags), {"race": groups_of(race for race, _ in students)}
    found = by_group(of, groups, least)
    for measure in MEASURES:
        told = {group: each for group, each in lines(found, measure).items() if each}
        assert all(least.allows(each["count"], each["of"]) for each in told.values())
        assert measure != "waited" or told.keys() <= {g for g, each in lines(found, "entered").items() if each}
    for harmed in inequities(of, groups, 2.0, least):
        assert harmed.side in MEASURES[harmed.measure].harms
        line = lines(found, harmed.measure)[harmed.group]
        assert harmed.ratio is None or asdict(harmed.ratio) == line["against_all_others"]
