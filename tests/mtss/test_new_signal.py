"""A new signal is one file: nothing else has to know it for a policy to be read, rehearsed, decided by, proved and explained."""

from datetime import UTC, datetime
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.events import Event, Tier
from mtss.models import Decision
from mtss.rules import policy_of, signals
from mtss.rules.policy.checking import check
from mtss.rules.policy.difference import difference
from mtss.rules.policy.schema import schema
from mtss.rules.signals import SIGNALS
from tests.harness import Running
from tests.mtss.made_up import School, districts, facts_of, policy, school_days
from tests.mtss.part_days import SIGNAL
from tests.mtss.test_people import differing
from tests.mtss.test_policies import adopted
from tests.mtss.test_rules_kernel import check_against_closed_form, rehearsed, students_of
from tests.mtss.test_rules_policy import ATTENDANCE, changed, number

SCHOOL = School(days=school_days(40))
CLAUSE = {"signal": "part_days", "window": "school_year", "entry": {"at_least": number(2)}, "when_unknown": "hold"}
LATELY = CLAUSE | {"window": "last_days", "window_days": number(5), "exit": {"below": number(1)}}


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the file lay among the others."""
    monkeypatch.setitem(SIGNALS, SIGNAL.name, SIGNAL)


def document(clause: dict[str, Any]) -> dict[str, Any]:
    return changed(ATTENDANCE, clause) | {"version": "ours-1"}


def test_every_file_of_the_package_that_has_a_signal_is_known_by_its_name() -> None:
    found = {each.name: import_module(f"{signals.__name__}.{each.name}") for each in iter_modules(signals.__path__)}
    assert {name: file.SIGNAL for name, file in found.items() if name != "kinds"} == SIGNALS
    for signal in SIGNALS.values():
        assert {*signal.rehearsed} == {*signal.texts.get("window", {None})}


@pytest.mark.usefixtures("known")
def test_it_is_read_checked_compared_and_in_the_schema() -> None:
    assert check(document(LATELY)) == ()
    (wrong,) = check(document(LATELY | {"entry": {"at_least": number(6)}}))
    assert (wrong.field, wrong.rule.partition(",")[0]) == ("clauses.attendance.entry.at_least", "is never reached")
    assert schema()["$defs"]["part_days"]["properties"]["window"] == {"enum": ["last_days", "school_year"]}
    assert "Attendance: it now listens to part_days instead of attendance_share." in difference(
        policy(), policy_of(document(CLAUSE))
    )


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=districts(students=3), clause=st.sampled_from([CLAUSE, LATELY]))
@pytest.mark.usefixtures("known")
def test_it_is_rehearsed_as_it_decides(events: list[Event], clause: dict[str, Any]) -> None:
    facts, ours = facts_of(events, students_of(events)), policy_of(document(clause))
    check_against_closed_form(facts, ours, rehearsed(facts, ours))


@pytest.mark.usefixtures("known")
async def test_it_decides_provably_and_is_explained(mtss: Running) -> None:
    mtss.clock.set(datetime(2024, 8, 19, 12, tzinfo=UTC))
    await adopted(mtss, document(CLAUSE), 0)
    mtss.clock.set(datetime(2024, 9, 2, 18, tzinfo=UTC))
    half = [SCHOOL.absent(day, hundredths=50) for day in (3, 6)]
    await mtss.deliver(SCHOOL.calendar(), SCHOOL.enrols(), *SCHOOL.closes_through(5))
    await mtss.deliver(*half, *SCHOOL.closes(5, 6, 7))
    async with mtss.session() as session:
        first, last = (await session.scalars(sa.select(Decision).order_by(sa.column("number")))).all()
    assert (first.tier, last.tier, last.effective_on) == (Tier.UNIVERSAL, Tier.TARGETED, SCHOOL.days[6])
    (before,), (now,) = ([each for each in of.clauses if each["clause"] == "attendance"] for of in (first, last))
    assert before["change"]["by"] == "in_part"
    assert before["what_would_change_it"].endswith("2 parts of days more, seen on August 27, 2024.")
    assert now["in_words"] == "2 parts of days since the summer, counted through August 28, 2024."
    assert await differing(mtss) == []
    for audience, language, said in (
        ("parent", "en", "Your child missed 2 parts of days."),
        ("student", "es", "Perdiste 2 partes de días."),
    ):
        path = f"/mtss/v1/decisions/{last.id}/words?for={audience}"
        headers = mtss.headers("district") | {"Accept-Language": language}
        assert said in (await mtss.http.get(path, headers=headers)).text
