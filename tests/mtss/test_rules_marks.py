"""Courses not passed at the end of a grading period."""

from datetime import date
from typing import Any

import pytest

from common.events import Event
from mtss.rules import always, course_of, follow, policy_of, what_may_change
from mtss.rules.policy.checking import check
from tests.mtss.made_up import STUDENT, School, facts_of, school_days
from tests.mtss.test_rules_kernel import check_against_closed_form, rehearsed
from tests.mtss.test_rules_policy import ATTENDANCE, changed, number

SCHOOL = School(days=school_days(20))
CLAUSE = {
    "signal": "course_marks",
    "minimum_data": {"courses": number(3)},
    "entry": {"at_least": number(2)},
    "when_unknown": "hold",
}
MARKS = changed(ATTENDANCE, CLAUSE)
WITH_EXIT = changed(ATTENDANCE, CLAUSE | {"exit": {"below": number(1)}})
F, P = True, False


def course(document: dict[str, Any], *events: Event, through: int = 10) -> Any:
    said = [SCHOOL.calendar(), SCHOOL.enrols(), *SCHOOL.closes_through(through), *events]
    facts, policies = facts_of(said, [STUDENT]), always(policy_of(document))
    courses = follow(facts, policies)
    check_against_closed_form(facts, policy_of(document), rehearsed(facts, policy_of(document)))
    return course_of(facts, courses, 0, what_may_change(facts, courses, policies, [0])[0])


def holds(document: dict[str, Any], *events: Event, through: int = 10) -> list[bool | None]:
    return [day.clauses["attendance"] for day in course(document, *events, through=through).days()]


def test_nothing_is_known_before_the_first_marks_and_then_as_long_as_no_later_ones_come() -> None:
    assert holds(MARKS) == [None] * 10
    assert holds(MARKS, *SCHOOL.marks(3, F, F, P)) == [None] * 3 + [True] * 7
    assert holds(MARKS, *SCHOOL.marks(3, F, P, P), *SCHOOL.marks(6, F, F, F)) == [None] * 3 + [False] * 3 + [True] * 4
    assert holds(MARKS, *SCHOOL.marks(3, F, F, P), *SCHOOL.marks(6, F, P, P)) == [None] * 3 + [True] * 3 + [False] * 4


def test_with_an_exit_it_stands_until_fewer_are_not_passed() -> None:
    said = [*SCHOOL.marks(3, F, F, P), *SCHOOL.marks(6, F, P, P), *SCHOOL.marks(8, P, P, P)]
    assert holds(WITH_EXIT, *said) == [None] * 3 + [True] * 5 + [False] * 2


def test_a_grading_period_with_marks_of_too_few_courses_moves_nothing() -> None:
    assert holds(MARKS, *SCHOOL.marks(3, F, F)) == [None] * 10
    assert holds(MARKS, *SCHOOL.marks(3, F, F, P), *SCHOOL.marks(6, P)) == [None] * 3 + [True] * 7


def test_a_mark_taken_back_or_mended_counts_no_more() -> None:
    given = SCHOOL.marks(3, F, F, P)
    assert not any(holds(MARKS, *given, given[0].model_copy(update={"failing": P, "revision": given[2].revision + 1})))
    gone = given[0].model_copy(update={"deleted": True, "revision": given[2].revision + 1})
    assert holds(MARKS, *given, gone) == [None] * 10


def test_two_marks_of_one_course_are_one_course_that_is_not_passed_if_either_says_so() -> None:
    semester = SCHOOL.marks(3, P)[0].model_copy(update={"mark_id": STUDENT})
    found = course(MARKS, *SCHOOL.marks(3, F, P, P), semester).clauses()[0]
    assert (found.holds, found.evidence["courses_not_passed"], found.evidence["courses"]) == (False, 1, 3)


def test_marks_of_the_summer_are_known_when_the_next_school_year_begins() -> None:
    autumn = School(days=school_days(6, date(2025, 8, 18)), year=2026)
    said = [autumn.calendar(), *autumn.closes_through(2), *SCHOOL.marks(date(2025, 6, 30), F, F, F)]
    assert holds(MARKS, *said, through=20) == [None] * 20 + [True] * 2


def test_its_evidence_says_which_period_and_what_would_change_it() -> None:
    found = course(MARKS, *SCHOOL.marks(3, F, F, P)).clauses()[0]
    assert found.evidence == {"courses_not_passed": 2, "courses": 3, "period_ended_on": SCHOOL.days[3].isoformat()}
    assert found.change is not None
    least = {"amount": 1, "on": SCHOOL.days[10].isoformat()}
    assert (found.change["by"], found.change["clause"]) == ("courses_not_passed", least)
    unknown = course(MARKS).clauses()[0]
    assert unknown.change is not None
    assert unknown.evidence == {"courses_not_passed": None, "courses": 0, "period_ended_on": None}
    assert unknown.change["clause"] == {"amount": 2, "on": SCHOOL.days[10].isoformat()}
    with_exit = course(WITH_EXIT, *SCHOOL.marks(3, F, F, P)).clauses()[0]
    assert with_exit.change is not None
    assert with_exit.change["clause"]["amount"] == 0
    over = course(MARKS, *SCHOOL.marks(3, F, F, P), through=20).clauses()[0]
    assert over.change is not None
    assert over.change["clause"] is None


@pytest.mark.parametrize("least", [1, 2])
def test_marks_of_fewer_courses_than_the_entry_asks_for_are_refused(least: int) -> None:
    document = changed(ATTENDANCE, CLAUSE | {"minimum_data": {"courses": number(least)}})
    expected = [("clauses.attendance.minimum_data.courses", "must not be below the entry")] if least < 2 else []
    assert [(each.field, each.rule.partition(":")[0]) for each in check(document)] == expected
