"""What a month's decisions came to by group: what is told, and which ratios call for a person."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mtss.rules.equity import Minimum
from mtss.rules.monthly import MEASURES, Month, Report, by_group, inequities
from mtss.rules.rehearsal.who import groups_of

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


def test_who_is_served_is_told_as_a_part_of_who_is_supported_and_a_group_that_is_not_calls_for_a_person() -> None:
    found = by_group(month(160, supported=range(160), served=(*range(60), *range(80, 100))), MANY, LEAST)
    assert [(each["count"], each["of"]) for each in lines(found, "served").values()] == [(60, 80), (20, 80)]
    assert [(each.measure, each.group) for each in inequities(found, 2.0)] == [("served", "asian")]


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
    found = by_group(month(80, entered=UNEVEN), TWO, LEAST)
    (one,) = inequities(found, 2.4)
    assert (one.measure, one.kind, one.group, round(one.ratio, 6), one.low > 1) == (
        "entered",
        "race",
        "asian",
        2.4,
        True,
    )
    assert inequities(found, 2.5) == []
    chance = by_group(month(80, entered=(*range(16), *range(40, 50))), TWO, LEAST)
    assert round(lines(chance, "entered")["asian"]["against_all_others"]["ratio"], 6) == 1.6
    assert inequities(chance, 1.5) == []


def _line(group: str, ratio: float, low: float, high: float) -> Mapping[str, Any]:
    return {"group": group, "told": {"against_all_others": {"ratio": ratio, "low": low, "high": high}}}


def named(kind: str, *said: Mapping[str, Any]) -> list[str]:
    return [each.group for each in inequities({"entered": {kind: said}}, 2.0)]


def test_who_is_less_likely_is_named_where_nobody_is_more_likely() -> None:
    less, more = _line("asian", 0.5, 0.3, 0.9), _line("white", 2.0, 1.1, 3.0)
    assert named("race", less) == ["asian"]
    assert named("race", less, more) == ["white"]
    assert named("race", _line("asian", 0.5, 0.3, 1.0), _line("white", 2.0, 1.0, 3.0)) == []


def test_schools_and_those_of_whom_nothing_is_said_are_not_named() -> None:
    assert named("school", _line("north", 3.0, 2.0, 4.0)) == []
    assert named("language", *(_line(group, 3.0, 2.0, 4.0) for group in ("not_said", "other"))) == []
    untold: list[Mapping[str, Any]] = [
        {"group": "asian", "told": None},
        {"group": "white", "told": {"against_all_others": None}},
    ]
    assert named("race", *untold) == []


_student = st.tuples(
    st.sampled_from(["asian", "black", "white", None]), st.lists(st.booleans(), min_size=8, max_size=8)
)


@given(st.lists(_student, max_size=200))
def test_nothing_is_told_below_the_minimum_and_of_no_part_whose_whole_is_untold(students: Any) -> None:
    least = Minimum(cell=2, students=5)
    flags: dict[str, Any] = {"there": np.ones(len(students), np.bool_)}
    flags["between"] = np.zeros(len(students), np.int32)
    for place, each in enumerate(fields(Month)[1:-1]):
        flags[each.name] = np.array([happened[place] for _, happened in students], np.bool_)
    flags["waited"] &= flags["entered"]
    flags["left"] &= flags["supported"]
    flags["served"] &= flags["supported"]
    flags["help_late"] &= flags["help_due"]
    found = by_group(Month(**flags), {"race": groups_of(race for race, _ in students)}, least)
    for measure in MEASURES:
        told = {group: each for group, each in lines(found, measure).items() if each}
        assert all(least.allows(each["count"], each["of"]) for each in told.values())
        assert measure != "waited" or told.keys() <= {g for g, each in lines(found, "entered").items() if each}
