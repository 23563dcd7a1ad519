"""The longest streak of a school year, and a drop between two surveys that chance does not explain."""

from copy import deepcopy
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.events import Event
from mtss.rules import Course, always, course_of, follow, policy_of
from mtss.rules.policy.checking import check
from mtss.rules.policy.difference import difference
from mtss.rules.rehearsal.otherwise import moved
from mtss.rules.signals.survey_drop import exceeded
from tests.mtss.made_up import STUDENT, School, facts_of, school_days
from tests.mtss.test_rules_policy import ATTENDANCE, changed, number

SCHOOL = School(days=school_days(20))
LONGEST = changed(
    ATTENDANCE,
    {
        "signal": "longest_streak",
        "counts": "all",
        "entry": {"at_least": number(3)},
        "when_unknown": "hold",
    },
)
DROP = changed(
    ATTENDANCE,
    {
        "signal": "survey_drop",
        "subscale": "adult_support",
        "scale": {"sd": number(0.8), "reliability": number(0.82)},
        "entry": {"at_least": number(1.96)},
        "when_unknown": "hold",
    },
)


def course(document: dict[str, Any], *events: Event, through: int = 10, schools: tuple[School, ...] = ()) -> Course:
    said = [SCHOOL.calendar(), SCHOOL.enrols(), *SCHOOL.closes_through(through), *events]
    facts = facts_of(said, [STUDENT])
    return course_of(facts, follow(facts, always(policy_of(document))), 0)


def holds(document: dict[str, Any], *events: Event, **how: Any) -> list[bool | None]:
    return [day.clauses["attendance"] for day in course(document, *events, **how).days()]


def test_the_longest_streak_stands_after_the_student_is_back() -> None:
    said = [SCHOOL.absent(day) for day in (2, 3, 4, 7)]
    assert holds(LONGEST, *said) == [False] * 4 + [True] * 6
    evidence = course(LONGEST, *said).clauses()[0].evidence
    assert evidence == {"longest_days_in_a_row": 3, "school_year": 2025, "through": SCHOOL.days[9].isoformat()}


def test_two_streaks_are_not_one_and_a_school_year_begins_anew() -> None:
    assert not any(holds(LONGEST, *(SCHOOL.absent(day) for day in (2, 3, 5, 6, 8, 9))))
    autumn = School(days=school_days(6, date(2025, 8, 18)), year=2026)
    said = [SCHOOL.absent(day) for day in (2, 3, 4)]
    later = [autumn.calendar(), *autumn.closes_through(2)]
    assert holds(LONGEST, *said, *later, through=20)[-3:] == [True, False, False]


def test_a_streak_that_lasts_so_long_as_the_year_has_no_exit_to_name() -> None:
    exits = deepcopy(LONGEST)
    exits["clauses"]["attendance"]["exit"] = {"below": number(1)}
    assert [each.field for each in check(exits)] == ["clauses.attendance.exit.below"]
    assert check(LONGEST) == check(DROP) == ()


# SD 0.8 and reliability 0.82: the unit is 0.8 · 0.6 = 0.48, so 1.96 of them are 0.9408.


@pytest.mark.parametrize(("mean", "stands"), [(3.05, True), (3.06, False), (5.0, False)])
def test_a_drop_stands_from_the_number_of_standard_errors_that_the_policy_says(mean: float, stands: bool) -> None:
    said = [SCHOOL.scores(1, 4.0, window=1), SCHOOL.scores(5, mean, window=2)]
    assert holds(DROP, *said) == [None] * 5 + [stands] * 5


# SD 0.5 and reliability 0.5: the unit is 0.5, so that 2 of them are a mean of 1 exactly.


