"""What a rehearsal reports, worked out by hand for small districts."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from common.events import Event
from common.policies import policy_of as district_policy
from mtss import rules
from mtss.rules.equity import Minimum
from mtss.rules.intervals import needed, share
from mtss.rules.rehearsal.comparison import Comparison, read_comparison
from mtss.rules.rehearsal.district import District
from mtss.rules.rehearsal.figures import stayed
from mtss.rules.rehearsal.joining import joined
from mtss.rules.rehearsal.otherwise import alone, moved
from mtss.rules.rehearsal.past import still_running
from mtss.rules.rehearsal.recorded import district_of
from mtss.rules.rehearsal.report import Asked, rehearse
from tests.mtss.made_up import School, facts_of, named, policy, school_days

COMPARISON: Comparison = read_comparison(
    files("mtss").joinpath("policies", "comparison.json").read_text("utf-8"),
    district_policy("mtss")["rehearsal"],
    Minimum(10, 30),
)
ONE, TWO, THREE = (named("student", number) for number in range(3))


def _report(events: Sequence[Event], students: Sequence[Any] = (ONE,), **asked: Any) -> dict[str, Any]:
    wanted = Asked(policy(), policy(), replace(COMPARISON, steps_each_way=0), **asked)
    steps: list[None] = []
    report = rehearse(_district(events, students, wanted), wanted, lambda: steps.append(None))
    assert len(steps) == wanted.steps
    return report


def _district(events: Sequence[Event], students: Sequence[Any], asked: Asked) -> District:
    return district_of(facts_of(events, students), asked.policies)


def _year(*absent: int, student: Any = ONE, school: School | None = None) -> list[Event]:
    """One student's whole year of 180 days, missed on the days at these places."""
    at = school or School()
    events: list[Event] = [at.calendar(), at.enrols(student), *at.closes_through(len(at.days))]
    return [*events, *(at.absent(day, student) for day in absent)]


def _early(report: dict[str, Any], version: str, end: str = "chronic") -> dict[str, Any]:
    (found,) = [of["early"][end] for of in report["policies"] if of["version"] == version][:1]
    return dict(found)


@pytest.mark.parametrize(("count", "of"), [(0, 10), (1, 10), (5, 10), (10, 10), (37, 240), (3, 4000)])
def test_a_share_has_wilsons_interval(count: int, of: int) -> None:
    theirs = binomtest(count, of).proportion_ci(method="wilson")

    ours = share(count, of)

    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_a_share_of_nothing_is_none() -> None:
    assert share(0, 0).share is None
    assert needed(share(0, 0)).students is None


def test_the_number_needed_to_support_is_the_inverse_of_precision_with_its_ends() -> None:
    precision = share(20, 80)

    found = needed(precision)

    assert (found.students, found.low, found.high) == (4, 1 / (precision.high or 0), 1 / (precision.low or 0))


def test_a_year_is_certain_to_end_at_ten_percent_with_the_eighteenth_of_180_days() -> None:
    report = _report(_year(*range(0, 54, 3)))

    early = _early(report, "default-1")

    # 18 absences, the last on day 51; more than 10 percent of day 20, the first that is known: 7 of 20.
    assert early["ended"] == 1
    assert early["in_time"]["count"] == 1
    assert early["school_days_ahead"] == {"quartiles": [51 - 19] * 3, "of": 1}


def test_seventeen_of_180_days_is_a_year_that_did_not_end_so() -> None:
    report = _report(_year(*range(0, 51, 3)))

    early = _early(report, "default-1")

    assert (early["ended"], early["precision"]["count"], early["precision"]["of"]) == (0, 0, 1)
    assert early["sensitivity"]["share"] is None


def test_a_rule_that_looks_at_the_end_of_the_year_is_precise_and_too_late() -> None:
    report = _report(_year(*range(0, 54, 3)))

    early = _early(report, "flat-10-at-year-end")

    assert (early["sensitivity"]["count"], early["in_time"]["count"], early["precision"]["share"]) == (1, 0, 1.0)
    assert early["school_days_ahead"]["quartiles"][1] == 51 - 179
    assert "daily" not in report["policies"][2]


def test_the_first_thirty_days_do_not_see_what_comes_later() -> None:
    report = _report(_year(*range(60, 100)))

    assert _early(report, "first-30-days")["sensitivity"]["count"] == 0
    assert _early(report, "last-45-days")["sensitivity"]["count"] == 1
    assert _early(report, "last-45-days", "severe")["ended"] == 1


