"""What would change a clause and a tier: tried on the events themselves, and judged by a second, plain implementation."""

import json
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.events import (
    AttendanceKind,
    AttendanceRecorded,
    Event,
    ExclusionRecorded,
    IncidentRecorded,
    SchoolDayClosed,
    StudentEnrolled,
    SubscaleScore,
    SurveyScored,
)
from mtss.rules import (
    RULINGS,
    Change,
    Changes,
    Least,
    Policy,
    Rulings,
    always,
    course_of,
    day_number,
    follow,
    policy_of,
    what_may_change,
)
from mtss.rules.people import Ruling
from tests.mtss.made_up import STUDENT, School, districts, facts_of, named, school_days
from tests.mtss.oracle import District, standing
from tests.mtss.plain_rehearsal import states_of
from tests.mtss.test_rules_adult import NOBODY
from tests.mtss.test_rules_excluded import EXCLUDED, EXCLUDED_LATELY
from tests.mtss.test_rules_longest import DROP, LONGEST
from tests.mtss.test_rules_policy import TEXT
from tests.mtss.test_rules_tardies import FIRST_SCHOOL_DAYS, LAST_SCHOOL_DAYS, LATELY, TARDIES, late

_ALL: Any = list(HealthCheck)
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
DEFAULT: dict[str, Any] = json.loads(TEXT)
_NEW = 10_000_000
"""Revisions later than any other."""


def number(value: float) -> dict[str, Any]:
    return {"value": value, "unit": "of something", "source": "local"}


def document(when: Any = None, **clauses: Any) -> dict[str, Any]:
    """The default policy with other members of some clauses, and another condition for targeted support."""
    found = deepcopy(DEFAULT)
    for name, members in clauses.items():
        found["clauses"][name] |= members
    if when is not None:
        found["tiers"]["targeted"]["when"] = when
    return found


FEW = {"enrolled_days": number(5)}
EVERY = ["attendance", "adult_support", "referrals"]
POLICIES = [
    DEFAULT,
    document(attendance={"minimum_data": FEW}, when={"at_least": number(2), "of": EVERY}),
    document(
        {"any": ["attendance", "severe_referrals"]},
        attendance={
            "window": "last_days",
            "window_days": number(8),
            "minimum_data": FEW,
            "entry": {"at_least": number(25)},
        },
    ),
    document(
        {"any": ["attendance", "adult_support"]},
        attendance={"window": "first_days", "window_days": number(15), "minimum_data": FEW, "counts": "excused"},
        adult_support={"exit": {"above": number(3)}, "minimum_dwell": {"days": number(4)}},
    ),
    document(
        {"all": ["severe_attendance", "attendance", "referrals"]},
        referrals={"window": "last_days", "window_days": number(20)},
        attendance={
            "minimum_data": FEW,
            "entry": {"at_least": number(12)},
            "exit": {"below": number(11), "days_in_a_row": number(3)},
        },
    ),
]


STREAK = {
    "signal": "absence_streak",
    "counts": "all",
    "entry": {"at_least": number(3)},
    "exit": {"below": number(1), "days_in_a_row": number(4)},
    "when_unknown": "hold",
}
POLICIES.append(document({"any": ["attendance", "severe_attendance"]}))
POLICIES[-1]["clauses"]["severe_attendance"] = STREAK
POLICIES += [LONGEST, DROP, TARDIES, LATELY, EXCLUDED, EXCLUDED_LATELY, NOBODY]


def changes(events: Sequence[Event], policy: Policy, student: UUID = STUDENT) -> Changes:
    facts = facts_of(events, [student])
    found = follow(facts, always(policy))
    return what_may_change(facts, found, always(policy), [0]).get(0, {})


def now(events: Sequence[Event], document: dict[str, Any], student: UUID) -> tuple[dict[str, bool], bool]:
    """Which clauses stand on the last closed day, by the rules; and whether the tier is targeted, with a pencil."""
    facts = facts_of(events, [student])
    course = course_of(facts, follow(facts, always(policy_of(document))), 0)
    states = states_of(events, document, student)
    return {each.clause: each.holds is True for each in course.clauses()}, bool(states[max(states)] & 1)


