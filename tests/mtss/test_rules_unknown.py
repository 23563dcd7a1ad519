"""Of whom nothing is known, by clause."""

from datetime import date
from typing import Any

from hypothesis import given, settings

from common.events import Event
from mtss.rules import (
    RULINGS,
    TIERS,
    Policies,
    always,
    course_of,
    coverage_of,
    day_number,
    documents,
    follow,
    policy_of,
    signals_since,
    standing_of,
    unknown_of,
)
from mtss.rules.people import Ruling
from tests.mtss.made_up import STUDENT, School, districts, facts_of, named, school_days
from tests.mtss.test_rules_follow import DAYS, OTHER, USUAL
from tests.mtss.test_rules_people import TARGETED, UNIVERSAL, accepts, overrides, ruling_facts
from tests.mtss.test_rules_policy import changed

SCHOOL = School(days=school_days(60))
ASKING = changed("clauses/adult_support/when_unknown", "ask") | {"version": "asking"}
ASKS = always(policy_of(ASKING))
DAY = [day_number(each) for each in SCHOOL.days]


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


def test_a_clause_that_stands_on_what_is_no_longer_known_is_not_known() -> None:
    spring, autumn = School(days=school_days(20)), School(days=school_days(25, date(2025, 8, 18)), year=2026)
    said = [
        spring.calendar(),
        autumn.calendar(),
        spring.enrols(),
        *spring.closes_through(20),
        spring.absent(3),
        spring.absent(4),
    ]
    for through, known in ((5, False), (20, True)):
        facts = facts_of([*said, *autumn.closes_through(through)], [STUDENT])
        clauses = course_of(facts, follow(facts, always(USUAL)), 0).clauses()
        attendance = clauses[0]
        assert (attendance.clause, attendance.holds, attendance.known) == ("attendance", True, known)
        # Of both clauses of attendance nothing is known before the twentieth day, nor of surveys ever.
        assert coverage_of(documents(clauses)) == (4 if known else 2, 5)


def test_without_a_closed_day_nothing_is_said() -> None:
    facts = facts_of([SCHOOL.calendar(), SCHOOL.enrols()], [STUDENT, named("student", 1)])
    assert unknown_of(follow(facts, always(USUAL))) == [None, None]


def asks(*events: Event, policies: Policies = ASKS, ruled: Ruling | None = None, through: int = 30) -> bool:
    facts = facts_of([SCHOOL.calendar(), SCHOOL.enrols(), *SCHOOL.closes_through(through), *events], [STUDENT])
    (found,) = standing_of(follow(ruling_facts(facts, (0, ruled)) if ruled else facts, policies)).asks.tolist()
    return bool(found)


def test_a_person_is_asked_where_support_hangs_on_what_is_unknown() -> None:
    assert asks()
    assert not asks(policies=always(USUAL))
    assert not asks(SCHOOL.scores(10, 4.0))
    # Whether a second ground has intensive support proposed hangs on it.
    assert asks(SCHOOL.refers(3, 1), SCHOOL.refers(4, 2))
    one_is_enough = asking("adult_support", intensive="severe_attendance")
    assert not asks(SCHOOL.refers(3, 1), SCHOOL.refers(4, 2), policies=one_is_enough)
    assert not asks(through=0)


def test_nothing_is_asked_of_whom_a_person_has_decided() -> None:
    assert asks(ruled=accepts(DAY[20], TARGETED))
    assert not asks(ruled=overrides(DAY[20], UNIVERSAL, DAY[40]))
    assert asks(ruled=overrides(DAY[10], UNIVERSAL, DAY[20]))


def asking(*names: str, **tiers: Any) -> Policies:
    """The default policy with clauses that ask, and with what some tier says otherwise."""
    document = changed("version", "asking")
    for name in names:
        document["clauses"][name]["when_unknown"] = "ask"
    for tier, when in tiers.items():
        document["tiers"][tier]["when"] = when
    return always(policy_of(document))


def test_who_has_support_by_what_is_no_longer_known_is_asked_about_too_so_that_it_does_not_just_go_on() -> None:
    spring, autumn = School(days=school_days(30)), School(days=school_days(25, date(2025, 8, 18)), year=2026)
    said = [spring.calendar(), autumn.calendar(), spring.enrols(), *spring.closes_through(30)]
    said += [*(spring.absent(day) for day in range(6)), *autumn.closes_through(5)]

    def asked(policies: Policies, *more: Event) -> bool:
        standing = standing_of(follow(facts_of([*said, *more], [STUDENT]), policies))
        assert TIERS[standing.tier[0]] == "targeted"
        return bool(standing.asks[0])

    assert asked(asking("attendance"))
    assert not asked(always(USUAL))
    # It goes on by referrals anyhow.
    assert not asked(asking("attendance"), *(autumn.refers(4, incident) for incident in (1, 2)))


def test_a_clause_of_intensive_support_alone_asks() -> None:
    alone = asking("severe_attendance", intensive="severe_attendance")
    assert asks(policies=alone, through=10)
    assert not asks(policies=alone)
    # What is called for beneath does not matter to who is in intensive support, and stays so.
    both = asking("adult_support", intensive="referrals")
    referred = [SCHOOL.refers(3, incident) for incident in (1, 2)]
    beneath = asking("adult_support", targeted="adult_support", intensive="referrals")
    assert asks(*referred, policies=beneath)
    assert not asks(*referred, policies=beneath, ruled=accepts(DAY[20]))
    assert not asks(*referred, policies=both, ruled=accepts(DAY[20]))