def test_a_student_enrolled_for_less_than_the_minimum_ends_no_year() -> None:
    at = School()
    events = [
        at.calendar(),
        at.enrols(exit_on=at.days[15]),
        *at.closes_through(180),
        *(at.absent(day) for day in range(5)),
    ]

    assert _early(_report(events), "default-1")["ended"] == 0


def test_support_that_stands_from_the_year_before_counts_from_the_first_day() -> None:
    before = School(days=school_days(60), year=2025)
    after = School(days=school_days(60, date(2025, 8, 18)), year=2026)
    events = [
        before.calendar(),
        after.calendar(),
        before.enrols(),
        *before.closes_through(60),
        *after.closes_through(60),
    ]
    events += [each.absent(day) for each in (before, after) for day in range(0, 60, 5)]

    report = _report(events, school_years=[2026])

    # The sixth absence of the year, on day 25, is a tenth of 60 days.
    assert report["school_years"] == [2026]
    assert _early(report, "default-1")["school_days_ahead"]["quartiles"][1] == 25
    assert report["policies"][0]["flow"]["entries"] == 0
    assert report["policies"][0]["flow"]["students"] == 1


@pytest.mark.parametrize(("missed", "found", "ahead"), [(range(0, 60, 5), 1, 25 - 29), (range(30, 60, 4), 0, None)])
def test_the_first_thirty_days_of_one_year_say_nothing_of_the_next(
    missed: range, found: int, ahead: int | None
) -> None:
    before = School(days=school_days(60), year=2025)
    after = School(days=school_days(60, date(2025, 8, 18)), year=2026)
    events = [before.calendar(), after.calendar(), before.enrols()]
    events += [*before.closes_through(60), *after.closes_through(60), *(before.absent(day) for day in range(0, 30, 5))]
    events += [after.absent(day) for day in missed]

    early = _early(_report(events, school_years=[2026]), "first-30-days")

    # It has seen the 30 days of the second year on day 29, and not on its first day, because of the year before.
    assert (early["ended"], early["sensitivity"]["count"]) == (1, found)
    assert early["school_days_ahead"]["quartiles"][1] == ahead


def test_who_has_no_counted_day_in_the_years_rehearsed_is_no_student_of_the_report() -> None:
    at = School()
    no_show = at.enrols(TWO, exit_on=at.days[0])
    of_another_year = School(days=school_days(60, date(2023, 8, 21)), year=2024)
    before = [of_another_year.calendar(), of_another_year.enrols(THREE, exit_on=of_another_year.days[50])]
    events = [*_year(*range(0, 54, 3)), no_show, *before, *of_another_year.closes_through(60)]

    assert _report(events, (ONE, TWO, THREE), school_years=[2025])["students"] == 1


def test_a_caseload_is_held_against_the_places_that_the_school_has() -> None:
    document = copy.deepcopy(dict(policy().document))
    document["places"] = {"100": {"targeted": {"value": 0, "unit": "students", "source": "local"}}}
    asked = Asked(rules.policy_of(document), policy(), replace(COMPARISON, steps_each_way=0))
    events = _year(*range(0, 54, 3))

    places = rehearse(_district(events, (ONE,), asked), asked, lambda: None)["places"]

    # From day 19 on, which is in the fourth week of 36.
    assert places["targeted"] == [{"places": 0, "most": 1, "weeks_over": 36 - 3}]
    assert places["intensive"][0]["places"] is None


def test_entries_exits_and_returns_are_counted_in_school_days() -> None:
    # 10 percent from day 19; below 8 percent from day 25 on, so that day 44, the twentieth, ends it; back at the tenth percent later.
    events = _year(0, 1, *range(70, 80))

    flow = _report(events)["policies"][0]["flow"]

    assert (flow["students"], flow["entries"], flow["exits"]) == (1, 2, 2)
    assert (flow["students_who_came_back"], flow["returns"]) == (1, 1)
    assert flow["school_days_stayed"]["of"] == 2
    assert flow["school_days_stayed"]["quartiles"][0] == 44 - 19


def test_who_still_stays_at_the_end_is_not_left_out_of_how_long_students_stay() -> None:
    # The first is back below 8 percent and leaves after 25 days; the second and third miss every third day, and stay on.
    soon = _year(0, 1, student=ONE)
    long = [event for each in (TWO, THREE) for event in _year(*range(0, 180, 3), student=each)]

    flow = _report([*soon, *long], (ONE, TWO, THREE))["policies"][0]["flow"]

    assert (flow["entries"], flow["exits"]) == (3, 1)
    # A third of the stays was over after 25 days; when half of them are, nobody knows yet.
    assert flow["school_days_stayed"] == {"quartiles": [44 - 19, None, None], "of": 3}


