"""The language of policies: what is read, what is refused, and how true, false and unknown are joined."""

import json
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtss.rules import PolicyInvalid, policy_of, read_policy
from mtss.rules.policy import FALSE, TRUE, UNKNOWN, Condition
from tests.mtss.made_up import STUDENT, School, facts_of, school_days

TEXT = files("mtss").joinpath("policies", "default.json").read_text(encoding="utf-8")


def changed(path: str, value: Any) -> dict[str, Any]:
    """The default policy with one part otherwise; ``...`` takes it out."""
    document: dict[str, Any] = json.loads(TEXT)
    part: Any = document
    *way, last = path.split("/")
    for step in way:
        part = part[step]
    if value is ...:
        del part[last]
    else:
        part[last] = value
    return document


def number(value: Any, source: str = "local") -> dict[str, Any]:
    return {"value": value, "unit": "percent", "source": source}


ATTENDANCE = "clauses/attendance"
ENTRY = f"{ATTENDANCE}/entry/at_least"


def test_the_default_policy_is_read_as_it_stands() -> None:
    policy = read_policy(TEXT)
    assert policy.version == "default-1"
    assert policy.clauses["attendance"]["entry.at_least"] == 10
    assert policy.clauses["adult_support"]["entry.at_most"] * 2 == 5
    assert policy.subscales == ("adult_support",)
    assert all(each.source and each.unit for clause in policy.clauses.values() for each in clause.numbers.values())


def test_what_the_default_policy_says_never_changes_under_its_version() -> None:
    """Decisions name it: what shall be otherwise is another document, of another version, beside this one."""
    policy = read_policy(TEXT)
    assert policy.version == "default-1"
    assert policy.digest == "7b004e8c115724470cf63fa291cd39ce"  # pragma: allowlist secret


