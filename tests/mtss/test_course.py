"""Courses by the rules, compared day by day with the oracle."""

from hypothesis import HealthCheck, given, settings

from common.events import Event
from mtss import rules
from tests.mtss.made_up import course_by_rules, days_of, districts, facts_of, policy
from tests.mtss.oracle import District, differences


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(districts())
def test_courses_are_what_the_oracle_says_day_by_day(events: list[Event]) -> None:
    district = District(events)
    for student in district.students():
        assert differences(district.course(student), days_of(course_by_rules(events, student))) == []