class Ahead:
    """One student's days from the last closed one on."""

    def __init__(self, events: Iterable[Event], student: UUID) -> None:
        district, self.student = District(events), student
        self.last, school = district.school_days(student)[-1]
        year = district.year_of[school, self.last]
        dates = sorted({on for _, on in district.year_of if on > self.last})
        places = [(on, district.school_on(student, on) or "") for on in dates]
        self.days = [each for each in places if district.year_of.get((each[1], each[0])) == year]
        self.known = [each for each in standing(events) if not self._later(each)]

    def _later(self, event: Event) -> bool:
        match event:
            case AttendanceRecorded() | IncidentRecorded() | ExclusionRecorded():
                return event.on > self.last
            case SurveyScored():
                return event.answered_on > self.last
        return False

    def names_nobody(self) -> bool:
        """Whether the last complete survey names no adult."""
        said = District(self.known).scores.get(self.student, [])
        return bool(said) and min(mean for on, mean in said if on == max(said)[0]) == 1

    def after(self, days: int, *more: Event) -> list[Event]:
        """The facts when so many further days are closed."""
        closed = [
            SchoolDayClosed(school_id=school, on=on, revision=_NEW + at)
            for at, (on, school) in enumerate(self.days[:days])
        ]
        return [*self.known, *closed, *more]

    def with_so_much(self, change: Change, amount: float, kind: AttendanceKind, through: date) -> list[Event]:
        """So much of what would change it from the next day on; and all days closed through one."""
        more: list[Event] = []
        (first, school), student = self.days[0], self.student
        if change.by == "missing":
            more = [
                AttendanceRecorded(
                    student_id=student, school_id=school, on=on, hundredths_absent=100, kind=kind, revision=_NEW
                )
                for on, school in self.days[: int(amount)]
            ]
        elif change.by == "tardies":
            more = [
                AttendanceRecorded(
                    student_id=student,
                    school_id=school,
                    on=on,
                    hundredths_absent=0,
                    kind=AttendanceKind.TARDY,
                    revision=_NEW,
                )
                for on, school in self.days[: int(amount)]
            ]
        elif change.by == "referrals":
            more = [
                IncidentRecorded(
                    association_id=named("new", at),
                    incident_id=named("new", at),
                    student_id=student,
                    school_id=school,
                    on=first,
                    revision=_NEW,
                )
                for at in range(int(amount))
            ]
        elif change.by == "exclusions":
            more = [School(school, [first]).excludes(0, 99, amount, student)] if amount > 0 else []
        elif change.by in ("score_of", "surveys") and amount:
            mean = amount if change.by == "score_of" else 1 + self.names_nobody()
            score = SubscaleScore(subscale="adult_support", mean=mean, answered=1, items=1, prorated=False)
            more = [
                SurveyScored(
                    student_id=student,
                    window_id=named("new"),
                    school_id=school,
                    instrument="belonging-8",
                    answered_on=first,
                    scores=(score,),
                    revision=_NEW,
                )
            ]
        return self.after([on for on, _ in self.days].index(through) + 1, *more)


def one_step_less(change: Change, least: Least, stands: bool) -> float:
    if change.by == "score_of":
        return round(least.amount + (-0.01 if stands else 0.01), 2)
    return least.amount - (0.01 if change.by == "exclusions" else 1)


@settings(max_examples=60, suppress_health_check=_ALL)
@given(districts(students=1), st.sampled_from(POLICIES))
def test_what_is_said_changes_the_clause_and_the_tier_and_one_step_less_does_not(
    events: list[Event], document: dict[str, Any]
) -> None:
    students = {each.student_id for each in events if isinstance(each, StudentEnrolled)}
    policy = policy_of(document)
    for student in students:
        found = changes(events, policy, student)
        if not found:
            continue
        ahead = Ahead(events, student)
        before, tier = now(ahead.after(0), document, student)
        for name, change in found.items():
            kind = (
                AttendanceKind.EXCUSED
                if policy.clauses[name].texts.get("counts") == "excused"
                else AttendanceKind.PARTIAL
            )
            check(ahead, document, change, change.clause, before[name], kind, name)
            check(ahead, document, change, change.tier, tier, kind, None, stands=before[name])