@pytest.mark.parametrize(
    ("before", "mean", "stands"), [(4.0, 3.0, False), (4.0, 2.99, True), (11 / 3, 8 / 3, False), (11 / 3, 2.6, True)]
)
def test_a_drop_is_larger_than_the_number_and_not_as_large(before: float, mean: float, stands: bool) -> None:
    document = deepcopy(DROP)
    document["clauses"]["attendance"] |= {
        "scale": {"sd": number(0.5), "reliability": number(0.5)},
        "entry": {"at_least": number(2)},
    }
    said = [SCHOOL.scores(1, before, window=1), SCHOOL.scores(5, mean, window=2)]
    assert holds(document, *said)[-1] is stands


@given(*[st.integers(100, 700)] * 2, *[st.decimals("0.01", "0.99", places=2)] * 2)
def test_a_drop_exceeds_so_many_hundredths_and_not_one_more(
    before: int, now: int, sd: Decimal, reliability: Decimal
) -> None:
    document = deepcopy(DROP)
    document["clauses"]["attendance"]["scale"] = {"sd": number(float(sd)), "reliability": number(float(reliability))}
    clause = policy_of(document).clauses["attendance"]
    (most,) = exceeded(np.array([before / 100]), np.array([now / 100]), clause).tolist()
    # Δ > k · SD · √2 · √(1 − reliability), squared, and all of it in hundredths.
    drop, unit = max(before - now, 0) ** 2 * 10**6, 2 * int(sd * 100) ** 2 * (100 - int(reliability * 100))
    exceeds = [drop > step**2 * unit for step in (most, most + 1)]
    assert exceeds == [before > now, False]


def test_the_next_survey_is_compared_with_the_last_and_not_with_the_best() -> None:
    said = [SCHOOL.scores(day, mean, window=day) for day, mean in ((1, 4.0), (3, 2.0), (6, 2.0))]
    assert holds(DROP, *said) == [None] * 3 + [True] * 3 + [False] * 4


def test_a_survey_answered_in_part_is_no_wave_and_of_two_of_a_day_the_low_one_counts() -> None:
    first = SCHOOL.scores(1, 4.0, window=1)
    assert holds(DROP, first, SCHOOL.scores(5, 2.0, window=2, prorated=True)) == [None] * 10
    same = [SCHOOL.scores(5, 4.0, window=2), SCHOOL.scores(5, 3.0, window=3)]
    assert holds(DROP, first, *same)[-1] is True
    assert holds(DROP, *same, through=10) == [None] * 10


def test_the_evidence_of_a_drop_are_the_last_two_surveys() -> None:
    first, second = SCHOOL.scores(1, 4.0, window=1), SCHOOL.scores(5, 3.0, window=2)
    none = {"mean": None, "answered_on": None, "mean_before": None, "answered_before_on": None}
    assert course(DROP).clauses()[0].evidence == none
    one = {"mean": 4.0, "answered_on": SCHOOL.days[1].isoformat()}
    assert course(DROP, first).clauses()[0].evidence == none | one
    assert course(DROP, first, second).clauses()[0].evidence == {
        "mean": 3.0,
        "answered_on": SCHOOL.days[5].isoformat(),
        "mean_before": 4.0,
        "answered_before_on": SCHOOL.days[1].isoformat(),
    }


@pytest.mark.parametrize(("path", "value"), [("sd", 0.805), ("reliability", 1), ("sd", 0)])
def test_what_an_instrument_measures_with_has_two_places_and_makes_sense(path: str, value: float) -> None:
    document = deepcopy(DROP)
    document["clauses"]["attendance"]["scale"][path] = number(value)
    (found,) = check(document)
    assert found.field == f"clauses.attendance.scale.{path}"
    assert "at most two decimal places from 0.01" in found.rule


def test_another_drop_is_told_and_tried_in_hundredths() -> None:
    lower = deepcopy(DROP)
    lower["clauses"]["attendance"]["entry"]["at_least"]["value"] = 1.64
    (said,) = difference(policy_of(DROP), policy_of(lower))
    assert "1.64" in said
    assert "1.96" in said
    tried = [each.value for each in moved(policy_of(DROP), 10, 1) if each.path.endswith("entry.at_least")]
    assert [str(each) for each in tried if str(each) in ("1.76", "2.16")] == ["1.76", "2.16"]