def test_a_student_who_left_the_district_is_known_to_have_stayed_no_longer_than_until_then() -> None:
    at = School()
    leaver = [at.enrols(TWO, exit_on=at.days[29]), *(at.absent(day, TWO) for day in range(0, 30, 3))]

    flow = _report([*_year(0, 1, student=ONE), *leaver], (ONE, TWO))["policies"][0]["flow"]

    # Eleven days of the second are known, fewer than the 25 of the first: of all that are known for so long, all were over.
    assert (flow["entries"], flow["exits"]) == (2, 1)
    assert flow["school_days_stayed"] == {"quartiles": [25, 25, 25], "of": 2}


@pytest.mark.parametrize(
    ("lengths", "over", "quartiles"),
    [
        # Six, of which those of 4 and 9 days are not over: 5/6 stay on after 1 day, 4/6 after 2, 4/9 after 5, 2/9 after 7.
        ([1, 2, 4, 5, 7, 9], [True, True, False, True, True, False], [2, 5, 7]),
        ([1, 2, 4, 5, 7, 9], [True, True, False, True, False, False], [2, 5, None]),
        ([3, 1, 4, 2], [True] * 4, [1, 2, 3]),
        ([5, 5, 5], [True, False, True], [5, 5, None]),
        ([8, 9], [False, False], [None] * 3),
        ([], [], [None] * 3),
    ],
)
def test_how_long_stays_last_is_kaplan_and_meiers(
    lengths: list[int], over: list[bool], quartiles: list[int | None]
) -> None:
    assert stayed(np.array(lengths, np.int32), np.array(over, np.bool_)) == quartiles


def test_the_caseload_is_that_of_the_last_school_day_of_each_week_at_each_school() -> None:
    events = _year(*range(8), student=ONE, school=School("A")) + _year(student=TWO, school=School("B"))

    report = _report(events, (ONE, TWO))

    assert report["schools"] == ["A", "B"]
    assert report["weeks"][:2] == ["2024-08-23", "2024-08-30"]
    assert report["caseload"]["policy"]["targeted"][2:5] == [[0, 0], [1, 0], [1, 0]]
    assert report["enrolled"][0] == [1, 1]
    assert report["policies"][0]["daily"]["most"] == 1


def test_only_the_schools_that_were_named_are_reported() -> None:
    events = _year(*range(8), student=ONE, school=School("A")) + _year(student=TWO, school=School("B"))

    report = _report(events, (ONE, TWO), schools=["B"])

    assert (report["schools"], report["policies"][0]["daily"]["most"]) == (["B"], 0)


def test_each_clause_is_told_alone_with_those_whom_no_other_finds() -> None:
    at = School()
    events = [
        *_year(*range(8)),
        at.enrols(TWO),
        at.refers(30, 1, TWO),
        at.refers(31, 2, TWO),
        at.refers(40, 3),
        at.refers(41, 4),
    ]

    assert _contributed(events) == {
        ("attendance", "targeted"): (1, 0, 1),
        ("attendance", "intensive"): (0, 0, 0),
        ("adult_support", "targeted"): (0, 0, 0),
        ("adult_support", "intensive"): (0, 0, 0),
        ("referrals", "targeted"): (2, 1, 1),
        ("referrals", "intensive"): (0, 0, 0),
        ("severe_attendance", "intensive"): (1, 0, 1),
        ("severe_referrals", "intensive"): (0, 0, 0),
    }


def test_a_clause_that_a_tier_joins_with_others_calls_for_nobody_alone_and_is_needed_all_the_same() -> None:
    at = School()
    events = [*_year(*range(40, 44)), *(at.absent(day) for day in (50, 52, 54)), at.refers(55, 3), at.refers(56, 4)]

    told = _contributed(events)

    assert told["attendance", "targeted"] == (1, 0, 1)
    assert told["attendance", "intensive"] == told["referrals", "intensive"] == (0, 1, 0)
    assert told["severe_attendance", "intensive"] == (0, 0, 0)


def _contributed(events: list[Event]) -> dict[tuple[str, str], tuple[int, int, int]]:
    """By clause and tier: students for whom it calls for that alone, those for whom nothing else does, and for whom others do too."""
    counts = "students_of_no_other", "students_of_others_too"
    told = _report(events, (ONE, TWO))["alone"]
    return {(of["clause"], of["tier"]): (of["flow"]["students"], *(of[name] for name in counts)) for of in told}


