"""The rules of the door of ``sis``: who asks for a token, what silence means, and which row is the newer one."""

import base64
from datetime import UTC, date, datetime, time
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sis.rules.arrivals import ArrivalPolicy
from sis.rules.members import BrokenRule, values_at
from sis.rules.oauth import Credentials, TokenRefused, check_grant, credentials_of, fields_of
from sis.rules.separators import wrong_separator
from sis.rules.values import _REMEMBERED, known_code
from sis.rules.waiting import Waits
from sis.rules.words import long_day, moment, span

POLICY = ArrivalPolicy(30, 1000, 10, 400, time(18), (2, 5, 10), 3)
PARAMETERS = {"grant_type": "client_credentials"}


def basic(text: str, scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(text.encode()).decode()}"


def refused(call: "pytest.ExceptionInfo[TokenRefused]") -> str:
    return call.value.error


def test_a_day_is_due_from_the_hour_at_which_schools_submit() -> None:
    on = date(2026, 11, 20)
    assert POLICY.latest_due(datetime(2026, 11, 20, 17, 59, tzinfo=UTC)) == date(2026, 11, 19)
    assert POLICY.latest_due(datetime(2026, 11, 20, 18, 0, tzinfo=UTC)) == on


@given(st.integers(min_value=0, max_value=50))
def test_silence_is_told_at_the_highest_age_it_has_come_to(age: int) -> None:
    steps = [step for step in POLICY.alert_school_days if step <= age]
    assert POLICY.reached(age) == (steps[-1] if steps else None)


def test_parameters_are_known_in_any_case_and_empty_ones_are_none() -> None:
    assert fields_of([("Grant_Type", "x"), ("client_id", ""), ("scope", None)]) == {"grant_type": "x"}


@pytest.mark.parametrize("pairs", [[("a", "1"), ("A", "2")], [("a", 1)], [("a", ["x"])]])
def test_a_parameter_that_stands_twice_or_is_no_text_is_refused(pairs: list[tuple[str, object]]) -> None:
    with pytest.raises(TokenRefused) as call:
        fields_of(pairs)
    assert refused(call) == "invalid_request"


def test_only_client_credentials_are_granted() -> None:
    check_grant({"grant_type": "Client_Credentials"})
    for fields, error in (({}, "invalid_request"), ({"grant_type": "password"}, "unsupported_grant_type")):
        with pytest.raises(TokenRefused) as call:
            check_grant(fields)
        assert refused(call) == error


@given(st.text(min_size=1, alphabet=st.characters(blacklist_categories=["Cs"])))
def test_a_secret_in_the_body_is_taken_as_it_is_and_never_shown(secret: str) -> None:
    found = credentials_of("", {"client_id": "me", "client_secret": secret})
    assert found == Credentials("me", secret)
    assert repr(found) == "Credentials(client_id='me')"


def test_credentials_in_the_header_are_form_encoded_and_may_stand_in_the_body_too() -> None:
    found = Credentials("me", "a b:c")
    assert credentials_of(basic("me:a+b%3Ac"), {}) == found
    assert credentials_of(basic("me:a+b:c", "BASIC"), {"client_id": "me", "client_secret": "a b:c"}) == found


@pytest.mark.parametrize(
    "authorization", ["", "Basic", "Basic ?", "Basic /w==", basic("me"), basic(":x"), basic("me:x", "Bearer")]
)
def test_credentials_that_are_missing_or_do_not_read_are_no_client(authorization: str) -> None:
    with pytest.raises(TokenRefused) as call:
        credentials_of(authorization, {})
    assert refused(call) == "invalid_client"


def test_two_credentials_that_differ_are_refused() -> None:
    with pytest.raises(TokenRefused) as call:
        credentials_of(basic("me:x"), {"client_id": "me", "client_secret": "y"})
    assert refused(call) == "invalid_request"


def test_a_row_is_stale_beside_one_that_waits_only_if_both_say_when_they_were_changed() -> None:
    early, late = (datetime(2026, 9, on, tzinfo=UTC) for on in (1, 2))
    waits = Waits(UUID(int=1), 1, late)
    assert waits.is_newer_than(early)
    assert not waits.is_newer_than(late)
    assert not waits.is_newer_than(None)
    assert not Waits(UUID(int=1), 1, None).is_newer_than(early)


def test_values_are_found_through_lists_and_where_a_step_is_missing_there_are_none() -> None:
    document = {"races": [{"raceDescriptor": "a"}, {"other": 1}, {"raceDescriptor": "b"}], "sex": "c"}
    assert list(values_at(document, "races[].raceDescriptor")) == ["a", "b"]
    assert list(values_at(document, "sex")) == ["c"]
    assert list(values_at(document, "names[].first")) == []


def test_a_code_that_was_accepted_is_accepted_again_and_memory_has_a_limit() -> None:
    read = known_code({"excused": 1})
    for number in range(_REMEMBERED + 2):
        sent = f"uri://{number}#Excused"
        assert read(sent) == read(sent) == sent
    with pytest.raises(BrokenRule):
        read("uri://x#Unheard")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "now"),
        (59, "now"),
        (60, "1 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172_799, "47 h"),
        (1_324_247, "15 days"),
    ],
)
def test_a_length_of_time_is_said_in_its_largest_fitting_unit(seconds: int, words: str) -> None:
    assert span(seconds) == words


def test_a_moment_names_its_year_only_if_it_is_another_one() -> None:
    now = datetime(2027, 1, 29, 12, tzinfo=UTC)
    assert moment(None, now) == "–"
    assert moment(datetime(2027, 1, 2, 16, 4, tzinfo=UTC), now) == "2 Jan, 16:04"
    assert moment(datetime(2026, 12, 2, 16, 4, tzinfo=UTC), now) == "2 Dec 2026, 16:04"
    assert long_day(date(2027, 1, 2)) == "2 January 2027"


@pytest.mark.parametrize(
    ("header", "says"), [(["a;b"], "semicolons"), (["a\tb"], "tabs"), (["a", "b;c"], None), (["a"], None), ([], None)]
)
def test_a_line_without_commas_is_named_by_what_separates_it(header: list[str], says: str | None) -> None:
    wrong = wrong_separator(header)
    assert wrong is None if says is None else says in str(wrong)
