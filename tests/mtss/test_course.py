"""Courses by the rules alone, compared day by day with the oracle."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from common.events import Event
from tests.mtss.made_up import course_by_rules, days_of, districts
from tests.mtss.oracle import District, differences

_ALL: Any = list(HealthCheck)
# A district that fails has a long repr; the warning about it would hide the failure.
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")


@settings(max_examples=300, suppress_health_check=_ALL)
@given(districts())
def test_courses_are_what_the_oracle_says_day_by_day(events: list[Event]) -> None:
    district = District(events)
    for student in district.students():
        assert differences(district.course(student), days_of(course_by_rules(events, student))) == []