def test_what_is_unknown_is_told_by_clause_school_and_week() -> None:
    at = School()
    events = [*_year(), at.scores(90, 4.0)]

    told = {of["clause"]: of for of in _report(events)["unknown"]}

    assert told["attendance"]["share"] == round(19 / 180, 4)
    assert told["adult_support"]["schools"] == [0.5]
    assert (told["adult_support"]["weeks"][0], told["adult_support"]["weeks"][-1]) == (1.0, 0.0)
    assert told["referrals"]["share"] == 0


def test_years_that_nobody_recorded_give_an_empty_report() -> None:
    report = _report(_year(), school_years=[1999])

    assert (report["weeks"], report["from"], report["school_days"]) == ([], None, 0)
    assert report["policies"][0]["daily"]["mean"] is None
    assert report["policies"][0]["early"]["chronic"]["ended"] == 0
    assert report["unknown"][0]["share"] is None


def test_years_of_schools_that_begin_on_other_days_are_kept_apart() -> None:
    early, late = School("A", year=2025), School("B", days=school_days(180, date(2024, 12, 2)), year=2026)
    events = _year(*range(0, 54, 3), student=ONE, school=early) + _year(*range(0, 54, 3), student=TWO, school=late)

    both, one = (_report(events, (ONE, TWO), school_years=years) for years in ([], [2025]))

    assert (_early(both, "default-1")["ended"], _early(one, "default-1")["ended"]) == (2, 1)


def test_a_year_whose_calendar_goes_on_is_still_running() -> None:
    over, going_on = School("A"), School("B", year=2026)
    facts = facts_of(
        [*_year(school=over), going_on.calendar(), going_on.enrols(), *going_on.closes_through(50)], (ONE,)
    )

    assert still_running(facts) == [2026]


def test_each_number_is_moved_a_little_each_way_on_its_own_grid() -> None:
    found: dict[str, list[Decimal]] = {}
    for each in moved(policy(), 10, 2):
        found.setdefault(each.path.removeprefix("clauses."), []).append(each.value)

    assert found["attendance.entry.at_least"] == [9, 11, 12]  # 8 is no longer above the exit
    assert found["attendance.exit.days_in_a_row"] == [16, 18, 22, 24]
    assert found["referrals.entry.at_least"] == [1, 3, 4]  # none is no number of referrals
    assert found["severe_attendance.entry.at_least"] == [16, 18, 22, 24]
    assert found["tiers.intensive.when.any[2].at_least"] == [1, 3]  # of three clauses
    assert not any("bands" in path for path in found)


def test_the_count_of_an_at_least_is_moved_where_it_stands_and_nothing_else() -> None:
    of = [
        "attendance",
        {"at_least": {"value": 2, "unit": "clauses", "source": "local"}, "of": ["referrals", "adult_support"]},
    ]
    document = copy.deepcopy(dict(policy().document))
    document["tiers"]["targeted"]["when"] = {"all": of}

    (found,) = [each for each in moved(rules.policy_of(document), 10, 1) if each.path.startswith("tiers.targeted")]

    assert [found.path, *found.tiers, found.usual, found.value] == [
        "tiers.targeted.when.all[1].at_least",
        "targeted",
        2,
        1,
    ]
    document["tiers"]["targeted"]["when"]["all"][1]["at_least"]["value"] = 1
    expected = rules.policy_of(document)
    assert (found.policy.targeted, found.policy.intensive) == (expected.targeted, expected.intensive)


def test_a_score_is_moved_no_further_than_its_exit() -> None:
    document = copy.deepcopy(dict(policy().document))
    document["clauses"]["adult_support"]["exit"] = {"above": {"value": 2.7, "unit": "mean", "source": "local"}}
    own = rules.policy_of(document)

    found = [each.value for each in moved(own, 10, 2) if each.path == "clauses.adult_support.entry.at_most"]

    assert found == [Decimal("2.1"), Decimal("2.3")]  # at 2.7 it would begin where it ends


def test_a_minimum_dwell_is_moved_like_any_number() -> None:
    document = copy.deepcopy(dict(policy().document))
    document["clauses"]["attendance"]["minimum_dwell"] = {
        "days": {"value": 30, "unit": "school days", "source": "local"}
    }
    own = rules.policy_of(document)

    found = [each.value for each in moved(own, 10, 1) if each.path.endswith("minimum_dwell.days")]

    assert found == [27, 33]