@pytest.mark.parametrize("text", ["{", "[]", "null", "7"])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        read_policy(text)
    assert refused.value.facts["field"] == "the file"


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("language", 2, "language"),
        ("version", 3, "version"),
        ("version", " ", "version"),
        ("version", "x" * 81, "version"),
        ("version", "a/b", "version"),
        ("title", ..., "the file"),
        ("surprise", 1, "the file"),
        ("clauses", {}, "clauses"),
        ("clauses", [], "clauses"),
        ("clauses/not a name", {}, "clauses"),
        (ATTENDANCE, None, "clauses.attendance"),
        (f"{ATTENDANCE}/signal", "astrology", "clauses.attendance.signal"),
        (f"{ATTENDANCE}/signal", 5, "clauses.attendance.signal"),
        (f"{ATTENDANCE}/window", "a fortnight", "clauses.attendance.window"),
        ("clauses/adult_support/subscale", 7, "clauses.adult_support.subscale"),
        (f"{ATTENDANCE}/when_unknown", "guess", "clauses.attendance.when_unknown"),
        (f"{ATTENDANCE}/entry", {}, "clauses.attendance.entry.at_least"),
        (f"{ATTENDANCE}/minimum_data", {}, "clauses.attendance.minimum_data.enrolled_days"),
        (ENTRY, 10, "clauses.attendance.entry.at_least"),
        (ENTRY, {"value": 10, "unit": "percent"}, "clauses.attendance.entry.at_least"),
        (ENTRY, number("10"), "clauses.attendance.entry.at_least.value"),
        (ENTRY, number(True), "clauses.attendance.entry.at_least.value"),
        (ENTRY, number(float("nan")), "clauses.attendance.entry.at_least.value"),
        (ENTRY, number(10, source=""), "clauses.attendance.entry.at_least.source"),
        (ENTRY, number(0), "clauses.attendance.entry.at_least"),
        (ENTRY, number(100), "clauses.attendance.entry.at_least"),
        (ENTRY, number(10.25), "clauses.attendance.entry.at_least"),
        (f"{ATTENDANCE}/entry/at_most", number(10), "clauses.attendance.entry.at_most"),
        (f"{ATTENDANCE}/exit/days_in_a_row", number(2.5), "clauses.attendance.exit.days_in_a_row"),
        ("tiers/targeted", ..., "tiers"),
        ("tiers/targeted/entry", "whenever", "tiers.targeted.entry"),
        ("tiers/targeted/tells_families", 1, "tiers.targeted.tells_families"),
        ("tiers/targeted/when", "nobody", "tiers.targeted.when"),
        ("tiers/targeted/when", {"some": []}, "tiers.targeted.when"),
        ("tiers/targeted/when", {"any": []}, "tiers.targeted.when.any"),
        ("tiers/targeted/when", {"all": ["attendance", 3]}, "tiers.targeted.when.all[1]"),
        ("tiers/targeted/when", {"at_least": number(3), "of": ["attendance"]}, "tiers.targeted.when.at_least"),
        ("variants", {}, "variants"),
        ("variants", [{"name": "x"}], "variants[0]"),
        ("variants", [{"name": "x", "grades": 3, "changes": {}}], "variants[0].grades"),
        ("variants", [{"name": "x", "grades": ["Ninth"], "changes": {"a.b": number(1)}}], "variants[0].changes.a.b"),
        ("schools", {"100": 3}, "schools.100"),
        ("bounds", {"a.b": {}}, "bounds.a.b"),
        ("bounds", {"clauses.attendance.entry.at_least": {"from": 5}}, "bounds.clauses.attendance.entry.at_least"),
        ("exempt_grades", "Preschool", "exempt_grades"),
        ("confirm_above", number(101), "confirm_above"),
        ("review", [], "review"),
        ("review/proposal_due", number(0), "review.proposal_due"),
        ("review/proposal_due", 5, "review.proposal_due"),
        ("review/surprise", number(5), "review.surprise"),
        ("places", [], "places"),
        ("places", {"100": {"targeted": number(0.5)}}, "places.100.targeted"),
        ("places", {"100": {"universal": number(5)}}, "places.100.universal"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_place(path: str, value: Any, field: str) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        policy_of(changed(path, value))
    assert refused.value.facts["field"] == field


@pytest.mark.parametrize("value", ["year_to_date", 10, number(10), {"at_least": number(10)}])
def test_a_word_that_no_clause_knows_is_said_to_be_unknown_whatever_stands_there(value: Any) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        policy_of(changed(f"{ATTENDANCE}/windw", value))
    assert "is not something that this signal takes" in refused.value.detail


def test_no_refusal_repeats_what_was_written() -> None:
    with pytest.raises(PolicyInvalid) as refused:
        policy_of(changed(f"{ATTENDANCE}/signal", "SECRETVAL"))
    assert "SECRETVAL" not in str(refused.value.facts)


# Kleene's tables

U, F, T = UNKNOWN, FALSE, TRUE
LEAVES = {name: Condition("clause", clause=name) for name in "abc"}


def said(condition: Condition, *truth: int) -> int:
    of = {name: np.array([[value]], np.int8) for name, value in zip("abc", truth, strict=False)}
    return int(condition.truth(of)[0, 0])


@pytest.mark.parametrize(
    ("one", "other", "both", "either"),
    [
        (T, T, T, T),
        (T, U, U, T),
        (T, F, F, T),
        (U, T, U, T),
        (U, U, U, U),
        (U, F, F, U),
        (F, T, F, T),
        (F, U, F, U),
        (F, F, F, F),
    ],
)
def test_all_and_any_are_kleene_s(one: int, other: int, both: int, either: int) -> None:
    parts = LEAVES["a"], LEAVES["b"]
    assert said(Condition("all", parts=parts), one, other) == both
    assert said(Condition("any", parts=parts), one, other) == either


@given(st.lists(st.sampled_from([T, U, F]), min_size=3, max_size=3), st.integers(1, 3))
def test_at_least_is_certain_only_when_what_is_unknown_cannot_matter(truth: list[int], count: int) -> None:
    condition = Condition("at_least", parts=tuple(LEAVES.values()), count=count)
    worlds = {sum(world) >= count for world in _worlds(truth)}
    assert said(condition, *truth) == (U if len(worlds) == 2 else T if worlds == {True} else F)


def _worlds(truth: list[int]) -> list[list[bool]]:
    """Every way in which the unknown may turn out."""
    worlds: list[list[bool]] = [[]]
    for each in truth:
        may = {T: [True], F: [False], U: [True, False]}[each]
        worlds = [[*world, way] for world in worlds for way in may]
    return worlds


# What a policy may say otherwise


def tiers(document: dict[str, Any], *events: Any, through: int = 60, grade: str | None = "Ninth grade") -> list[str]:
    from mtss.rules import always, course_of, follow

    policy, school = policy_of(document), School(days=school_days(through))
    said = [school.calendar(), school.enrols(grade=grade), *school.closes_through(through), *events]
    facts = facts_of(said, [STUDENT])
    return [day.tier.value for day in course_of(facts, follow(facts, always(policy)), 0).days()]


def test_another_number_for_some_grades() -> None:
    school = School(days=school_days(60))
    missed = [school.absent(day) for day in (3, 4, 5)]
    variant = {"name": "first grades", "grades": ["First grade"], "changes": {ENTRY.replace("/", "."): number(12.5)}}
    document = changed("variants", [variant])
    assert "targeted" in tiers(document, *missed, grade="Ninth grade")
    assert tiers(document, *missed, grade="First grade")[19:24] == ["targeted"] * 5
    lenient = changed("variants", [variant | {"changes": {ENTRY.replace("/", "."): number(15.1)}}])
    assert set(tiers(lenient, *missed, grade="First grade")) == {"universal"}


def test_a_school_s_number_comes_before_that_of_a_grade() -> None:
    school = School(days=school_days(60))
    missed = [school.absent(day) for day in (3, 4, 5)]
    path = ENTRY.replace("/", ".")
    document = changed("variants", [{"name": "all", "grades": ["Ninth grade"], "changes": {path: number(50)}}])
    assert set(tiers(document, *missed)) == {"universal"}
    document["schools"] = {"100": {path: number(10)}}
    assert "targeted" in tiers(document, *missed)
    document["schools"] = {"another": {path: number(10)}}
    assert set(tiers(document, *missed)) == {"universal"}
    document["variants"] = []
    assert "targeted" in tiers(document, *missed)


def test_a_variant_of_one_clause_is_not_one_of_another_with_the_same_exit() -> None:
    from mtss.rules import always, follow

    school, path = School(days=school_days(80)), "clauses.severe_attendance.exit.days_in_a_row"
    document = changed("variants", [{"name": "some", "grades": ["Ninth grade"], "changes": {path: number(2)}}])
    missed = [school.absent(day) for day in range(4)]
    enrolled = school.enrols(grade="Ninth grade")
    facts = facts_of([school.calendar(), enrolled, *school.closes_through(80), *missed], [STUDENT])
    courses = follow(facts, always(policy_of(document)))
    # 4 of 20 days is 20 percent; 4 of 51 is the first share under 8, so the severe clause leaves a day later.
    assert np.flatnonzero(courses.candidate).tolist() == list(range(19, 51))
    assert np.flatnonzero(courses.targeted).tolist() == list(range(19, 69))


def test_a_grade_that_is_exempt_is_asked_nothing() -> None:
    school = School(days=school_days(60))
    missed = [school.absent(day) for day in range(30)]
    document = changed("exempt_grades", ["Preschool/Prekindergarten"])
    assert "targeted" in tiers(document, *missed)
    assert set(tiers(document, *missed, grade="Preschool/Prekindergarten")) == {"universal"}


def test_a_clause_that_has_no_exit_stands_as_long_as_its_entry_holds() -> None:
    school = School(days=school_days(60))
    document = changed(f"{ATTENDANCE}/exit", ...)
    found = tiers(document, school.absent(0), school.absent(1))
    # 2 of 20 is 10 percent; 2 of 21 is not.
    assert found[18:22] == ["universal", "targeted", "universal", "universal"]


def test_nobody_leaves_before_the_minimum_dwell() -> None:
    school = School(days=school_days(60))
    document = changed(f"{ATTENDANCE}/exit", ...)
    document["clauses"]["attendance"]["minimum_dwell"] = {"days": number(10)}
    found = tiers(document, school.absent(0), school.absent(1))
    assert found[18:31] == ["universal", *["targeted"] * 10, "universal", "universal"]


def test_a_dwell_shorter_than_the_exit_changes_nothing() -> None:
    school = School(days=school_days(60))
    missed = school.absent(0), school.absent(1)
    dwelling = changed(f"{ATTENDANCE}/minimum_dwell", {"days": number(5)})
    assert tiers(dwelling, *missed) == tiers(json.loads(TEXT), *missed)


def test_the_first_days_and_the_last_days() -> None:
    school = School(days=school_days(60))
    early, late = [school.absent(0), school.absent(1), school.absent(2)], [school.absent(day) for day in range(50, 56)]
    first = changed(f"{ATTENDANCE}/window", "first_days")
    first["clauses"]["attendance"] |= {"window_days": number(30)}
    del first["clauses"]["attendance"]["exit"]
    assert tiers(first, *early)[29:] == ["targeted"] * 31
    assert set(tiers(first, *late)) == {"universal"}
    last = changed(f"{ATTENDANCE}/window", "last_days")
    last["clauses"]["attendance"] |= {"window_days": number(20)}
    del last["clauses"]["attendance"]["exit"]
    assert tiers(last, *early)[19:24] == ["targeted"] * 2 + ["universal"] * 3
    assert tiers(last, *late)[49:] == ["universal"] * 2 + ["targeted"] * 9


def test_only_absences_without_an_excuse() -> None:
    from common.events import AttendanceKind

    school = School(days=school_days(60))
    missed = [school.absent(0), school.absent(1)]
    excused = [each.model_copy(update={"kind": AttendanceKind.EXCUSED}) for each in missed]
    document = changed(f"{ATTENDANCE}/counts", "unexcused")
    assert "targeted" in tiers(document, *missed)
    assert set(tiers(document, *excused)) == {"universal"}


def test_referrals_of_the_last_days() -> None:
    school = School(days=school_days(60))
    document = changed("clauses/referrals/window", "last_days")
    document["clauses"]["referrals"] |= {"window_days": number(14)}
    found = tiers(document, school.refers(1, 1), school.refers(5, 2), through=20)
    assert found == ["universal"] * 5 + ["targeted"] * 6 + ["universal"] * 9