def test_nobody_is_asked_where_the_answer_could_not_change_the_tier() -> None:
    either = {"any": [{"all": ["adult_support", "referrals"]}, "attendance"]}
    policies = asking("adult_support", targeted=either, intensive="severe_attendance")
    assert not asks(policies=policies, through=10)  # of attendance nothing is known yet, and it does not ask
    assert asks(SCHOOL.refers(3, 1), SCHOOL.refers(4, 2), policies=policies, through=10)


def test_once_somebody_has_looked_nobody_is_asked_for_as_long_as_what_was_declined_rests() -> None:
    rests = int(USUAL.review["declined_rests"].value)
    looked = Ruling(1, RULINGS.index("looked"), UNIVERSAL, DAY[10])
    assert not asks(ruled=looked, through=10 + rests)
    assert asks(ruled=looked, through=11 + rests)
    with_two = facts_of([SCHOOL.calendar(), SCHOOL.enrols(), *SCHOOL.closes_through(40)], [STUDENT])
    later = Ruling(2, RULINGS.index("looked"), UNIVERSAL, DAY[38])
    (found,) = standing_of(follow(ruling_facts(with_two, (0, looked), (0, later)), ASKS)).asks.tolist()
    assert not found


def test_what_becomes_unknown_after_somebody_has_looked_is_asked_about_at_once() -> None:
    """In autumn nothing is known of attendance for twenty days; whoever looked in spring was asked about the survey alone."""
    spring, autumn = School(days=school_days(30)), School(days=school_days(25, date(2025, 8, 18)), year=2026)
    said = [spring.calendar(), autumn.calendar(), spring.enrols(), *spring.closes_through(30)]
    looked = Ruling(1, RULINGS.index("looked"), UNIVERSAL, day_number(spring.days[28]))

    def asked(*names: str, autumn_days: int, ruled: Ruling = looked) -> bool:
        facts = ruling_facts(facts_of([*said, *autumn.closes_through(autumn_days)], [STUDENT]), (0, ruled))
        return bool(standing_of(follow(facts, asking(*names))).asks[0])

    assert not asked("adult_support", autumn_days=5)
    assert not asked("adult_support", "attendance", autumn_days=0)
    assert asked("adult_support", "attendance", autumn_days=5)
    both = Ruling(1, RULINGS.index("looked"), UNIVERSAL, day_number(autumn.days[3]))
    assert not asked("adult_support", "attendance", autumn_days=5, ruled=both)


def test_a_policy_that_follows_rests_too_for_the_clauses_that_it_has_asked_about() -> None:
    facts = facts_of([SCHOOL.calendar(), SCHOOL.enrols(), *SCHOOL.closes_through(15)], [STUDENT])
    looked = ruling_facts(facts, (0, Ruling(1, RULINGS.index("looked"), UNIVERSAL, DAY[10])))
    ((_, other),) = asking("attendance", "adult_support")

    def asked(*policies: tuple[int, Any]) -> bool:
        return bool(standing_of(follow(looked, policies)).asks[0])

    ((_, one),) = ASKS
    assert not asked(*ASKS, (DAY[12], one))
    assert asked(*ASKS, (DAY[12], other))
    assert not asked(*ASKS, (DAY[8], other))


def test_nothing_is_asked_of_a_grade_that_is_exempt_under_the_policy_of_the_last_closed_day() -> None:
    west, other = School("west", days=SCHOOL.days), named("student", 1)
    events = [SCHOOL.calendar(), SCHOOL.enrols(grade="Preschool"), *SCHOOL.closes_through(10)]
    events += [west.calendar(), west.enrols(other, grade="Preschool"), *west.closes_through(30)]
    facts, exempts = facts_of(events, [STUDENT, other]), policy_of(ASKING | {"exempt_grades": ["Preschool"]})

    def asked(policies: Policies) -> list[bool]:
        return [bool(each) for each in standing_of(follow(facts, policies)).asks]

    later = day_number(SCHOOL.days[20])
    assert asked(ASKS) == [True, True]
    assert asked(always(exempts)) == [False, False]
    assert asked([*always(exempts), (later, policy_of(ASKING))]) == [False, True]
    assert asked([*ASKS, (later, exempts)]) == [True, False]


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


@settings(max_examples=60)
@given(districts(), DAYS)
def test_since_when_a_signal_stands_is_what_the_course_says_of_its_last_day(events: list[Event], first: int) -> None:
    students = sorted({event.student_id for event in events if hasattr(event, "student_id")}) or [STUDENT]
    facts = facts_of(events, students)
    courses = follow(facts, [*always(USUAL), (first, OTHER)])
    for place, since in enumerate(signals_since(courses)):
        course = course_of(facts, courses, place)
        wanted: dict[str, date] = {}
        for each in course.found() if len(course) else ():
            if each.since is not None:
                wanted[each.clause.signal] = min(each.since, wanted.get(each.clause.signal, each.since))
        assert since == (wanted if len(course) else None)
