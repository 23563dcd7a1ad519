"""Ratios of whole groups: what can be calculated, what may be told, and that nobody can be had from what is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats.contingency import relative_risk

from common.policies import policy_of
from mtss.rules.equity import Minimum, read_minimum, risk_ratio, told, untold_ratio

LEAST = Minimum(10, 30)


def test_the_minimum_is_that_of_the_regulation() -> None:
    assert read_minimum(policy_of("mtss")["groups"]) == LEAST


@pytest.mark.parametrize(
    ("count", "of", "others", "of_others"), [(10, 30, 10, 30), (40, 120, 90, 880), (300, 301, 12, 30)]
)
def test_a_ratio_and_its_interval_are_those_of_the_textbook(count: int, of: int, others: int, of_others: int) -> None:
    theirs = relative_risk(count, of, others, of_others)

    ours = risk_ratio(count, of, count + others, of + of_others, LEAST)

    assert ours is not None
    assert ours.ratio == pytest.approx(theirs.relative_risk)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))


@pytest.mark.parametrize(
    ("count", "of", "others", "of_others"), [(9, 30, 10, 30), (10, 29, 10, 30), (10, 30, 9, 30), (10, 30, 10, 29)]
)
def test_below_any_minimum_a_ratio_is_not_calculable(count: int, of: int, others: int, of_others: int) -> None:
    assert risk_ratio(count, of, count + others, of + of_others, LEAST) is None


def test_that_it_happened_to_nobody_of_a_group_is_compared_from_the_smallest_group_on() -> None:
    assert untold_ratio(0, 30, 10, 60, LEAST) is not None
    for count, of, others, of_others in ((0, 29, 10, 30), (0, 30, 10, 29), (0, 30, 9, 30)):
        assert untold_ratio(count, of, count + others, of + of_others, LEAST) is None


def test_large_groups_are_all_told() -> None:
    assert told([20, 30], [100, 100], LEAST) == [True, True]


def test_one_small_group_takes_the_next_smallest_with_it() -> None:
    assert told([2, 40, 15], [20, 400, 50], LEAST) == [False, True, False]


def test_small_groups_that_are_large_together_are_enough() -> None:
    assert told([6, 7, 40], [20, 25, 400], LEAST) == [False, False, True]


def test_that_all_or_none_of_a_group_were_concerned_is_not_told() -> None:
    assert told([50, 0, 60], [50, 50, 120], LEAST) == [False, False, True]


def test_a_group_of_nobody_hides_nobody() -> None:
    assert told([20, 20, 0], [50, 50, 0], LEAST) == [True, True, False]


def test_what_may_not_be_told_at_all_is_not_told_of_a_part_either() -> None:
    assert told([20, 20, 20], [50, 50, 50], LEAST, [True, False, True]) == [False, False, True]


_group = st.integers(0, 80).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))


@given(st.lists(_group, max_size=8))
def test_whoever_subtracts_the_told_from_the_total_learns_of_nobody(groups: list[tuple[int, int]]) -> None:
    shown = told([count for count, _ in groups], [of for _, of in groups], LEAST)

    untold = [each for each, seen in zip(groups, shown, strict=True) if not seen and each[1]]
    count, of = (sum(column) for column in zip(*untold, strict=True)) if untold else (0, 0)
    assert all(LEAST.allows(*each) for each, seen in zip(groups, shown, strict=True) if seen)
    assert not any(shown) or not untold or (len(untold) > 1 and LEAST.allows(count, of))