def test_a_later_first_look_is_a_later_decision() -> None:
    asked = Asked(policy(), policy(), replace(COMPARISON, steps_each_way=1))
    events = _year(*range(0, 54, 3))

    report = rehearse(_district(events, (ONE,), asked), asked, lambda: None)

    points = {(each["path"], each["tier"], each["value"]): each for each in report["sensitivity"]}
    later = points["clauses.attendance.minimum_data.enrolled_days", "targeted", 22.0]
    assert later["school_days_ahead"] == _early(report, "default-1")["school_days_ahead"]["quartiles"][1] - 2
    assert {each["usual"] for each in report["sensitivity"] if "entry" in each["path"]} == {10.0, 2.5, 2.0, 20.0, 6.0}


def test_a_number_of_intensive_support_is_judged_by_those_whose_year_ended_at_twenty_percent() -> None:
    asked = Asked(policy(), policy(), replace(COMPARISON, steps_each_way=1))
    # 7 of 20 days on day 19; the 36th of 180 days, which is certain, on day 105.
    events = _year(*range(0, 108, 3))

    report = rehearse(_district(events, (ONE,), asked), asked, lambda: None)

    points = {(each["path"], each["value"]): each for each in report["sensitivity"]}
    usual, later = (points["clauses.severe_attendance.minimum_data.enrolled_days", days] for days in (20.0, 22.0))
    assert (usual["tier"], usual["school_days_ahead"], later["school_days_ahead"]) == ("intensive", 105 - 19, 105 - 21)
    two, three = (points["tiers.intensive.when.any[2].at_least", count] for count in (2.0, 3.0))
    assert (two["caseload"], three["caseload"]) == (usual["caseload"], usual["caseload"])
    assert points["tiers.intensive.when.any[2].at_least", 1.0]["caseload"] >= usual["caseload"]


def test_a_number_on_which_both_tiers_rest_is_told_for_each() -> None:
    asked = Asked(policy(), policy(), replace(COMPARISON, steps_each_way=1))
    # With two referrals the clause over attendance makes an intensive candidate: 10.7 percent on day 159, 9.4 at the end.
    school = School()
    events = [*_year(*range(30, 166, 8), school=school), school.refers(40, 1), school.refers(41, 2)]

    report = rehearse(_district(events, (ONE,), asked), asked, lambda: None)

    said = [each for each in report["sensitivity"] if each["path"] == "clauses.attendance.entry.at_least"]
    told = {tier: [each["caseload"] for each in said if each["tier"] == tier] for tier in ("targeted", "intensive")}
    lower, usual, higher = told["intensive"]
    assert lower > usual > higher
    assert len(told["targeted"]) == 3


def test_a_number_is_moved_no_further_than_the_checker_allows() -> None:
    document = copy.deepcopy(dict(policy().document))
    document["clauses"]["attendance"] |= {
        "window": "last_days",
        "window_days": {"value": 21, "unit": "school days", "source": "local"},
    }
    own = rules.policy_of(document)

    found = [each.value for each in moved(own, 10, 1) if each.path == "clauses.attendance.minimum_data.enrolled_days"]

    assert found == [18]  # of 22 days in a window of 21 nothing is known


def test_a_clause_alone_asks_where_it_is_unknown() -> None:
    found = alone(policy(), "referrals")

    assert list(found.clauses) == ["referrals"]
    assert found.clauses["referrals"].when_unknown == "ask"


def test_facts_in_parts_become_one_whatever_each_part_names_first() -> None:
    first = _year(3, student=ONE, school=School("B"))
    second = [*_year(5, student=TWO, school=School("A")), School("B").enrols(TWO, grade="Fifth grade")]
    whole = facts_of(first + second, (ONE, TWO))

    one = joined([facts_of(first, (ONE,)), facts_of(first + second, (TWO,))])

    assert (one.students, one.schools, one.grades) == (whole.students, whole.schools, whole.grades)
    ours, theirs = (district_of(facts, [policy()]) for facts in (one, whole))
    assert np.array_equal(ours.missed["all"], theirs.missed["all"])
    assert np.array_equal(ours.stays.school, theirs.stays.school)


def test_the_public_rules_pass_the_checker() -> None:
    from mtss.rules.policy.checking import findings

    found = [finding for rule in COMPARISON.rules for finding in findings(rule.policy)]
    assert [each for each in found if not each.field.startswith("review.")] == []  # nobody acts by them
    assert all(rule.source for rule in COMPARISON.rules)
