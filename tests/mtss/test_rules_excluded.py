"""Days of exclusion, by the actions that a clause names, in the school year and in the last days."""

from copy import deepcopy
from datetime import date
from typing import Any

import pytest

from common.events import Event
from mtss.rules import Course, PolicyInvalid, always, course_of, follow, policy_of
from mtss.rules.coming import Least, what_may_change
from mtss.rules.policy.checking import check
from mtss.rules.policy.difference import difference
from mtss.rules.rehearsal.kernel import run
from mtss.rules.rehearsal.recorded import district_of
from tests.mtss.made_up import STUDENT, School, facts_of, school_days
from tests.mtss.test_rules_kernel import check_against_closed_form, rehearsed
from tests.mtss.test_rules_policy import ATTENDANCE, changed, number

SCHOOL = School(days=school_days(60))
ACTIONS = {"codes": ["Out of School Suspension", "Expulsion"], "source": "local"}
CLAUSE = {
    "signal": "excluded_days",
    "actions": ACTIONS,
    "window": "school_year",
    "entry": {"at_least": number(1.5)},
    "when_unknown": "hold",
}
EXCLUDED = changed(ATTENDANCE, CLAUSE)
EXCLUDED_LATELY = changed(ATTENDANCE, CLAUSE | {"window": "last_days", "window_days": number(7)})

LAST_SCHOOL_DAYS = changed(ATTENDANCE, CLAUSE | {"window": "last_school_days", "window_days": number(5)})
FIRST_SCHOOL_DAYS = changed(ATTENDANCE, CLAUSE | {"window": "first_school_days", "window_days": number(5)})


def course(document: dict[str, Any], *events: Event, through: int = 10) -> Course:
    facts = facts_of([SCHOOL.calendar(), SCHOOL.enrols(), *SCHOOL.closes_through(through), *events], [STUDENT])
    return course_of(facts, follow(facts, always(policy_of(document))), 0)


def holds(document: dict[str, Any], *events: Event, through: int = 10) -> list[bool | None]:
    return [day.clauses["attendance"] for day in course(document, *events, through=through).days()]


def naming(**actions: Any) -> dict[str, Any]:
    document = deepcopy(EXCLUDED)
    document["clauses"]["attendance"]["actions"] |= actions
    return document


def test_the_days_of_all_actions_add_up_and_each_action_counts_once_however_many_names_it_has() -> None:
    said = [
        SCHOOL.excludes(2, 1, 0.5, codes=["Expulsion", "Out of School Suspension"]),
        SCHOOL.excludes(5, 2, 1),
    ]
    assert holds(EXCLUDED, *said) == [False] * 5 + [True] * 5
    assert course(EXCLUDED, *said).clauses()[0].evidence == {
        "days_excluded": 1.5,
        "school_year": 2025,
        "through": SCHOOL.days[9].isoformat(),
    }


def test_what_the_clause_does_not_name_is_no_exclusion_and_spelling_does_not_matter() -> None:
    assert not any(holds(EXCLUDED, SCHOOL.excludes(2, 1, 9, codes=["Community Service"])))
    assert holds(EXCLUDED, SCHOOL.excludes(0, 1, 2, codes=["out-of-school  SUSPENSION"])) == [True] * 10


def test_what_was_served_counts_instead_of_what_was_proposed() -> None:
    assert not any(holds(EXCLUDED, SCHOOL.excludes(2, 1, 5, hundredths_served=100)))
    assert holds(EXCLUDED, SCHOOL.excludes(0, 1, 1, hundredths_served=200)) == [True] * 10


def test_an_action_that_is_revised_or_taken_back_counts_as_it_stands() -> None:
    told = SCHOOL.excludes(2, 1, 5)
    assert not any(holds(EXCLUDED, told, SCHOOL.excludes(2, 1, 1)))
    assert not any(holds(EXCLUDED, told, SCHOOL.excludes(2, 1, 5, deleted=True)))


def test_in_the_last_days_those_that_are_longer_ago_no_longer_count_and_a_school_year_begins_anew() -> None:
    # Day 1 is a Tuesday: on the Tuesday after it is 7 days ago.
    assert holds(EXCLUDED_LATELY, SCHOOL.excludes(1, 1, 2)) == [False] + [True] * 5 + [False] * 4
    autumn = School(days=school_days(6, date(2025, 8, 18)), year=2026)
    later = [autumn.calendar(), *autumn.closes_through(2)]
    assert holds(EXCLUDED, SCHOOL.excludes(59, 1, 2), *later, through=60)[-3:] == [True, False, False]


