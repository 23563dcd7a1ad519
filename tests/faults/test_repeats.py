"""F4 and F5: duplicates, a topic replayed from its beginning, events out of order: the end is the same."""

import random
from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

import pytest

from common.events import AttendanceKind, AttendanceRecorded, Event, SchoolCalendarSet, SchoolDayClosed, StudentEnrolled
from common.outbox import Record
from tests.faults.checker import under_load, violations
from tests.faults.district import District
from tests.faults.push import LAST_DAY, school, weekdays
from tests.faults.wire import everything_on, heard, heard_to_the_end, put, raw
from tests.harness import record

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

DAYS = weekdays(60, LAST_DAY)
STUDENTS = 40


async def test_each_event_of_the_topic_sent_again_changes_nothing(shared: District) -> None:
    schools = [school(shared) for _ in range(2)]
    async with under_load(*schools):
        pass

    everything = await everything_on(shared, "sis")
    async with under_load(late := school(shared)):
        await put(shared, "sis", [message for message in everything for _ in range(2)])

    for service in ("mtss", "tally"):
        await heard_to_the_end(shared, service, "sis")
    assert len(everything) > 200
    assert await violations(shared, [*schools, late]) == []


async def test_the_whole_topic_heard_again_from_its_beginning_changes_nothing(shared: District) -> None:
    schools = [school(shared) for _ in range(2)]
    async with under_load(*schools):
        pass
    before = await shared.rows("mtss", "SELECT * FROM mtss_decision ORDER BY id")

    for service in ("mtss", "tally"):
        shared.members[service].stop()
        await shared.rows(service, "DELETE FROM inbox_offset")
    await shared.start("mtss", "tally")

    for service in ("mtss", "tally"):
        await heard_to_the_end(shared, service, "sis")
        assert await shared.rows(service, "SELECT topic FROM inbox_set_back"), "an offset that was lost is noticed"
        await shared.rows(service, "DELETE FROM inbox_set_back")
    assert await shared.rows("mtss", "SELECT * FROM mtss_decision ORDER BY id") == before
    assert await violations(shared, schools) == []


@pytest.mark.parametrize("apart", [1, 1000])
async def test_events_of_one_key_out_of_order_end_where_the_ordered_ones_end(shared: District, apart: int) -> None:
    ordered, other = f"ordered-{uuid4().hex[:8]}", f"mixed-{uuid4().hex[:8]}"
    as_said, mixed = facts(ordered), swapped(facts(other), apart)
    assert [event.model_dump(exclude={"school_id", "student_id"}) for event in mixed] != [
        event.model_dump(exclude={"school_id", "student_id"}) for event in as_said
    ]

    await say(shared, as_said)
    await say(shared, mixed)

    assert await outcome(shared, other) == await outcome(shared, ordered)
    assert await violations(shared) == []


def facts(school_id: str) -> list[Event]:
    """What a school says in a quarter, with corrections and deletions: the same for every school but for its ids."""
    chance, said = random.Random(7), list[Event]()
    said.append(SchoolCalendarSet(school_id=school_id, school_year=2020, instructional_days=tuple(DAYS), revision=1))
    said += [
        StudentEnrolled(student_id=student(school_id, number), school_id=school_id, entry_on=DAYS[0], revision=1)
        for number in range(STUDENTS)
    ]
    for day in DAYS:
        for number in range(STUDENTS):
            if chance.random() < (0.3 if number % 3 == 0 else 0.6 if number % 3 == 1 else 0.1):
                said += absence(chance, school_id, number, day)
        said.append(SchoolDayClosed(school_id=school_id, on=day, revision=1))
    return said


def absence(chance: random.Random, school_id: str, number: int, on: date) -> Sequence[Event]:
    """One day missed, as first told and perhaps corrected or taken back."""
    first = AttendanceRecorded(
        student_id=student(school_id, number),
        school_id=school_id,
        on=on,
        hundredths_absent=chance.choice((25, 50, 100)),
        kind=AttendanceKind.UNEXCUSED,
        revision=1,
    )
    corrected = first.model_copy(update={"revision": 2, "hundredths_absent": 100})
    gone = first.model_copy(update={"revision": 3, "deleted": True})
    return [first, corrected, gone][: chance.choice((1, 1, 2, 3, 3))]


def student(school_id: str, number: int) -> UUID:
    return uuid5(NAMESPACE_OID, f"{school_id}/{number}")


def swapped(events: list[Event], apart: int) -> list[Event]:
    """Each event in the place of the one ``apart`` places away."""
    mixed = list(events)
    for place in range(0, len(mixed) - apart, 2 * apart):
        for here in range(place, min(place + apart, len(mixed) - apart)):
            mixed[here], mixed[here + apart] = mixed[here + apart], mixed[here]
    return mixed


async def say(district: District, events: Sequence[Event]) -> None:
    records: list[Record] = [record(event) for event in events]
    await put(district, "sis", [raw("sis", each) for each in records])
    await heard(district, "mtss", {each.id for each in records})
    district.injected.update(each.id for each in records)


async def outcome(district: District, school_id: str) -> list[Any]:
    """For each student by number: tier, since when, and every standing absence."""
    rows = await district.rows(
        "mtss",
        """
        SELECT s.student_id, s.tier, s.since, array_agg((a.day, a.hundredths_absent)::text ORDER BY a.day) AS missed
        FROM mtss_student AS s LEFT JOIN mtss_attendance AS a ON a.student_id = s.student_id AND a.kind IS NOT NULL
        WHERE s.school_id = :school GROUP BY s.student_id, s.tier, s.since
        """,
        school=school_id,
    )
    found = {row.student_id: (row.tier, row.since, row.missed) for row in rows}
    assert len({tier for tier, _, _ in found.values()}) > 1, "the made-up school shows no difference"
    return [found[student(school_id, number)] for number in range(STUDENTS)]
