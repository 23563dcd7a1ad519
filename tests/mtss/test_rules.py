"""The rules by themselves: tables and properties, no database."""

import json
from datetime import date, timedelta

import pytest

from common.events import Cause, Event, Tier
from mtss.rules import NOTHING, Course, Said, cause_of, standing_of, what_would_change
from mtss.rules.signals.attendance_share import band
from tests.mtss.made_up import STUDENT, School, course_by_rules, named, policy, school_days


def course(school: School, *events: Event, through: int = 180, enrolment: Event | None = None) -> Course:
    return course_by_rules([school.calendar(), enrolment or school.enrols(), *school.closes_through(through), *events])


def tiers(course: Course) -> list[str]:
    return [day.tier.value for day in course.days()]


def holds(course: Course, clause: str) -> list[bool | None]:
    return [day.clauses[clause] for day in course.days()]


def test_a_day_that_is_open_between_closed_ones_is_told_as_open() -> None:
    school = School()
    found = course_by_rules([school.calendar(), school.enrols(), *school.closes(0, 1, 3)])
    assert [day.closed for day in found.days()] == [True, True, False, True]


# Attendance


@pytest.mark.parametrize(("absent", "chronic"), [(18, True), (17, False)])
def test_18_of_180_is_chronic_and_17_is_not(absent: int, chronic: bool) -> None:
    school = School()
    missed = [school.absent(day) for day in range(180 - absent, 180)]
    assert holds(course(school, *missed), "attendance")[-1] is chronic


def test_shares_are_exact_to_the_hundredth_of_a_day() -> None:
    school = School(days=school_days(30))
    just_under = [school.absent(28), school.absent(29), school.absent(27, hundredths=99)]
    assert holds(course(school, *just_under, through=30), "attendance")[-1] is False
    assert holds(course(school, *just_under, school.absent(26, hundredths=1), through=30), "attendance")[-1] is True


def test_nothing_is_known_before_20_enrolled_days() -> None:
    school = School(days=school_days(25))
    every_day = [school.absent(day) for day in range(25)]
    found = course(school, *every_day, through=25)
    assert holds(found, "attendance") == [None] * 19 + [True] * 6
    assert tiers(found) == ["universal"] * 19 + ["targeted"] * 6


def test_the_20th_day_in_a_row_under_8_percent_is_already_universal() -> None:
    school = School()
    found = course(school, school.absent(0), school.absent(1))
    # 2 of 20 is 10 percent on day 20; 2 of 26 is under 8 percent on day 26; the 20th such day is day 45.
    assert tiers(found) == ["universal"] * 19 + ["targeted"] * 25 + ["universal"] * 136


def test_a_day_at_8_percent_begins_the_count_anew() -> None:
    school = School()
    missed = [school.absent(0), school.absent(1), school.absent(30)]
    found = course(school, *missed)
    # 3 of 31 is over 8 percent; 3 of 38 is under it; the 20th such day is day 57.
    assert tiers(found)[43:58] == ["targeted"] * 13 + ["universal"] * 2


def test_open_days_neither_count_nor_reset() -> None:
    school = School()
    left_open = {30, 31, 32}
    closed = [day for day in range(180) if day not in left_open]
    found = course_by_rules(
        [school.calendar(), school.enrols(), school.absent(0), school.absent(1), *school.closes(*closed)]
    )
    assert tiers(found).index("universal", 20) == 44 + len(left_open)
    assert [holds(found, "attendance")[day] for day in left_open] == [True] * 3
    assert found.clauses(32)[0].evidence["days_enrolled"] == 30


def test_an_open_day_is_unknown_where_nothing_stands() -> None:
    school = School()
    found = course_by_rules([school.calendar(), school.enrols(), *school.closes(*range(30), 31)])
    assert holds(found, "attendance")[28:32] == [False, False, None, False]


def test_an_absence_on_an_open_day_counts_nothing() -> None:
    school = School(days=school_days(22))
    missed = [school.absent(20), school.absent(5)]
    found = course_by_rules([school.calendar(), school.enrols(), *missed, *school.closes(*range(20), 21)])
    assert found.clauses()[0].evidence["days_absent"] == 1.0


def test_a_tier_stands_through_the_summer_and_the_exit_counts_only_from_20_days_on() -> None:
    spring, autumn = School(days=school_days(40)), School(days=school_days(60, date(2025, 8, 18)), year=2026)
    missed = [spring.absent(day) for day in range(30, 40)]
    events = [
        spring.calendar(),
        autumn.calendar(),
        spring.enrols(),
        *missed,
        *spring.closes_through(40),
        *autumn.closes_through(60),
    ]
    found = course_by_rules(events)
    assert tiers(found)[40 : 40 + 38] == ["targeted"] * 38
    # Nothing missed: under 8 percent from the 20th day of the new year on, so the 20th such day is its 39th.
    assert tiers(found)[40 + 38 :] == ["universal"] * 22


