"""Days begun late, in the school year and in the last days."""

from datetime import date
from typing import Any

import pytest

from common.events import AttendanceKind, AttendanceRecorded, Event
from mtss.rules import always, course_of, follow, policy_of
from mtss.rules.policy.checking import check
from tests.mtss.made_up import STUDENT, School, facts_of, school_days
from tests.mtss.test_rules_kernel import check_against_closed_form, rehearsed
from tests.mtss.test_rules_policy import ATTENDANCE, changed, number

SCHOOL = School(days=school_days(20))
CLAUSE = {"signal": "tardies", "window": "school_year", "entry": {"at_least": number(3)}, "when_unknown": "hold"}
TARDIES = changed(ATTENDANCE, CLAUSE)
LATELY = changed(ATTENDANCE, CLAUSE | {"window": "last_days", "window_days": number(7), "exit": {"below": number(1)}})

LAST_SCHOOL_DAYS = changed(ATTENDANCE, CLAUSE | {"window": "last_school_days", "window_days": number(5)})
FIRST_SCHOOL_DAYS = changed(ATTENDANCE, CLAUSE | {"window": "first_school_days", "window_days": number(5)})


def late(day: int, school: School = SCHOOL, hundredths: int = 0) -> AttendanceRecorded:
    return school.absent(day, hundredths=hundredths).model_copy(update={"kind": AttendanceKind.TARDY})


def clauses(document: dict[str, Any], *events: Event, through: int = 10) -> Any:
    said = [SCHOOL.calendar(), SCHOOL.enrols(), *SCHOOL.closes_through(through), *events]
    facts = facts_of(said, [STUDENT])
    return course_of(facts, follow(facts, always(policy_of(document))), 0)


def holds(document: dict[str, Any], *events: Event, through: int = 10) -> list[bool | None]:
    return [day.clauses["attendance"] for day in clauses(document, *events, through=through).days()]


@pytest.mark.parametrize("hundredths", [0, 25])
def test_the_third_late_day_of_the_school_year_begins_it_whether_or_not_anything_was_missed(hundredths: int) -> None:
    said = [late(day, hundredths=hundredths) for day in (1, 4, 7)]
    assert holds(TARDIES, *said) == [False] * 7 + [True] * 3
    assert clauses(TARDIES, *said).clauses()[0].evidence == {
        "tardies": 3,
        "school_year": 2025,
        "through": SCHOOL.days[9].isoformat(),
    }


def test_whole_days_missed_are_no_late_days_and_late_days_are_no_days_missed() -> None:
    assert not any(holds(TARDIES, *(SCHOOL.absent(day) for day in range(5))))
    found = clauses(TARDIES, *(late(day) for day in range(5))).clauses()
    severe = next(each for each in found if each.clause == "severe_attendance")
    assert severe.evidence["days_absent"] == 0


def test_a_late_day_counts_once_its_day_is_closed_and_an_open_day_says_nothing() -> None:
    said = [SCHOOL.calendar(), SCHOOL.enrols(), *(late(day) for day in (1, 2, 3)), *SCHOOL.closes(0, 1, 2, 4)]
    facts = facts_of(said, [STUDENT])
    course = course_of(facts, follow(facts, always(policy_of(TARDIES))), 0)
    assert [day.clauses["attendance"] for day in course.days()] == [False, False, False, None, False]


def test_a_school_year_begins_anew() -> None:
    autumn = School(days=school_days(6, date(2025, 8, 18)), year=2026)
    said = [late(18), late(19), autumn.calendar(), *autumn.closes_through(3), late(0, autumn)]
    assert not any(holds(TARDIES, *said, through=20))


def test_in_the_last_days_those_that_are_longer_ago_no_longer_count() -> None:
    said = [late(day) for day in (1, 2, 3)]
    # Day 3 is a Thursday: on the Thursday after it is 7 days ago, and no late day is left.
    assert holds(LATELY, *said) == [False] * 3 + [True] * 5 + [False] * 2
    assert not any(holds(LATELY, late(1), late(4), late(8)))


def test_in_the_last_school_days_only_days_of_school_pass() -> None:
    # The third stands as long as the first of them, on day 1, is among the last five school days.
    said = [late(day) for day in (1, 2, 3)]
    assert holds(LAST_SCHOOL_DAYS, *said) == [False] * 3 + [True] * 3 + [False] * 4
    # A day that the school left open is none of them.
    open_day = [SCHOOL.calendar(), SCHOOL.enrols(), *said, *SCHOOL.closes(0, 1, 2, 3, 5, 6, 7)]
    facts = facts_of(open_day, [STUDENT])
    course = course_of(facts, follow(facts, always(policy_of(LAST_SCHOOL_DAYS))), 0)
    assert [day.clauses["attendance"] for day in course.days()] == [False] * 3 + [True] * 4 + [False]


def test_of_the_first_school_days_of_each_year_later_ones_are_none() -> None:
    assert holds(FIRST_SCHOOL_DAYS, *(late(day) for day in (1, 2, 4))) == [False] * 4 + [True] * 6
    assert not any(holds(FIRST_SCHOOL_DAYS, *(late(day) for day in (1, 2, 5))))
    autumn = School(days=school_days(6, date(2025, 8, 18)), year=2026)
    said = [autumn.calendar(), *autumn.closes_through(6), *(late(day, autumn) for day in (0, 1, 2))]
    assert holds(FIRST_SCHOOL_DAYS, *said, through=20)[-6:] == [False] * 2 + [True] * 4


@pytest.mark.parametrize("window", ["last_days", "last_school_days", "first_school_days"])
def test_a_window_without_its_length_is_refused(window: str) -> None:
    assert check(TARDIES) == check(LATELY) == check(LAST_SCHOOL_DAYS) == check(FIRST_SCHOOL_DAYS) == ()
    (found,) = check(changed(ATTENDANCE, CLAUSE | {"window": window}))
    assert found.field == "clauses.attendance.window_days"


@pytest.mark.parametrize("document", [TARDIES, LATELY, LAST_SCHOOL_DAYS, FIRST_SCHOOL_DAYS])
def test_a_rehearsal_says_what_the_closed_form_says(document: dict[str, Any]) -> None:
    said = [SCHOOL.calendar(), SCHOOL.enrols(), *SCHOOL.closes_through(15), *(late(day) for day in (1, 2, 3, 9, 12))]
    facts, policy = facts_of(said, [STUDENT]), policy_of(document)
    check_against_closed_form(facts, policy, rehearsed(facts, policy))
