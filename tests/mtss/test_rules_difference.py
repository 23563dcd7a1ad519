"""What differs between two policies, in plain words, and the published language."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mtss.rules import policy_of
from mtss.rules.policy.difference import Rehearsed, difference, in_numbers
from mtss.rules.policy.schema import schema
from tests.mtss.test_rules_policy import ATTENDANCE, ENTRY, TEXT, changed

ENTRY_PATH = ENTRY.replace("/", ".")
SHARE = "percent of enrolled days missed"


def number(value: float, unit: str = "local units", source: str = "local") -> dict[str, Any]:
    return {"value": value, "unit": unit, "source": source}


def differs(path: str, value: Any) -> list[str]:
    return list(difference(policy_of(json.loads(TEXT)), policy_of(changed(path, value))))


def otherwise(path: str, value: float) -> list[str]:
    """With another value at ``path``, and the same unit and source."""
    return differs(f"{path}/value", value)


def test_a_policy_does_not_differ_from_itself_or_from_another_version() -> None:
    assert differs("version", "another") == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (ENTRY, 8.0, "a student is now considered from 8 % instead of 10 % of enrolled days missed."),
        (ENTRY, 8.5, "a student is now considered from 8.5 % instead of 10 % of enrolled days missed."),
        (f"{ATTENDANCE}/exit/below", 7, "it now ends below 7 % instead of 8 % of enrolled days missed."),
        (f"{ATTENDANCE}/exit/days_in_a_row", 15, "it now ends after 15 instead of 20 instructional days in a row."),
        (
            f"{ATTENDANCE}/minimum_data/enrolled_days",
            10,
            "minimum data enrolled days is now 10 instead of 20 enrolled days of the school year.",
        ),
        (f"{ATTENDANCE}/bands/watch", 6, "bands watch is now 6 % instead of 5 % of enrolled days missed."),
    ],
)
def test_a_number(path: str, value: float, said: str) -> None:
    assert otherwise(path, value) == [f"Attendance: {said}"]


@pytest.mark.parametrize(
    ("rehearsed", "said"),
    [
        (
            Rehearsed([2026], [], (381, 412), (14, 14)),
            (
                "Rehearsed over the school year 2026: 31 more students (412 instead of 381) for targeted support, "
                "as many students (14) for intensive support."
            ),
        ),
        (
            Rehearsed([2024, 2025, 2026], ["100", "200"], (2, 1), (0, 1)),
            (
                "Rehearsed over the school years 2024, 2025 and 2026 at schools 100 and 200: 1 fewer student (1 instead of 2) for targeted "
                "support, 1 more student (1 instead of 0) for intensive support."
            ),
        ),
        (
            None,
            (
                "How many students more or fewer that is nobody has rehearsed: rehearse ours-1 against default-1 "
                "(trellis rehearse, or POST /mtss/v1/rehearsals)."
            ),
        ),
    ],
)
def test_how_many_students(rehearsed: Rehearsed | None, said: str) -> None:
    before, after = (policy_of(changed("version", version)) for version in ("default-1", "ours-1"))
    assert in_numbers(before, after, rehearsed) == said


def test_what_people_are_bound_to() -> None:
    (said,) = otherwise("review/proposal_due", 3)
    assert said == "Review: proposal due is now 3 instead of 5 instructional days until a proposal is to be answered."


def test_the_places_of_a_school() -> None:
    (said,) = differs("places", {"100": {"targeted": {"value": 40, "unit": "students", "source": "local"}}})
    assert said == "Places: 100 targeted is now set, to 40 students."


def test_a_mean() -> None:
    (said,) = otherwise("clauses/adult_support/entry/at_most", 2)
    assert said == "Adult_support: a student is now considered up to 2 instead of 2.5 mean of items from 1 to 5."
    assert differs("clauses/adult_support/exit", {"above": number(3)}) == [
        "Adult_support: exit above is now set, to 3 local units."
    ]


def test_a_number_that_is_gone_and_one_that_is_new() -> None:
    assert differs(f"{ATTENDANCE}/bands/watch", ...) == [
        "Attendance: bands watch is no longer set; it was 5 % of enrolled days missed."
    ]
    assert differs(f"{ATTENDANCE}/minimum_dwell", {"days": number(9, "days")}) == [
        "Attendance: minimum dwell days is now set, to 9 days."
    ]


def test_a_unit_and_a_source() -> None:
    assert differs(f"{ENTRY}/unit", "percent") == [
        f"Attendance: entry at least is now counted in percent instead of {SHARE}."
    ]
    assert differs(f"{ENTRY}/source", "Our board") == ["Attendance: entry at least has another source: Our board."]


def test_which_absences_count_and_what_the_unknown_does() -> None:
    assert differs(f"{ATTENDANCE}/counts", "unexcused") == ["Attendance: counts is now unexcused instead of all."]
    assert differs(f"{ATTENDANCE}/when_unknown", "ask") == [
        "Attendance: while nothing is known, now a person is asked instead of: nothing begins or ends."
    ]


def test_a_clause_that_is_new_gone_or_another() -> None:
    clauses = json.loads(TEXT)["clauses"]
    assert differs("clauses", clauses | {"low": clauses["adult_support"]}) == [
        "Low: this clause is new (survey_level, up to 2.5 mean of items from 1 to 5)."
    ]
    before, after = json.loads(TEXT), json.loads(TEXT.replace('"severe_referrals"', '"many_referrals"'))
    assert difference(policy_of(before), policy_of(after))[:2] == (
        "Severe_referrals: this clause is gone.",
        "Many_referrals: this clause is new (referrals, from 6 referrals within a school year).",
    )
    heard = differs("clauses/severe_referrals", clauses["severe_attendance"])
    assert heard[0] == "Severe_referrals: it now listens to attendance_share instead of referrals."
    assert "Severe_referrals: counts is now all instead of left out." in heard
    assert differs("clauses", dict(reversed(clauses.items()))) == ["The clauses stand in another order."]


def test_what_calls_for_a_tier() -> None:
    (said,) = differs("tiers/targeted/when", {"all": ["attendance", {"any": ["adult_support", "referrals"]}]})
    assert said == (
        "Targeted support is now called for by attendance and (adult_support or referrals) "
        "instead of attendance or adult_support or referrals."
    )
    (said,) = differs("tiers/intensive/when", "severe_attendance")
    assert said.endswith(
        "instead of severe_attendance or severe_referrals or (at least 2 of attendance, adult_support, referrals)."
    )


def test_how_a_tier_begins_and_ends_and_who_is_told() -> None:
    assert differs("tiers/targeted/entry", "proposed") == [
        "The beginning of targeted support now is put before a person; before, it happens at once."
    ]
    assert differs("tiers/intensive/exit", "assigned") == [
        "The end of intensive support now happens at once; before, it is put before a person."
    ]
    assert differs("tiers/targeted/tells_families", False) == ["Families are no longer told of targeted support."]


def test_the_title_and_exempt_grades() -> None:
    assert differs("title", "Ours") == ["The title is another one."]
    assert otherwise("confirm_above", 30) == [
        "What an adoption may change without a second confirmation is now 30 % instead of 20 % of students whose tier changes."
    ]
    assert differs("confirm_above", ...)[0].startswith(
        "What an adoption may change without a second confirmation is no longer"
    )
    assert differs("exempt_grades", ["Preschool"]) == ["Exempt: nothing is asked of Preschool too."]


def test_what_is_otherwise_for_some() -> None:
    bounds = {ENTRY_PATH: {"from": number(9), "to": number(12)}}
    variant = {"name": "youngest", "grades": ["First grade"], "changes": {ENTRY_PATH: number(12)}}
    first = policy_of(json.loads(TEXT) | {"variants": [variant]})
    other = variant | {"grades": ["Second grade"], "changes": {ENTRY_PATH: number(13)}}
    schools = {"schools": {"100": {ENTRY_PATH: number(11)}}, "bounds": bounds}
    then = policy_of(json.loads(TEXT) | {"variants": [other]} | schools)
    path = ENTRY_PATH.replace(".", " ").replace("_", " ")
    assert difference(first, then) == (
        "Youngest: it counts for Second grade too.",
        "Youngest: it counts for First grade no longer.",
        f"Youngest: {path} is now 13 instead of 12 local units.",
        "School 100: something is otherwise there now.",
        f"School 100: {path} is now set, to 11 local units.",
        f"The least that a school may choose for {path} is now set, to 9 local units.",
        f"The most that a school may choose for {path} is now set, to 12 local units.",
    )
    assert difference(first, policy_of(json.loads(TEXT))) == ("Youngest: nothing is otherwise there any longer.",)


# The published language


def test_the_published_schema_is_the_one_of_the_signals() -> None:
    written = Path("docs/policies/tier-policy.v1.json").read_text(encoding="utf-8")
    assert json.loads(written) == schema(), "run `make events`"


def test_the_schema_lets_the_default_policy_through() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(json.loads(TEXT), schema())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("language", 2),
        ("version", "a/b"),
        ("surprise", 1),
        ("title", ...),
        ("clauses", {}),
        (f"{ATTENDANCE}/window", "a fortnight"),
        (f"{ATTENDANCE}/minimum_data", ...),
        (f"{ATTENDANCE}/entry", {}),
        (ENTRY, number(100)),
        (ENTRY, {"value": 10, "unit": "percent"}),
        ("clauses/referrals/entry/at_least", number(2.5)),
        ("tiers/targeted", ...),
        ("tiers/targeted/tells_families", "yes"),
        ("tiers/targeted/when", {"any": []}),
        ("variants", [{"name": "x"}]),
        ("bounds", {"a": {"from": number(1)}}),
    ],
)
def test_the_schema_stops_what_the_reader_refuses(path: str, value: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed(path, value), schema())
