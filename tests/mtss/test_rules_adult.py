"""Whether there is an adult at school whom a student would go to, as their surveys say."""

from typing import Any

import pytest

from common.events import Event
from mtss.rules import Course, always, course_of, follow, policy_of
from mtss.rules.coming import Least, what_may_change
from mtss.rules.policy.checking import check
from tests.mtss.made_up import STUDENT, School, facts_of, school_days
from tests.mtss.test_rules_policy import ATTENDANCE, changed, number

SCHOOL = School(days=school_days(40))
CLAUSE = {
    "signal": "no_trusted_adult",
    "subscale": "adult_support",
    "entry": {"at_least": number(1)},
    "when_unknown": "hold",
}
NOBODY = changed(ATTENDANCE, CLAUSE)
TWICE = changed(ATTENDANCE, CLAUSE | {"entry": {"at_least": number(2)}})
NO, YES = 1.0, 2.0


def said(*answers: tuple[int, float]) -> list[Event]:
    return [SCHOOL.scores(day, answer, window=day) for day, answer in answers]


def course(document: dict[str, Any], *events: Event, through: int = 10) -> Course:
    facts = facts_of([SCHOOL.calendar(), SCHOOL.enrols(), *SCHOOL.closes_through(through), *events], [STUDENT])
    return course_of(facts, follow(facts, always(policy_of(document))), 0)


def holds(document: dict[str, Any], *events: Event) -> list[bool | None]:
    return [day.clauses["attendance"] for day in course(document, *events).days()]


def test_it_stands_from_the_survey_that_names_nobody_until_one_names_somebody() -> None:
    assert check(NOBODY) == ()
    assert holds(NOBODY, *said((2, NO), (6, YES))) == [None] * 2 + [True] * 4 + [False] * 4
    assert holds(TWICE, *said((2, NO), (6, NO))) == [None] * 2 + [False] * 4 + [True] * 4
    assert not any(holds(TWICE, *said((2, NO), (4, YES), (6, NO))))


def test_a_question_left_open_says_nothing() -> None:
    assert holds(NOBODY, SCHOOL.scores(2, NO, prorated=True)) == [None] * 10
    assert course(NOBODY).clauses()[0].evidence == {"surveys": 0, "answered_on": None}
    found = course(NOBODY, *said((2, NO), (6, NO))).clauses()[0].evidence
    assert found == {"surveys": 2, "answered_on": SCHOOL.days[6].isoformat()}


@pytest.mark.parametrize(
    ("document", "answers", "least"),
    [
        (NOBODY, [(2, YES)], Least(1, SCHOOL.days[30])),
        (TWICE, [(2, YES)], Least(2, SCHOOL.days[31])),
        (TWICE, [(2, NO)], Least(1, SCHOOL.days[30])),
        (TWICE, [(2, NO), (3, NO)], Least(1, SCHOOL.days[30])),
    ],
)
def test_what_would_change_it_are_the_surveys_that_are_missing(
    document: dict[str, Any], answers: list[tuple[int, float]], least: Least
) -> None:
    facts = facts_of([SCHOOL.calendar(), SCHOOL.enrols(), *SCHOOL.closes_through(30), *said(*answers)], [STUDENT])
    policies = always(policy_of(document))
    change = what_may_change(facts, follow(facts, policies), policies, [0])[0]["attendance"]
    assert (change.by, change.clause) == ("surveys", least)
