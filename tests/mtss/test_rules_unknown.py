"""Of whom nothing is known, by clause."""

from hypothesis import given, settings

from common.events import Event
from mtss.rules import always, course_of, coverage_of, follow, unknown_of
from tests.mtss.made_up import STUDENT, School, districts, facts_of, named, school_days
from tests.mtss.test_rules_follow import DAYS, OTHER, USUAL

SCHOOL = School(days=school_days(60))


def test_a_student_without_a_survey_or_too_few_days_is_unknown_by_these_clauses() -> None:
    facts = [SCHOOL.calendar(), SCHOOL.enrols(), *SCHOOL.closes_through(5)]
    assert unknown_of(follow(facts_of(facts, [STUDENT]), always(USUAL))) == [
        ("attendance", "adult_support", "severe_attendance")
    ]
    facts += [SCHOOL.scores(8, 4.0), *SCHOOL.closes(*range(5, 25))]
    assert unknown_of(follow(facts_of(facts, [STUDENT]), always(USUAL))) == [()]


def test_coverage_is_known_clauses_of_all() -> None:
    assert coverage_of([{"holds": True}, {"holds": None}, {"holds": False}]) == (2, 3)
    assert coverage_of([]) == (0, 0)


def test_without_a_closed_day_nothing_is_said() -> None:
    facts = facts_of([SCHOOL.calendar(), SCHOOL.enrols()], [STUDENT, named("student", 1)])
    assert unknown_of(follow(facts, always(USUAL))) == [None, None]


@settings(max_examples=60)
@given(districts(), DAYS)
def test_what_is_unknown_is_what_the_course_says_of_its_last_day(events: list[Event], first: int) -> None:
    students = sorted({event.student_id for event in events if hasattr(event, "student_id")}) or [STUDENT]
    facts = facts_of(events, students)
    courses = follow(facts, [*always(USUAL), (first, OTHER)])
    for place, unknown in enumerate(unknown_of(courses)):
        course = course_of(facts, courses, place)
        last = len(course) - 1
        wanted = (
            tuple(name for name in course.policy.clauses if course.holds(name, last) is None) if len(course) else None
        )
        assert unknown == wanted
