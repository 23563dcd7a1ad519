"""Whole days missed in a row."""

from copy import deepcopy
from datetime import date
from typing import Any

import pytest

from common.events import AttendanceKind, Event
from mtss.rules import always, course_of, follow, policy_of
from mtss.rules.policy.checking import check
from mtss.rules.policy.difference import difference
from tests.mtss.made_up import STUDENT, School, facts_of, school_days
from tests.mtss.test_rules_sentences import STREAK

SCHOOL = School(days=school_days(20))


def streak(**other: Any) -> dict[str, Any]:
    document = deepcopy(STREAK)
    document["clauses"]["attendance"] |= other
    return document


def holds(*events: Event, through: int = 10, document: dict[str, Any] = STREAK) -> list[bool | None]:
    said = [SCHOOL.calendar(), SCHOOL.enrols(), *events]
    facts = facts_of([*said, *SCHOOL.closes_through(through)], [STUDENT])
    course = course_of(facts, follow(facts, always(policy_of(document))), 0)
    return [day.clauses["attendance"] for day in course.days()]


def test_the_third_whole_day_in_a_row_begins_it_and_five_days_attended_end_it() -> None:
    said = [SCHOOL.absent(day) for day in (2, 3, 4)]
    assert holds(*said, through=12) == [False] * 4 + [True] * 5 + [False] * 3


@pytest.mark.parametrize("hundredths", [99, 50, 0])
def test_who_came_for_a_part_of_a_day_came(hundredths: int) -> None:
    said = [SCHOOL.absent(2), SCHOOL.absent(3, hundredths=hundredths), SCHOOL.absent(4), SCHOOL.absent(5)]
    assert not any(holds(*said))


def test_a_day_that_was_left_open_neither_counts_nor_resets() -> None:
    said = [SCHOOL.calendar(), SCHOOL.enrols(), *(SCHOOL.absent(day) for day in (2, 3, 4, 5))]
    facts = facts_of([*said, *SCHOOL.closes(0, 1, 2, 4, 5)], [STUDENT])
    course = course_of(facts, follow(facts, always(policy_of(STREAK))), 0)
    assert [day.clauses["attendance"] for day in course.days()] == [False, False, False, None, False, True]


def test_a_school_year_begins_anew() -> None:
    spring, autumn = School(days=school_days(6)), School(days=school_days(6, date(2025, 8, 18)), year=2026)
    said = [spring.calendar(), autumn.calendar(), spring.enrols(), *spring.closes_through(6), *autumn.closes_through(6)]
    said += [spring.absent(4), spring.absent(5), autumn.absent(0)]
    facts = facts_of(said, [STUDENT])
    course = course_of(facts, follow(facts, always(policy_of(STREAK))), 0)
    assert not any(day.clauses["attendance"] for day in course.days())
    assert course.clauses(5)[0].evidence == {
        "days_in_a_row": 2,
        "school_year": 2025,
        "through": spring.days[5].isoformat(),
    }


def test_only_days_of_the_kind_that_counts_make_a_streak() -> None:
    said = [SCHOOL.absent(day) for day in (2, 3, 4)]
    excused = [said[0], said[1].model_copy(update={"kind": AttendanceKind.EXCUSED}), said[2]]
    assert any(holds(*said, document=streak(counts="unexcused")))
    assert not any(holds(*excused, document=streak(counts="unexcused")))
    assert any(holds(*excused))


def test_an_exit_at_its_entry_is_refused_and_a_difference_is_told() -> None:
    at_entry = streak(exit={"below": STREAK["clauses"]["attendance"]["entry"]["at_least"]})
    assert [each.field for each in check(at_entry)] == ["clauses.attendance.exit.below"]
    assert check(STREAK) == ()
    longer = deepcopy(STREAK)
    longer["clauses"]["attendance"]["entry"]["at_least"]["value"] = 5
    (said,) = difference(policy_of(STREAK), policy_of(longer))
    assert said == "Attendance: a student is now considered from 5 % instead of 3 %."
