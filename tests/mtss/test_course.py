"""Courses and the ledger, compared day by day with the oracle."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.events import Event
from tests.harness import Running
from tests.mtss.ledger import check_ledger
from tests.mtss.made_up import course_by_rules, days_of, districts
from tests.mtss.oracle import District, differences

_ALL: Any = list(HealthCheck)


@settings(max_examples=400, deadline=None, suppress_health_check=_ALL)
@given(districts())
def test_courses_are_what_the_oracle_says_day_by_day(events: list[Event]) -> None:
    district = District(events)
    for student in district.students():
        assert differences(district.course(student), days_of(course_by_rules(events, student))) == []


@settings(max_examples=60, deadline=None, suppress_health_check=_ALL)
@given(districts(), st.data())
async def test_any_order_repetition_and_splitting_end_the_same(
    service: Running, events: list[Event], data: st.DataObject
) -> None:
    await service.empty()
    repeated = events + data.draw(st.lists(st.sampled_from(events), max_size=10))
    shuffled = data.draw(st.permutations(repeated))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(shuffled)), max_size=12)))
    for first, end in zip([0, *cuts], [*cuts, len(shuffled)], strict=True):
        if first < end:
            await service.deliver(*shuffled[first:end])
    await check_ledger(service, events)
