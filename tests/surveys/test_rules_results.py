"""Nothing of a few students can be had from what is told of a school and its sections."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surveys.rules.results import Least, Subscale, results, tellable

LEAST = Least(cell=10, ends_percent=5)


def group(*students: range, of: int) -> np.ndarray:
    flags = np.zeros(of, bool)
    for each in students:
        flags[list(each)] = True
    return flags


def school(of: int) -> np.ndarray:
    return group(range(of), of=of)


@pytest.mark.parametrize(
    ("sections", "of", "told"),
    [
        ([range(10)], 25, [True, True]),
        ([range(9)], 25, [True, False]),
        ([range(16)], 25, [True, False]),  # the nine others would be had from the school
        ([range(10), range(10, 20), range(20, 28)], 28, [True, True, False, False]),  # and those of the small section
        ([range(20), range(20)], 45, [True, True, True]),  # the same students twice say nothing new
        ([range(20), range(1, 20)], 45, [True, True, False]),  # one more tells who it is
        ([range(20), range(20, 40), range(38)], 60, [True, True, False, True]),
        ([range(20), range(20, 40), range(40, 60)], 60, [True, True, True, True]),  # the last is what the others leave
        ([range(20, 20)], 45, [True, False]),
    ],
)
def test_a_section_is_told_unless_a_few_could_be_had_from_it(sections: list[range], of: int, told: list[bool]) -> None:
    groups = [school(of), *(group(each, of=of) for each in sections)]

    assert tellable(groups, LEAST.cell) == told


def test_of_a_school_of_nine_nothing_is_told() -> None:
    assert tellable([school(9), group(range(9), of=9)], LEAST.cell) == [False, False]


@given(
    st.integers(4, 9).flatmap(
        lambda of: st.lists(st.lists(st.booleans(), min_size=of, max_size=of), min_size=1, max_size=5)
    )
)
def test_no_sum_or_difference_of_what_is_told_is_of_fewer_students_than_the_cell(sections: list[list[bool]]) -> None:
    """Asked plainly: every small combination of all that is told, of schools so small that a cell of 3 is one."""
    cell, groups = 3, [np.ones(len(sections[0]), bool), *map(np.array, sections)]

    told = [each for each, shown in zip(groups, tellable(groups, cell), strict=True) if shown]

    for weights in product((-2, -1, 0, 1, 2), repeat=len(told)):
        combined = sum((weight * each.astype(int) for weight, each in zip(weights, told, strict=True)), np.zeros(1))
        assert not 0 < np.count_nonzero(combined) < cell


def subscale(*means: float, spread: float = 0.8) -> Subscale:
    return Subscale(np.array(means), spread, (1, 5))


def test_the_mean_is_told_with_its_interval_by_how_students_of_all_schools_differ() -> None:
    (whole,) = results([school(16)], {"belonging": subscale(*[3.0, 4.0] * 8)}, LEAST)

    told = whole["belonging"]
    assert told
    assert (told.scored, told.mean, told.low, told.high, told.beyond) == (16, 3.5, 3.11, 3.89, None)


@pytest.mark.parametrize(("mean", "told", "beyond"), [(1.0, 1.2, "at_most"), (5.0, 4.8, "at_least")])
def test_a_mean_near_an_end_is_not_told_for_it_would_say_what_each_answered(
    mean: float, told: float, beyond: str
) -> None:
    (whole,) = results([school(12)], {"belonging": subscale(*[mean] * 12)}, LEAST)

    found = whole["belonging"]
    assert found
    assert (found.mean, found.beyond) == (told, beyond)
    assert 1.2 <= found.low <= found.high <= 4.8


def test_who_was_not_scored_counts_nowhere_and_each_subscale_is_told_for_itself() -> None:
    few = subscale(*[3.0] * 9, *[float("nan")] * 3)

    (whole,) = results([school(12)], {"belonging": subscale(*[3.0] * 12), "safety": few}, LEAST)

    assert whole["belonging"]
    assert whole["safety"] is None


def test_where_all_answered_alike_nothing_is_told_for_it_would_be_each_ones_answer() -> None:
    (whole,) = results([school(12)], {"belonging": subscale(*[3.0] * 12, spread=0.0)}, LEAST)

    assert whole == {"belonging": None}