def test_the_exit_count_goes_on_over_the_days_that_tell_nothing() -> None:
    spring, autumn = School(days=school_days(41)), School(days=school_days(60, date(2025, 8, 18)), year=2026)
    missed = [spring.absent(0), spring.absent(1)]
    events = [
        spring.calendar(),
        autumn.calendar(),
        spring.enrols(),
        *missed,
        *spring.closes_through(41),
        *autumn.closes_through(60),
    ]
    # 16 days under 8 percent in spring (26 to 41); 19 days that tell nothing; the 20th is the 23rd day of the new year.
    assert tiers(course_by_rules(events)).index("universal", 20) == 41 + 22


def test_implied_days_are_counted_in_the_evidence() -> None:
    school = School()
    found = course_by_rules(
        [school.calendar(), school.enrols(), *school.closes_through(8), *school.closes(8, 9, implied=True)]
    )
    assert found.clauses()[0].evidence == {
        "days_absent": 0.0,
        "days_enrolled": 10,
        "days_implied": 2,
        "through": school.days[9].isoformat(),
        "school_year": 2025,
        "band": None,
        "days_in_a_row_below_exit": 0,
    }
    assert [day.implied for day in found.days()][7:] == [False, True, True]


@pytest.mark.parametrize(
    ("hundredths", "enrolled", "name"),
    [
        (0, 19, None),
        (99, 20, "none"),
        (100, 20, "watch"),
        (199, 20, "watch"),
        (200, 20, "targeted"),
        (400, 20, "intensive"),
    ],
)
def test_bands_are_5_and_10_and_20_percent(hundredths: int, enrolled: int, name: str | None) -> None:
    assert band(hundredths, enrolled, policy().clauses["attendance"]) == name


# Enrolments


def test_days_count_from_entry_to_exit_and_both_count() -> None:
    school = School()
    stays = school.enrols(entry_on=school.days[10], exit_on=school.days[39])
    found = course(school, enrolment=stays)
    assert (found.on(0), found.on(-1)) == (school.days[10], school.days[39])
    assert found.clauses()[0].evidence["days_enrolled"] == 30


def test_a_no_show_has_no_course() -> None:
    school = School()
    assert len(course(school, enrolment=school.enrols(exit_on=school.days[0]))) == 0


def test_an_enrolment_without_a_calendar_or_a_closed_day_has_no_course() -> None:
    school = School()
    assert len(course_by_rules([school.enrols()])) == 0
    assert len(course_by_rules([school.enrols(), *school.closes_through(3)])) == 0
    assert len(course_by_rules([school.enrols(), school.calendar()])) == 0


@pytest.mark.parametrize(("first_is_primary", "counts"), [(True, "A"), (False, "B")])
def test_the_primary_school_counts_else_the_latest_entry(first_is_primary: bool, counts: str) -> None:
    first, second = School("A"), School("B")
    enrolments = [
        first.enrols(primary=first_is_primary),
        second.enrols(entry_on=second.days[5], primary=False),
    ]
    events = [first.calendar(), second.calendar(), *enrolments, *first.closes_through(10), *second.closes_through(10)]
    found = course_by_rules(events)
    assert [found.school(day) for day in (0, 4, 5, 9)] == ["A", "A", counts, counts]


def test_an_earlier_day_that_another_school_left_open_counts_in_neither() -> None:
    first, second = School("A"), School("B")
    moves = [first.enrols(exit_on=first.days[19]), second.enrols(entry_on=second.days[20])]
    missed = [first.absent(18), first.absent(19), first.absent(17)]
    closed = [*first.closes_through(15), *second.closes(*range(20, 30))]
    found = course_by_rules([first.calendar(), second.calendar(), *moves, *missed, *closed])
    evidence = found.clauses()[0].evidence
    assert (evidence["days_enrolled"], evidence["days_absent"]) == (25, 0.0)
    assert (len(found), found.on(-1)) == (30, second.days[29])


def test_a_day_of_two_school_years_belongs_to_the_later_one() -> None:
    school = School(days=school_days(10))
    later = School(days=school.days[5:], year=2026)
    found = course_by_rules([later.calendar(), school.calendar(), school.enrols(), *school.closes_through(10)])
    assert [day.school_year for day in found.days()] == [2025] * 5 + [2026] * 5


# Adult support