def check(
    ahead: Ahead,
    document: dict[str, Any],
    change: Change,
    least: Least | None,
    was: bool,
    kind: AttendanceKind,
    clause: str | None,
    stands: bool | None = None,
) -> None:
    def then(events: list[Event]) -> bool:
        clauses, tier = now(events, document, ahead.student)
        return tier if clause is None else clauses[clause]

    assert change.school_days_left == len(ahead.days)
    if least is None:
        if change.by == "school_days" and ahead.days:
            assert then(ahead.after(len(ahead.days))) is was
        return
    through = [on for on, _ in ahead.days].index(least.on) + 1
    if change.by == "school_days":
        assert through == least.amount
        assert then(ahead.after(through)) is not was
        assert then(ahead.after(through - 1)) is was
        return
    assert then(ahead.with_so_much(change, least.amount, kind, least.on)) is not was
    less = one_step_less(change, least, was if stands is None else stands)
    assert then(ahead.with_so_much(change, less, kind, least.on)) is was or then(ahead.after(through)) is not was


# By hand


def after(school: School, *events: Event, through: int, document: dict[str, Any] = DEFAULT) -> Changes:
    said = [school.calendar(), school.enrols(), *school.closes_through(through), *events]
    return changes(said, policy_of(document))


def test_days_in_a_row_present_until_exit_are_those_of_the_calendar() -> None:
    school = School(days=school_days(50))
    said = [school.absent(0), school.absent(1)]
    # 2 of 26 is the first share under 8 percent, so the 20th such day is the 45th.
    least = Least(25, school.days[44])
    assert after(school, *said, through=20)["attendance"] == Change("school_days", least, least, 30)


def test_an_exit_that_the_school_year_has_no_days_for_is_not_reachable() -> None:
    school = School(days=school_days(44))
    said = [school.absent(0), school.absent(1)]
    assert after(school, *said, through=20)["attendance"] == Change("school_days", None, None, 24)


def test_the_next_school_year_is_not_this_one() -> None:
    school, later = School(days=school_days(30)), School(days=school_days(60, date(2025, 8, 18)), year=2026)
    said = [school.absent(0), school.absent(1), later.calendar()]
    assert after(school, *said, through=20)["attendance"] == Change("school_days", None, None, 10)


def test_the_fewest_days_missed_are_told_with_the_day_on_which_they_show() -> None:
    school = School(days=school_days(50))
    at_once = Least(2, school.days[23])
    later = Least(2, school.days[19])
    assert after(school, school.absent(0), through=22)["attendance"] == Change("missing", at_once, at_once, 28)
    # Before the 20th day nothing is known; by then 2 days are enough.
    assert after(school, through=10)["attendance"] == Change("missing", later, later, 40)


def test_in_the_last_and_in_the_first_days_so_many_are_enough_as_fit_into_them() -> None:
    school = School(days=school_days(50))
    assert after(school, through=30, document=POLICIES[2])["attendance"].clause == Least(2, school.days[31])
    assert after(school, through=6, document=POLICIES[3])["attendance"].clause == Least(1, school.days[6])


def test_of_the_first_days_no_more_can_be_missed_than_are_left_of_them() -> None:
    school = School(days=school_days(50))
    half = document(
        attendance=POLICIES[3]["clauses"]["attendance"]
        | {"entry": {"at_least": number(50)}, "exit": {"below": number(50)}}
    )
    assert after(school, through=7, document=half)["attendance"].clause == Least(7, school.days[13])
    assert after(school, through=8, document=half)["attendance"].clause is None


def test_once_the_school_year_is_over_no_survey_changes_anything_any_more() -> None:
    school = School(days=school_days(30))
    asked = [school.scores(3, 4.0), school.scores(8, 2.0, window=2)]
    assert after(school, *asked, through=29, document=DROP)["attendance"].clause is not None
    assert after(school, *asked, through=30, document=DROP)["attendance"].clause is None


