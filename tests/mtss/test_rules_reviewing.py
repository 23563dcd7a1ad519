"""What people who review are bound to: due dates, the end of an override, and what comes and goes."""

from datetime import date, timedelta

import pytest

from common.errors import Invalid
from common.events import Tier
from mtss.rules.reviewing import Flapping, Line, check_ahead, due_on, ends_soon, flapping, followed_up_by
from tests.mtss.made_up import school_days

DAYS = school_days(30)  # from a Monday on
SATURDAY = DAYS[4] + timedelta(days=1)


@pytest.mark.parametrize(
    ("begun_on", "within", "due"),
    [
        (DAYS[0], 1, DAYS[1]),
        (DAYS[0], 5, DAYS[5]),
        (SATURDAY, 1, DAYS[5]),
        (DAYS[4], 1, DAYS[5]),
        (DAYS[0] - timedelta(days=3), 1, DAYS[0]),
        (DAYS[28], 1, DAYS[29]),
        (DAYS[28], 2, None),
    ],
)
def test_what_begins_on_a_day_is_due_so_many_school_days_later(begun_on: date, within: int, due: date | None) -> None:
    assert due_on(DAYS, begun_on, within) == due


@pytest.mark.parametrize(
    ("last", "due"), [(None, DAYS[8]), (DAYS[2], DAYS[8]), (DAYS[3], DAYS[13]), (DAYS[6], DAYS[16])]
)
def test_a_student_is_asked_soon_after_a_survey_calls_for_it_and_then_after_each_time(
    last: date | None, due: date
) -> None:
    assert followed_up_by(DAYS, DAYS[3], last, 5, 10) == due


def test_an_override_may_end_with_each_of_the_next_school_days() -> None:
    for until in (DAYS[3], DAYS[7]):
        check_ahead("until", DAYS, DAYS[2], until, 5)
    for until in (DAYS[2], DAYS[1], DAYS[8], SATURDAY):
        with pytest.raises(Invalid) as refused:
            check_ahead("until", DAYS, DAYS[2], until, 5)
        assert refused.value.facts["field"] == "until"


@pytest.mark.parametrize(("until", "soon"), [(2, True), (3, True), (4, True), (5, False)])
def test_an_override_ends_soon_when_few_school_days_are_left(until: int, soon: bool) -> None:
    assert ends_soon(DAYS, DAYS[2], DAYS[until], 3) is soon


def test_ups_and_downs_are_counted_from_a_day_on() -> None:
    universal, targeted, intensive = Tier.UNIVERSAL, Tier.TARGETED, Tier.INTENSIVE
    lines = [
        Line(targeted, universal, DAYS[1]),
        Line(universal, None, DAYS[2]),
        Line(targeted, universal, DAYS[2]),
        Line(targeted, targeted, DAYS[3]),
        Line(intensive, targeted, DAYS[4]),
        Line(universal, intensive, DAYS[5]),
        Line(None, universal, DAYS[6]),
    ]
    assert flapping(lines, DAYS[2]) == Flapping(ups=2, downs=1)
    assert flapping(lines, DAYS[7]) == Flapping(0, 0)
