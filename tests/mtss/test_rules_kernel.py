"""The rehearsal kernel says of every student and day what the closed form and two slow oracles say."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from importlib.resources import files
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from common.events import AttendanceKind, AttendanceRecorded, Event, StudentEnrolled
from mtss.rules import (
    SIGNALS,
    Courses,
    Facts,
    HelpRequests,
    Policy,
    PolicyInvalid,
    always,
    day_number,
    follow,
    policy_of,
    read_policy,
)
from mtss.rules.facts import Flags
from mtss.rules.policy import UNKNOWN as MAYBE
from mtss.rules.rehearsal.kernel import run
from mtss.rules.rehearsal.outcome import CANDIDATE, TARGETED, UNKNOWN, Outcome
from mtss.rules.rehearsal.recorded import district_of
from tests.mtss.made_up import FIRST, STUDENT, School, districts, facts_of, named, school_days
from tests.mtss.oracle import District as Oracle
from tests.mtss.plain_rehearsal import states_of

TEXT = files("mtss").joinpath("policies", "default.json").read_text(encoding="utf-8")
DEFAULT = read_policy(TEXT)


def rehearsed(facts: Facts, policy: Policy, **how: Any) -> Outcome:
    return run(district_of(facts, [policy]), policy, states=True, **how)


def check_against_closed_form(facts: Facts, policy: Policy, outcome: Outcome) -> None:
    courses = follow(facts, always(policy))
    on_course = courses.timeline.on_course
    said = (courses.targeted, TARGETED), (courses.candidate, CANDIDATE), (hangs(courses), UNKNOWN)
    expected = np.sum([flags * state for flags, state in said], axis=0)
    assert outcome.states is not None
    np.testing.assert_array_equal(outcome.states[on_course], expected[on_course])
    # On all other days what was said last stands.
    held = np.zeros(facts.students, np.uint8)
    for row, states in enumerate(outcome.states):
        held = np.where(on_course[row], states, held)
        np.testing.assert_array_equal(states, held)


def hangs(courses: Courses) -> Flags:
    """Whether targeted support is called for hangs on clauses of which nothing is known, and one of which asks."""
    when, truth = courses.policy.targeted.when, {name: each.truth() for name, each in courses.clauses.items()}
    asking = [name for name in when.clauses() if courses.policy.clauses[name].when_unknown == "ask"]
    asked = np.zeros(courses.targeted.shape, np.bool_)
    for name in asking:
        asked |= truth[name] == MAYBE
    found: Flags = asked & (when.truth(truth) == MAYBE)
    return found


def check_counts(facts: Facts, policy: Policy, outcome: Outcome) -> None:
    """Counts, changes and episodes say what the states say."""
    assert outcome.states is not None
    school = follow(facts, always(policy)).timeline.school
    for row, states in enumerate(outcome.states):
        for place in range(len(facts.schools)):
            found = np.bincount(states[school[row] == place], minlength=8)
            np.testing.assert_array_equal(outcome.counts[row, place], found)
    before = np.vstack([np.zeros((1, facts.students), np.uint8), outcome.states[:-1]])
    students, rows = np.nonzero((before != outcome.states).T)
    np.testing.assert_array_equal(outcome.changes.student, students)
    np.testing.assert_array_equal(outcome.changes.row, rows)
    np.testing.assert_array_equal(outcome.changes.before, before[rows, students])
    np.testing.assert_array_equal(outcome.changes.after, outcome.states[rows, students])
    for state in (TARGETED, CANDIDATE, UNKNOWN):
        check_episodes(outcome, state)


def check_episodes(outcome: Outcome, state: int) -> None:
    assert outcome.states is not None
    has = outcome.states & state > 0
    episodes = outcome.episodes(state)
    again = np.zeros_like(has)
    for student, entry, until in zip(episodes.student, episodes.entry, episodes.exit, strict=True):
        assert not again[max(entry - 1, 0) : until, student].any()
        again[entry:until, student] = True
    np.testing.assert_array_equal(again, has)
    times = np.bincount(episodes.student, minlength=outcome.students)
    np.testing.assert_array_equal(outcome.returns(state), np.maximum(times - 1, 0))
    np.testing.assert_array_equal(
        outcome.caseload(state), outcome.counts[:, :, [each for each in range(8) if each & state]].sum(axis=2)
    )


def students_of(events: Sequence[Event]) -> list[Any]:
    return sorted({each.student_id for each in events if isinstance(each, StudentEnrolled)}) or [STUDENT]


@settings(max_examples=60)
@given(districts(students=5), st.integers(1, 3))
def test_under_the_default_policy_it_says_what_the_closed_form_and_the_oracle_say(
    events: list[Event], at_once: int
) -> None:
    students = students_of(events)
    facts = facts_of(events, students)
    outcome = rehearsed(facts, DEFAULT, at_once=at_once)
    check_against_closed_form(facts, DEFAULT, outcome)
    check_counts(facts, DEFAULT, outcome)
    oracle, rows = Oracle(events), {day: row for row, day in enumerate(outcome.days.tolist())}
    assert outcome.states is not None
    for place, student in enumerate(students):
        for day in oracle.course(student):
            said = (day.tier == "targeted") * TARGETED + day.candidate * CANDIDATE
            assert outcome.states[rows[day_number(day.on)], place] == said


# What a district is rarely like


def otherwise(clause: str, **parts: Any) -> dict[str, Any]:
    """The default policy with other parts of a clause; nothing takes one out."""
    document: dict[str, Any] = json.loads(TEXT)
    document["clauses"][clause] = {
        name: said for name, said in (document["clauses"][clause] | parts).items() if said is not None
    }
    return document


def number(value: float) -> dict[str, Any]:
    return {"value": value, "unit": "of something", "source": "local"}


def years_of(students: int, days: int, share: float) -> Facts:
    """Three school years with a summer between them, of students who miss about ``share`` of the days, some of them in a row."""
    random, everyone = Random(4), [named("student", each) for each in range(students)]
    schools = [School(days=school_days(days, date(year, 8, 18)), year=year + 1) for year in (2023, 2025, 2027)]
    events: list[Event] = []
    for school in schools:
        events += [school.calendar(), *school.closes_through(days)]
        events += [
            school.absent(day, student, random.choice([100, 100, 50]))
            for student in everyone
            for day in range(days)
            if random.random() < (share * 4 if (day // 25) % 4 == 1 else share / 2)
        ]
    events += [schools[0].enrols(student) for student in everyone]
    return facts_of(events, everyone)


@pytest.mark.parametrize(
    ("entry", "exit_below", "in_a_row"), [(10, 8, 20), (99.9, 99.8, 20), (10, 8, 300), (10.5, 10.4, 1)]
)
@pytest.mark.parametrize("window", ["year_to_date", "last_days"])
def test_three_years_of_many_days_overflow_nothing(window: str, entry: float, exit_below: float, in_a_row: int) -> None:
    facts = years_of(students=30, days=300, share=0.9 if entry > 90 else 0.09)
    leaves = {"below": number(exit_below), "days_in_a_row": number(in_a_row)}
    policy = policy_of(
        otherwise(
            "attendance",
            window=window,
            window_days=number(400),
            entry={"at_least": number(entry)},
            exit=leaves,
            bands=None,
        )
    )
    outcome = rehearsed(facts, policy)
    check_against_closed_form(facts, policy, outcome)
    check_counts(facts, policy, outcome)
    assert len(outcome.changes.row)


@pytest.mark.parametrize(("in_a_row", "dwell", "leaves"), [(20, None, 44), (300, None, 324), (20, 270, 289)])
def test_long_runs_of_days_are_counted_to_their_end(in_a_row: int, dwell: int | None, leaves: int) -> None:
    school = School(days=school_days(400))
    events = [school.calendar(), school.enrols(), *school.closes_through(400), school.absent(0), school.absent(1)]
    exits = {"below": number(8), "days_in_a_row": number(in_a_row)}
    document = otherwise("attendance", exit=exits, minimum_dwell=dwell and {"days": number(dwell)})
    episodes = rehearsed(facts_of(events, [STUDENT]), policy_of(document)).episodes(TARGETED)
    # 2 of 20 days is 10 percent, and 2 of 26 the first share under 8.
    assert (episodes.entry.tolist(), episodes.exit.tolist()) == ([19], [leaves])


def test_a_tier_stands_through_the_summer_and_the_year_begins_anew() -> None:
    spring, autumn = School(days=school_days(40)), School(days=school_days(60, date(2025, 8, 18)), year=2026)
    events = [
        *(spring.calendar(), autumn.calendar(), spring.enrols(), *(spring.absent(day) for day in range(30, 40))),
        *(*spring.closes_through(40), *autumn.closes_through(60)),
    ]
    episodes = rehearsed(facts_of(events, [STUDENT]), DEFAULT).episodes(TARGETED)
    # 4 of 34 days; then nothing missed: under 8 percent from the 20th day of the new year on, the 20th such day is its 39th.
    assert (episodes.entry.tolist(), episodes.exit.tolist()) == ([33], [40 + 38])


def test_days_without_school_do_not_count_towards_the_minimum_dwell() -> None:
    school, other = School(days=school_days(20)), named("student", 1)
    on_saturday = school.refers(4, 1, other).model_copy(update={"on": school.days[4] + timedelta(days=1)})
    scores = school.scores(3, 2.0), school.scores(4, 4.0, window=1)
    events = [
        *(school.calendar(), school.enrols(), school.enrols(other), *school.closes_through(20), *scores, on_saturday)
    ]
    document = otherwise("adult_support", minimum_dwell={"days": number(4)})
    episodes = rehearsed(facts_of(events, [STUDENT, other]), policy_of(document)).episodes(TARGETED)
    # The fourth, fifth, sixth and seventh school day; row 5 is the Saturday.
    assert (episodes.entry.tolist(), episodes.exit.tolist()) == ([3], [8])


def test_where_a_survey_s_exit_reaches_over_its_entry_only_the_first_day_leaves() -> None:
    school = School(days=school_days(10))
    document = otherwise("adult_support", entry={"at_most": number(3)}, exit={"above": number(2.5)})
    events = [school.calendar(), school.enrols(), *school.closes_through(10), school.scores(4, 2.8)]
    facts, policy = facts_of(events, [STUDENT]), policy_of(document)
    outcome = rehearsed(facts, policy)
    check_against_closed_form(facts, policy, outcome)
    assert outcome.episodes(TARGETED).entry.tolist() == [5]


def test_a_district_without_anybody_is_rehearsed_too() -> None:
    nobody = facts_of([], [STUDENT])
    outcome = rehearsed(replace(nobody, students=0), DEFAULT)
    assert outcome.states is not None
    assert (outcome.states.size, len(outcome.changes.row), outcome.counts.size) == (0, 0, 0)
    assert len(outcome.episodes(TARGETED).student) == 0


def test_days_of_all_states_are_kept_only_if_asked_for() -> None:
    school = School(days=school_days(30))
    events = [school.calendar(), school.enrols(), *school.closes_through(30), school.absent(0), school.absent(1)]
    district = district_of(facts_of(events, [STUDENT]), [DEFAULT])
    outcome = run(district, DEFAULT, threads=1)
    assert outcome.states is None
    assert outcome.caseload(TARGETED)[:, 0].tolist() == [0] * 19 + [1] * 11
    assert outcome.returns(TARGETED).tolist() == [0]


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (otherwise("attendance", counts="unexcused"), "clauses.attendance.counts"),
        (otherwise("attendance", window="last_days"), "clauses.attendance.window_days"),
        (otherwise("referrals", window="last_days"), "clauses.referrals.window_days"),
        (otherwise("adult_support", subscale="belonging"), "clauses.adult_support.signal"),
    ],
)
def test_what_cannot_be_rehearsed_is_refused_by_its_clause(document: dict[str, Any], field: str) -> None:
    district = district_of(facts_of([], [STUDENT]), [DEFAULT])
    with pytest.raises(PolicyInvalid) as refused:
        run(district, policy_of(document))
    assert refused.value.facts["field"] == field


# Any policy

GRADES = ("First grade", "Ninth grade", "Preschool/Prekindergarten")


def numbers(*values: float) -> st.SearchStrategy[dict[str, Any]]:
    return st.sampled_from(values).map(number)


WHEN_UNKNOWN = st.sampled_from(["hold", "ask"])
ASKED = st.integers(0, 130).map(lambda days: FIRST + timedelta(days=days))
DWELL = st.fixed_dictionaries({"days": numbers(1, 3, 8)})
IN_A_ROW = numbers(1, 2, 5)


def clauses(*, overlapping: bool) -> st.SearchStrategy[dict[str, Any]]:
    """Clauses of every signal and window; ``overlapping`` ones may be left and entered on the same day."""
    shares, means = ((5, 10, 12.5), (2.5, 3, 4.9)) if overlapping else ((2.5, 5), (3, 4.9))
    attendance = st.fixed_dictionaries(
        {
            "signal": st.just("attendance_share"),
            "counts": st.sampled_from(["all", "all", "unexcused", "excused"]),
            "window": st.sampled_from(["year_to_date", "first_days", "last_days"]),
            "window_days": numbers(1, 5, 12),
            "minimum_data": st.fixed_dictionaries({"enrolled_days": numbers(1, 5, 8)}),
            "entry": st.fixed_dictionaries({"at_least": numbers(5, 10, 33.3)}),
            "when_unknown": WHEN_UNKNOWN,
        },
        optional={
            "exit": st.fixed_dictionaries({"below": numbers(*shares)}, optional={"days_in_a_row": IN_A_ROW}),
            "minimum_dwell": DWELL,
        },
    )
    survey = st.fixed_dictionaries(
        {
            "signal": st.just("survey_level"),
            "subscale": st.just("adult_support"),
            "entry": st.fixed_dictionaries({"at_most": numbers(1.5, 2.5, 3)}),
            "when_unknown": WHEN_UNKNOWN,
        },
        optional={"exit": st.fixed_dictionaries({"above": numbers(*means)}), "minimum_dwell": DWELL},
    )
    referrals = st.fixed_dictionaries(
        {
            "signal": st.just("referrals"),
            "window": st.sampled_from(["school_year", "last_days"]),
            "window_days": numbers(1, 10, 30),
            "entry": st.fixed_dictionaries({"at_least": numbers(1, 2)}),
            "when_unknown": WHEN_UNKNOWN,
        },
        optional={
            "exit": st.fixed_dictionaries(
                {"below": numbers(1, 2) if overlapping else numbers(1)}, optional={"days_in_a_row": IN_A_ROW}
            ),
            "minimum_dwell": DWELL,
        },
    )
    streak = st.fixed_dictionaries(
        {
            "signal": st.just("absence_streak"),
            "counts": st.sampled_from(["all", "unexcused", "excused"]),
            "entry": st.fixed_dictionaries({"at_least": numbers(2, 3)}),
            "when_unknown": WHEN_UNKNOWN,
        },
        optional={
            "exit": st.fixed_dictionaries(
                {"below": numbers(1, 3) if overlapping else numbers(1)}, optional={"days_in_a_row": IN_A_ROW}
            ),
            "minimum_dwell": DWELL,
        },
    )
    longest = st.fixed_dictionaries(
        {
            "signal": st.just("longest_streak"),
            "counts": st.sampled_from(["all", "unexcused", "excused"]),
            "entry": st.fixed_dictionaries({"at_least": numbers(1, 2, 3)}),
            "when_unknown": WHEN_UNKNOWN,
        },
        optional={"minimum_dwell": DWELL},
    )
    drop = st.fixed_dictionaries(
        {
            "signal": st.just("survey_drop"),
            "subscale": st.just("adult_support"),
            "scale": st.fixed_dictionaries({"sd": numbers(0.75, 1.2), "reliability": numbers(0.7, 0.85)}),
            "entry": st.fixed_dictionaries({"at_least": numbers(0.5, 1.96, 3)}),
            "when_unknown": WHEN_UNKNOWN,
        },
        optional={"minimum_dwell": DWELL},
    )
    tardies = st.fixed_dictionaries(
        {
            "signal": st.just("tardies"),
            "window": st.sampled_from(["school_year", "last_days", "last_school_days", "first_school_days"]),
            "window_days": numbers(1, 10, 30),
            "entry": st.fixed_dictionaries({"at_least": numbers(1, 2, 3)}),
            "when_unknown": WHEN_UNKNOWN,
        },
        optional={
            "exit": st.fixed_dictionaries({"below": numbers(1)}, optional={"days_in_a_row": IN_A_ROW}),
            "minimum_dwell": DWELL,
        },
    )
    nobody = st.fixed_dictionaries(
        {
            "signal": st.just("no_trusted_adult"),
            "subscale": st.just("adult_support"),
            "entry": st.fixed_dictionaries({"at_least": numbers(1, 2)}),
            "when_unknown": WHEN_UNKNOWN,
        },
        optional={"minimum_dwell": DWELL},
    )
    excluded = st.fixed_dictionaries(
        {
            "signal": st.just("excluded_days"),
            "actions": st.sampled_from(
                [{"codes": ["suspended"], "source": "local"}, {"codes": ["talk"], "source": "local"}]
            ),
            "window": st.sampled_from(["school_year", "last_days", "last_school_days", "first_school_days"]),
            "window_days": numbers(1, 10, 30),
            "entry": st.fixed_dictionaries({"at_least": numbers(0.5, 1.5, 3)}),
            "when_unknown": WHEN_UNKNOWN,
        },
        optional={
            "exit": st.fixed_dictionaries({"below": numbers(0.5) if not overlapping else numbers(1)}),
            "minimum_dwell": DWELL,
        },
    )
    helped = st.fixed_dictionaries(
        {
            "signal": st.just("help_requested"),
            "window_days": numbers(1, 10, 30),
            "entry": st.fixed_dictionaries({"at_least": numbers(1, 2)}),
            "when_unknown": WHEN_UNKNOWN,
        },
        optional={"minimum_dwell": DWELL},
    )
    marks = st.fixed_dictionaries(
        {
            "signal": st.just("course_marks"),
            "minimum_data": st.fixed_dictionaries({"courses": numbers(1, 2)}),
            "entry": st.fixed_dictionaries({"at_least": numbers(2) if overlapping else numbers(1, 2)}),
            "when_unknown": WHEN_UNKNOWN,
        },
        optional={
            "exit": st.fixed_dictionaries({"below": numbers(1, 2) if overlapping else numbers(1)}),
            "minimum_dwell": DWELL,
        },
    )
    rare = (survey, referrals, drop, excluded, nobody, helped, marks)
    return st.one_of(attendance, attendance, streak, longest, tardies, *rare)


def conditions(names: Sequence[str]) -> st.SearchStrategy[Any]:
    return st.recursive(st.sampled_from(names), _joined, max_leaves=5)


def _joined(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(parts, min_size=1, max_size=4)
    least = some.flatmap(lambda of: st.integers(1, len(of)).map(lambda count: {"at_least": number(count), "of": of}))
    return st.one_of(some.map(lambda of: {"all": of}), some.map(lambda of: {"any": of}), least)


def _changeable(document: dict[str, Any]) -> dict[str, st.SearchStrategy[dict[str, Any]]]:
    """The numbers that a variant may say otherwise, such that entry and exit do not meet."""
    found = {}
    for name, clause in document["clauses"].items():
        share = clause["signal"] == "attendance_share"
        if share:
            found[f"clauses.{name}.entry.at_least"] = numbers(7.5, 20)
        if share and "exit" in clause:
            found[f"clauses.{name}.exit.below"] = numbers(1, 4.5)
        if "days_in_a_row" in clause.get("exit", {}):
            found[f"clauses.{name}.exit.days_in_a_row"] = numbers(1, 3, 300)
        if "minimum_dwell" in clause:
            found[f"clauses.{name}.minimum_dwell.days"] = numbers(2, 12)
        if clause["signal"] == "survey_level":
            found[f"clauses.{name}.entry.at_most"] = numbers(1, 2.5)
    return found


@st.composite
def documents(draw: st.DrawFn, *, overlapping: bool = False) -> dict[str, Any]:
    """A policy of any shape over the signals that can be rehearsed."""
    document: dict[str, Any] = json.loads(TEXT)
    names = "abcd"[: draw(st.integers(1, 4))]
    document["clauses"] = {name: draw(clauses(overlapping=overlapping)) for name in names}
    for tier in document["tiers"].values():
        tier["when"] = draw(conditions(names))
    changes = st.fixed_dictionaries({}, optional=_changeable(document))
    if draw(st.booleans()):
        grades = st.lists(st.sampled_from(GRADES), max_size=2)
        each = st.fixed_dictionaries({"name": st.just("some"), "grades": grades, "changes": changes})
        document["variants"] = draw(st.lists(each, max_size=2))
        document["schools"] = draw(st.dictionaries(st.sampled_from("ABC"), changes, max_size=2))
    document["exempt_grades"] = draw(st.lists(st.sampled_from(GRADES), max_size=1))
    return document


@pytest.mark.parametrize("signal", sorted(SIGNALS))
def test_every_signal_is_drawn_also_one_that_asks_and_one_that_dwells(signal: str) -> None:
    drawn, seldom = clauses(overlapping=False), settings(max_examples=5000, database=None)
    assert find(drawn, lambda said: said["signal"] == signal and said["when_unknown"] == "ask", settings=seldom)
    assert find(drawn, lambda said: said["signal"] == signal and "minimum_dwell" in said, settings=seldom)


@st.composite
def graded(draw: st.DrawFn) -> list[Event]:
    """A district whose enrolments have grades and whose absences are of either kind."""
    random, events = draw(st.randoms(use_true_random=False)), []
    for event in draw(districts(students=4)):
        if isinstance(event, StudentEnrolled):
            event = event.model_copy(update={"grade": random.choice(GRADES)})
        if isinstance(event, AttendanceRecorded):
            kinds = [AttendanceKind.EXCUSED, AttendanceKind.UNEXCUSED, AttendanceKind.TARDY]
            event = event.model_copy(update={"kind": random.choice(kinds)})
        events.append(event)
    return events


@settings(max_examples=120)
@given(graded(), documents(), st.sampled_from([1, 3, 100]), st.lists(st.tuples(st.integers(0, 3), ASKED), max_size=6))
def test_under_any_policy_it_says_what_the_closed_form_and_a_pencil_say(
    events: list[Event], document: dict[str, Any], at_once: int, asked: list[tuple[int, date]]
) -> None:
    students, policy = students_of(events), policy_of(document)
    whose, when = [place % len(students) for place, _ in asked], [day_number(on) for _, on in asked]
    facts = replace(facts_of(events, students), help_requests=HelpRequests.of(whose, when))
    outcome = rehearsed(facts, policy, at_once=at_once)
    rows = {day: row for row, day in enumerate(outcome.days.tolist())}
    assert outcome.states is not None
    for place, student in enumerate(students):
        mine = [on for at, (_, on) in zip(whose, asked, strict=True) if at == place]
        for on, state in states_of(events, document, student, mine).items():
            assert outcome.states[rows[day_number(on)], place] == state, on
    check_against_closed_form(facts, policy, outcome)
    check_counts(facts, policy, outcome)


@settings(max_examples=60)
@given(graded(), documents(overlapping=True))
def test_even_where_an_exit_reaches_over_its_entry(events: list[Event], document: dict[str, Any]) -> None:
    facts, policy = facts_of(events, students_of(events)), policy_of(document)
    check_against_closed_form(facts, policy, rehearsed(facts, policy))