def test_referrals_and_scores_are_told_exactly() -> None:
    school = School(days=school_days(50))
    found = after(school, school.refers(3, 1), through=30)
    next_day = school.days[30]
    assert found["referrals"] == Change("referrals", Least(1, next_day), Least(1, next_day), 20)
    assert found["severe_referrals"] == Change("referrals", Least(5, next_day), Least(1, next_day), 20)
    assert found["adult_support"] == Change("score_of", Least(2.5, next_day), Least(2.5, next_day), 20)
    low = after(school, school.scores(3, 2.0), through=30)["adult_support"]
    assert low == Change("score_of", Least(2.51, next_day), Least(2.51, next_day), 20)


def test_a_streak_begins_with_the_days_that_are_missing_to_it_and_ends_with_days_attended() -> None:
    school, document = School(days=school_days(50)), POLICIES[5]
    begun = after(school, school.absent(29), through=30, document=document)["severe_attendance"]
    assert begun == Change("missing", Least(2, school.days[31]), Least(2, school.days[31]), 20)
    said = [school.absent(day) for day in (27, 28, 29)]
    ends = after(school, *said, through=30, document=document)["severe_attendance"]
    assert ends.clause == Least(4, school.days[33])
    over = after(school, through=49, document=document)["severe_attendance"]
    assert over == Change("school_days", None, None, 1)


def test_the_longest_streak_begins_with_what_is_missing_to_the_one_that_goes_on() -> None:
    school = School(days=school_days(50))
    said = [school.absent(day) for day in (4, 5, 29)]
    found = after(school, *said, through=30, document=LONGEST)["attendance"]
    assert found.clause == Least(2, school.days[31])
    over = after(school, *(school.absent(day) for day in (4, 5, 6)), through=30, document=LONGEST)["attendance"]
    assert over == Change("school_days", None, None, 20)


def test_the_mean_that_is_a_drop_and_the_one_that_is_none_are_told_in_hundredths() -> None:
    school = School(days=school_days(50))
    first, second = school.scores(3, 5.0, window=1), school.scores(8, 4.0, window=2)
    next_day = school.days[30]
    one = after(school, first, through=30, document=DROP)["attendance"]
    assert one == Change("score_of", Least(4.05, next_day), Least(4.05, next_day), 20)
    both = after(school, first, second, through=30, document=DROP)["attendance"]
    assert both == Change("score_of", Least(3.06, next_day), Least(3.06, next_day), 20)
    assert after(school, through=30, document=DROP)["attendance"].by == "school_days"
    lowest = after(school, school.scores(3, 1.5, window=1), through=30, document=DROP)["attendance"]
    assert lowest == Change("school_days", None, None, 20)


def test_late_days_are_told_as_far_as_they_fit_into_the_window() -> None:
    school = School(days=school_days(50))
    found = after(school, late(3, school), late(28, school), through=30, document=TARDIES)["attendance"]
    assert found == Change("tardies", Least(1, school.days[30]), Least(1, school.days[30]), 20)
    found = after(school, late(3, school), late(28, school), through=30, document=LATELY)["attendance"]
    assert found.clause == Least(2, school.days[31])
    begun = [late(day, school) for day in (27, 28, 29)]
    assert after(school, *begun, through=30, document=LATELY)["attendance"].by == "school_days"
    found = after(school, late(29, school), through=30, document=LAST_SCHOOL_DAYS)["attendance"]
    assert found.clause == Least(2, school.days[31])
    # Two late days are missing, and only the fourth and the fifth day of school are left of the first five.
    for at, expected in ((2, Least(2, school.days[4])), (None, None)):
        told = [] if at is None else [late(at, school)]
        assert after(school, *told, through=3, document=FIRST_SCHOOL_DAYS)["attendance"].clause == expected
    assert after(school, through=49, document=TARDIES)["attendance"].clause is None
    assert after(school, through=50, document=LATELY)["attendance"].clause is None