def test_in_school_days_a_weekend_does_not_pass() -> None:
    # Day 1 is among the last five school days up to day 5, the Monday after.
    assert holds(LAST_SCHOOL_DAYS, SCHOOL.excludes(1, 1, 2)) == [False] + [True] * 5 + [False] * 4
    assert holds(FIRST_SCHOOL_DAYS, SCHOOL.excludes(4, 1, 2)) == [False] * 4 + [True] * 6
    assert not any(holds(FIRST_SCHOOL_DAYS, SCHOOL.excludes(5, 1, 2)))


def test_no_action_counts_any_more_once_the_first_days_are_over() -> None:
    policies = always(policy_of(FIRST_SCHOOL_DAYS))
    for through, least in ((4, Least(1.5, SCHOOL.days[4])), (5, None)):
        facts = facts_of([SCHOOL.calendar(), SCHOOL.enrols(), *SCHOOL.closes_through(through)], [STUDENT])
        change = what_may_change(facts, follow(facts, policies), policies, [0])[0]["attendance"]
        assert change.clause == least


def test_what_would_begin_it_is_one_action_of_the_days_that_are_missing() -> None:
    policies = always(policy_of(EXCLUDED))
    said = [SCHOOL.calendar(), SCHOOL.enrols(), *SCHOOL.closes_through(30)]
    for told, missing in (([SCHOOL.excludes(3, 1, 0.75)], 0.75), ([], 1.5)):
        facts = facts_of([*said, *told], [STUDENT])
        change = what_may_change(facts, follow(facts, policies), policies, [0])[0]["attendance"]
        assert (change.by, change.clause) == ("exclusions", Least(missing, SCHOOL.days[30]))


@pytest.mark.parametrize(
    ("actions", "field", "rule"),
    [
        ({"codes": []}, "actions.codes", "must hold at least one"),
        ({"codes": ["Expulsion", "EXPULSION "]}, "actions.codes", "names a code twice"),
        ({"source": ""}, "actions.source", "must be a text of 1 to 400 characters"),
        ({"more": 1}, "actions", "holds what is not understood, choose from codes, source"),
        ({"codes": ["Removal for his race"]}, "actions", "speaks of race"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(actions: dict[str, Any], field: str, rule: str) -> None:
    (found,) = check(naming(**actions))
    assert found.field.endswith(field)
    assert found.rule.startswith(rule)


def test_a_clause_without_its_list_or_a_window_without_its_length_is_refused() -> None:
    assert check(EXCLUDED) == check(EXCLUDED_LATELY) == ()
    (found,) = check(changed(ATTENDANCE, {name: said for name, said in CLAUSE.items() if name != "actions"}))
    assert found.field == "clauses.attendance.actions"
    (found,) = check(changed(ATTENDANCE, CLAUSE | {"window": "last_days"}))
    assert found.field == "clauses.attendance.window_days"


def test_other_actions_are_told_in_plain_words() -> None:
    assert difference(policy_of(EXCLUDED), policy_of(naming(codes=["Expulsion", "Detention"]))) == (
        "Attendance: it counts the actions Detention too.",
        "Attendance: it counts the actions Out of School Suspension no longer.",
    )
    sourced = policy_of(naming(source="Board policy"))
    assert difference(policy_of(EXCLUDED), sourced) == ("Attendance: actions have another source: Board policy.",)


@pytest.mark.parametrize("document", [EXCLUDED, EXCLUDED_LATELY, LAST_SCHOOL_DAYS, FIRST_SCHOOL_DAYS])
def test_a_rehearsal_says_what_the_closed_form_says(document: dict[str, Any]) -> None:
    said = [SCHOOL.excludes(2, 1, 0.5), SCHOOL.excludes(5, 2, 1), SCHOOL.excludes(13, 3, 1)]
    facts = facts_of([SCHOOL.calendar(), SCHOOL.enrols(), *SCHOOL.closes_through(20), *said], [STUDENT])
    policy = policy_of(document)
    check_against_closed_form(facts, policy, rehearsed(facts, policy))


def test_a_rehearsal_says_which_actions_it_was_not_given() -> None:
    facts, other = facts_of([SCHOOL.calendar(), SCHOOL.enrols()], [STUDENT]), policy_of(naming(codes=["Detention"]))
    with pytest.raises(PolicyInvalid) as refused:
        run(district_of(facts, [policy_of(EXCLUDED)]), other)
    assert refused.value.facts["field"] == "clauses.attendance.signal"
