"""F6: what no handler can take is parked, and its neighbours go on."""

import json
from collections.abc import Sequence
from datetime import date
from uuid import UUID, uuid4

import pytest

from common.events import AttendanceKind, AttendanceRecorded
from common.outbox import LARGEST_EVENT_BYTES, Record
from tests.faults.checker import under_load, violations
from tests.faults.district import District
from tests.faults.push import school
from tests.faults.wire import heard_to_the_end, put, raw
from tests.harness import record

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

BUG = "school-of-bugs"
"""tests/faults/tally/app.py cannot take what happens there."""


def absence(school_id: str, student: UUID | None = None, **changes: object) -> Record:
    event = AttendanceRecorded(
        student_id=student or uuid4(),
        school_id=school_id,
        on=date(2026, 9, 1),
        hundredths_absent=100,
        kind=AttendanceKind.UNEXCUSED,
        revision=1,
    )
    return record(event.model_copy(update=changes))


def spoiled(key: str, body: bytes) -> Record:
    good = absence(key)
    return Record(good.id, good.type, good.subject, key, body)


def poison(key: str) -> Sequence[Record]:
    """One of each kind, all on the partition of ``key``."""
    good = absence(key)
    wrong = json.loads(good.body) | {"hundredths_absent": "canary"}
    return [
        spoiled(key, b"{"),
        spoiled(key, b"\xff\xfe"),
        spoiled(key, json.dumps(wrong).encode()),
        spoiled(key, b"[" * 10_000 + b"]" * 10_000),
        spoiled(key, b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
        spoiled(key, good.body[:-1] + b" " * LARGEST_EVENT_BYTES + b"}"),
        spoiled(key, b""),
        absence(key, revision=2**63),  # valid by its schema, and more than the column takes: a bug of the handler
    ]


async def test_poison_is_parked_while_neighbours_keep_flowing(shared: District) -> None:
    schools = [school(shared) for _ in range(2)]
    key = schools[0].id
    bad, fine = poison(key), absence(BUG)
    behind = absence(key, UUID(bad[0].subject), revision=5)

    async with under_load(*schools):
        for each in (*bad, behind, fine):  # one by one, between the school's own events
            await put(shared, "sis", [raw("sis", each)])
        await put(shared, "sis", [(key.encode(), b"{}", [])])
        for service in ("mtss", "tally"):
            await heard_to_the_end(shared, service, "sis")

    for service, own in (("mtss", []), ("tally", [fine.id])):
        parked = {row.id: row.error for row in await shared.rows(service, "SELECT id, error FROM inbox_parked")}
        expected = {*(each.id for each in (*bad, behind)), *own}
        if service == "tally":
            expected -= {bad[-1].id}  # its handler takes any revision
        assert expected <= parked.keys()
        assert len(parked) == len(expected) + 1  # and the one without headers
        assert parked[behind.id].startswith("behind")
        assert "canary" not in str(parked)
    shared.injected |= {bad[-1].id, fine.id}
    assert await violations(shared, schools) == []
    await forget_parked(shared)


async def test_an_event_that_is_too_large_is_refused_when_it_is_written(shared: District) -> None:
    crowded = school(shared, students=1)
    async with under_load(crowded):
        lines = "".join(
            f"{crowded.id},{1900 + n // 336:04}-{n % 336 // 28 + 1:02}-{n % 28 + 1:02},true,2030\n"
            for n in range(90_000)
        )
        async with shared.http("sis", "sis") as http:
            refused = await http.post(
                "/sis/v1/calendars",
                content=f"school_id,date,instructional,school_year\n{lines}",
                headers={"Content-Type": "text/csv"},
            )

    assert refused.status_code == 413
    assert await violations(shared, [crowded]) == []


async def forget_parked(district: District) -> None:
    """Leave the shared district as it was found."""
    for service in ("mtss", "tally"):
        await district.rows(service, "DELETE FROM inbox_parked")