@pytest.mark.parametrize(("mean", "low"), [(2.5, True), (2.6, False), (1.0, True)])
def test_a_mean_of_two_and_a_half_or_less_stands(mean: float, low: bool) -> None:
    school = School()
    found = course(school, school.scores(10, mean), through=12)
    assert holds(found, "adult_support") == [None] * 10 + [low] * 2
    assert found.clauses()[1].evidence == {
        "mean": mean,
        "items_answered": 2,
        "items": 2,
        "prorated": False,
        "answered_on": school.days[10].isoformat(),
    }


def test_it_ends_with_a_later_score_above_the_cut_and_not_with_a_prorated_one() -> None:
    school = School()
    scores = [school.scores(3, 2.0), school.scores(6, 4.0, window=1, prorated=True), school.scores(9, 4.0, window=2)]
    found = course(school, *scores, through=12)
    assert tiers(found) == ["universal"] * 3 + ["targeted"] * 6 + ["universal"] * 3
    assert [day.clauses["adult_support"] for day in found.days()][6:9] == [True] * 3


def test_a_prorated_score_alone_is_unknown_and_shown() -> None:
    school = School()
    found = course(school, school.scores(3, 1.0, prorated=True), through=5)
    clause = found.clauses()[1]
    assert (clause.holds, clause.evidence["prorated"]) == (None, True)
    assert "in part" in clause.in_words


def test_of_two_scores_of_one_day_the_low_one_is_heard() -> None:
    school = School()
    found = course(school, school.scores(3, 1.5), school.scores(3, 4.5, window=1), through=5)
    assert holds(found, "adult_support")[-1] is True
    assert found.clauses()[1].evidence["mean"] == 1.5


def test_a_score_of_the_weekend_is_heard_on_monday() -> None:
    school = School()
    on_saturday = school.scores(4, 2.0).model_copy(update={"answered_on": school.days[4] + timedelta(days=1)})
    assert tiers(course(school, on_saturday, through=7)) == ["universal"] * 5 + ["targeted"] * 2


# Referrals


def test_two_referrals_stand_until_the_next_school_year() -> None:
    school, later = School(days=school_days(10)), School(days=school_days(5, date(2025, 8, 18)), year=2026)
    referrals = [school.refers(2, 1), school.refers(4, 2)]
    events = [
        school.calendar(),
        later.calendar(),
        school.enrols(),
        *referrals,
        *school.closes_through(10),
        *later.closes_through(5),
    ]
    found = course_by_rules(events)
    assert tiers(found) == ["universal"] * 4 + ["targeted"] * 6 + ["universal"] * 5
    assert found.clauses(9)[2].evidence["referrals"] == 2


def test_two_behaviours_in_one_incident_are_one_referral() -> None:
    school = School()
    found = course(school, school.refers(2, 1), school.refers(2, 1, behaviour=1), through=5)
    assert found.clauses()[2].evidence["referrals"] == 1


def test_what_happens_in_the_summer_belongs_to_no_school_year() -> None:
    school, later = School(days=school_days(10)), School(days=school_days(5, date(2025, 8, 18)), year=2026)
    in_summer = [school.refers(0, number).model_copy(update={"on": date(2025, 7, number)}) for number in (1, 2)]
    events = [
        school.calendar(),
        later.calendar(),
        school.enrols(),
        *in_summer,
        *school.closes_through(10),
        *later.closes_through(5),
    ]
    assert set(tiers(course_by_rules(events))) == {"universal"}


# Intensive: a person decides


def test_two_signals_or_a_severe_one_are_put_before_a_person() -> None:
    school = School(days=school_days(30))
    low, referrals = school.scores(3, 2.0), [school.refers(day, day) for day in range(5, 11)]
    candidate = [day.intensive_candidate for day in course(school, low, *referrals[:2], through=10).days()]
    assert candidate == [False] * 6 + [True] * 4
    candidate = [day.intensive_candidate for day in course(school, *referrals, through=12).days()]
    assert candidate == [False] * 10 + [True] * 2
    missed = [school.absent(day) for day in range(4)]
    candidate = [day.intensive_candidate for day in course(school, *missed, through=30).days()]
    assert candidate == [False] * 19 + [True] * 11


def test_nobody_is_assigned_to_intensive() -> None:
    school = School(days=school_days(30))
    assert set(tiers(course(school, *(school.absent(day) for day in range(30)), through=30))) == {
        "universal",
        "targeted",
    }


# Evidence