def test_a_policy_that_counts_from_a_coming_day_on_decides_the_tier_of_that_day() -> None:
    school, later = School(days=school_days(60)), document(attendance={"entry": {"at_least": number(30)}})
    said = [school.calendar(), school.enrols(), *school.closes_through(30), *(school.absent(day) for day in range(3))]
    policies = [*always(policy_of(DEFAULT)), (day_number(school.days[35]), policy_of(later))]
    facts = facts_of(said, [STUDENT])
    found = what_may_change(facts, follow(facts, policies), policies, [0])[0]["attendance"]
    assert found == Change("school_days", Least(27, school.days[56]), Least(6, school.days[35]), 30)


def test_what_alone_changes_no_tier_says_so() -> None:
    school = School(days=school_days(50))
    both = after(school, school.scores(3, 2.0), school.refers(3, 1), school.refers(4, 2), through=30)
    assert both["adult_support"].clause is not None
    assert both["adult_support"].tier is None
    assert both["referrals"] == Change("school_days", None, None, 20)


# What people decided


def ruled(ruling: Ruling, through: int, *said: Event, document: dict[str, Any] = DEFAULT) -> Changes:
    """What would change a student of whom a person decided something."""
    school = School(days=school_days(50))
    facts = facts_of([school.calendar(), school.enrols(), *school.closes_through(through), *said], [STUDENT])
    row = (0, ruling.number, ruling.kind, ruling.tier, ruling.day, ruling.until, 0)
    facts = replace(facts, rulings=Rulings.of(*zip(row, strict=True)), authors=("anna",))
    policies = always(policy_of(document))
    return what_may_change(facts, follow(facts, policies), policies, [0])[0]


UNIVERSAL, TARGETED, INTENSIVE = range(3)
DAYS = school_days(50)


def overridden(tier: int, day: int, until: int) -> Ruling:
    return Ruling(1, RULINGS.index("overridden"), tier, day_number(DAYS[day]), day_number(DAYS[until]))


@pytest.mark.parametrize("day", [20, 33])
def test_an_override_outlasts_what_the_facts_say_and_then_they_count_again(day: int) -> None:
    # On the day 33 the override is younger than the last closed day: it counts from now on all the same.
    lowered = ruled(overridden(UNIVERSAL, day, 39), 30, *(School(days=DAYS).absent(at) for at in range(4)))
    assert lowered["attendance"].clause is None
    assert lowered["attendance"].tier == Least(11, DAYS[40])
    raised = ruled(overridden(TARGETED, day, 39), 30)
    assert raised["attendance"].clause == Least(4, DAYS[33])
    # Days missed change no tier while it stands, and afterwards leave it where it was.
    assert raised["attendance"].tier is None


def test_what_a_person_accepted_and_only_a_person_ends_has_nothing_that_changes_it() -> None:
    accepted = Ruling(1, RULINGS.index("accepted"), INTENSIVE, day_number(DAYS[25]))
    found = ruled(accepted, 30, *(School(days=DAYS).absent(at) for at in range(2)))
    assert {each.tier for each in found.values()} == {None}
    assert found["attendance"].clause == Least(15, DAYS[44])


def test_where_the_policy_asks_a_person_the_clause_may_change_and_the_tier_does_not() -> None:
    asks = document()
    asks["tiers"]["targeted"]["entry"] = "proposed"
    found = after(School(days=DAYS), through=30, document=asks)
    assert found["referrals"].clause == Least(2, DAYS[30])
    assert found["referrals"].tier is None


def test_the_last_day_of_a_school_year_has_nothing_before_it() -> None:
    school = School(days=school_days(30))
    assert {(each.clause, each.tier, each.school_days_left) for each in after(school, through=30).values()} == {
        (None, None, 0)
    }


def test_a_student_without_a_tier_has_nothing_to_change() -> None:
    assert after(School(), through=0) == {}


def test_a_mean_beyond_the_scale_changes_nothing() -> None:
    school = School(days=school_days(50))
    highest = document(adult_support={"entry": {"at_most": number(6.9)}, "exit": {"above": number(7)}})
    found = after(school, school.scores(3, 2.0), through=30, document=highest)
    assert found["adult_support"] == Change("school_days", None, None, 20)