def test_a_clause_that_stands_shows_its_entry_too() -> None:
    school = School()
    clause = course(school, school.absent(0), school.absent(1), through=40).clauses()[0]
    assert (clause.since, clause.at_entry) == (school.days[19], clause.at_entry)
    assert clause.at_entry is not None
    assert (clause.at_entry["days_absent"], clause.at_entry["days_enrolled"]) == (2.0, 20)
    assert (clause.evidence["days_enrolled"], clause.evidence["days_in_a_row_below_exit"]) == (40, 15)
    assert json.dumps(clause.document(), default=date.isoformat)


def test_on_its_entry_day_the_evidence_is_said_once() -> None:
    school = School()
    clause = course(school, school.absent(0), school.absent(1), through=20).clauses()[0]
    assert (clause.since, clause.at_entry) == (school.days[19], None)


@pytest.mark.parametrize(
    ("absent", "through", "said"),
    [
        ((0, 1), 40, "This ends after 20 school days in a row"),
        ((0, 1), 10, "Attendance is looked at once 20 school days are known"),
        ((0,), 30, "Extra support begins once 10 percent or more"),
    ],
)
def test_sentences_say_the_rule(absent: tuple[int, ...], through: int, said: str) -> None:
    school = School()
    clause = course(school, *(school.absent(day) for day in absent), through=through).clauses()[0]
    assert said in f"{clause.in_words} {clause.what_would_change_it}"


def test_implied_days_are_said_in_words() -> None:
    school = School()
    found = course_by_rules([school.calendar(), school.enrols(), *school.closes(0, implied=True)])
    assert "For 1 day of these the school sent no list" in found.clauses()[0].in_words


def test_a_tier_says_what_would_change_it() -> None:
    school = School()
    universal = course(school, through=30)
    low = course(school, school.scores(3, 2.0), school.refers(3, 1), through=30)
    both = course(school, school.scores(3, 2.0), school.refers(3, 1), school.refers(4, 2), through=30)
    assert "Extra support begins" in what_would_change(Tier.UNIVERSAL, universal.clauses(), policy())
    assert what_would_change(Tier.TARGETED, low.clauses(), policy()).startswith(
        "Extra support stands until its ground is gone."
    )
    assert "all of its grounds are gone" in what_would_change(Tier.TARGETED, both.clauses(), policy())
    assert "decided again" in what_would_change(None, (), policy())


# The ledger

_EARLY, _LATE = date(2026, 9, 1), date(2026, 10, 1)
_UNIVERSAL, _TARGETED = Tier.UNIVERSAL, Tier.TARGETED


@pytest.mark.parametrize(
    ("last", "now", "cause"),
    [
        (NOTHING, NOTHING, None),
        (Said(None, _EARLY), Said(None, _LATE), None),
        (NOTHING, Said(_UNIVERSAL, _EARLY), Cause.ENROLLED),
        (NOTHING, Said(_TARGETED, _EARLY), Cause.ENTERED),
        (Said(_UNIVERSAL, _EARLY), Said(_UNIVERSAL, _EARLY), None),
        (Said(_UNIVERSAL, _EARLY), Said(_UNIVERSAL, _LATE), Cause.CORRECTED),
        (Said(_UNIVERSAL, _EARLY), Said(_TARGETED, _LATE), Cause.ENTERED),
        (Said(_UNIVERSAL, _EARLY), Said(_TARGETED, _EARLY), Cause.ENTERED),
        (Said(_UNIVERSAL, _LATE), Said(_TARGETED, _EARLY), Cause.CORRECTED),
        (Said(_TARGETED, _EARLY), Said(_TARGETED, _LATE), Cause.CORRECTED),
        (Said(_TARGETED, _EARLY), Said(_UNIVERSAL, _LATE), Cause.EXITED),
        (Said(_TARGETED, _EARLY), Said(_UNIVERSAL, _EARLY), Cause.WITHDRAWN),
        (Said(_TARGETED, _LATE), Said(_UNIVERSAL, _EARLY), Cause.WITHDRAWN),
        (Said(_TARGETED, _EARLY), NOTHING, Cause.CORRECTED),
        (Said(None, None), Said(_UNIVERSAL, _EARLY), Cause.ENROLLED),
    ],
)
def test_causes(last: Said, now: Said, cause: Cause | None) -> None:
    assert cause_of(last, now) == cause


def test_students_without_a_course_are_undecided_beside_those_with_one() -> None:
    from mtss.rules import always, follow
    from tests.mtss.made_up import facts_of

    school, other = School(), named("student", 1)
    events = [
        school.calendar(),
        school.enrols(),
        school.enrols(other, entry_on=school.days[50]),
        *school.closes_through(10),
    ]
    standing = standing_of(follow(facts_of(events, [STUDENT, other]), always(policy())))
    assert standing.decided.tolist() == [True, False]
