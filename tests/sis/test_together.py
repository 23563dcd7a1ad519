"""Single pushes that come at the same moment: fewer transactions, and for each pusher the same as if alone."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest

from common.events import AttendanceRecorded
from sis.arrivals import intake
from sis.documents import write
from tests.sis.conftest import Sis, absence, enrolment, student

ATTENDANCE = "studentSchoolAttendanceEvents"


async def test_pushes_that_come_at_once_share_transactions_and_each_is_answered(
    sis: Sis, statements: Callable[[], AbstractContextManager[list[str]]]
):
    await sis.roster()
    await sis.put_in("students", *(student(f"n{number}") for number in range(20)))
    with statements() as executed:
        answers = await asyncio.gather(*(sis.post(ATTENDANCE, absence(name=f"n{n}")) for n in range(20)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 20
    assert len(await sis.running.said(AttendanceRecorded)) == 20
    assert sum("INSERT INTO sis_document" in each for each in executed) < 10


async def test_pushes_of_one_document_take_effect_in_the_order_they_came(sis: Sis):
    await sis.roster()
    rows = [absence(eventDuration=hundredths / 100) for hundredths in (100, 50, 25, 75)]
    answers = await asyncio.gather(*(sis.post(ATTENDANCE, row) for row in rows))

    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert (await sis.running.said(AttendanceRecorded))[-1].hundredths_absent == 75
    (kept,) = await sis.rows("SELECT count(*) FROM sis_revision WHERE body ? 'eventDate'")
    assert kept.count == 3


async def test_a_push_that_is_refused_does_not_hold_up_the_others(sis: Sis, no_waiting: None):
    await sis.roster()
    names = ["s1", "nobody", "s1"]
    answers = await asyncio.gather(
        *(sis.post(ATTENDANCE, absence(f"2026-09-0{day}", name=name)) for day, name in enumerate(names, 1))
    )
    assert [answer.status_code for answer in answers] == [201, 409, 201]


@pytest.mark.parametrize(("error", "statuses"), [(ValueError, [201, 500, 201]), (ConnectionError, [503, 503, 503])])
async def test_a_row_that_cannot_be_stored_fails_alone_but_a_database_that_is_away_is_not_asked_again_and_again(
    sis: Sis, monkeypatch: pytest.MonkeyPatch, error: type[Exception], statuses: Sequence[int]
):
    await sis.roster()

    async def failing(session: Any, vault: Any, resource: Any, rows: Sequence[Any], sources: Sequence[str]) -> Any:
        if any(row.content.body["entryDate"] == "2026-09-02" for row in rows):
            raise error
        return await write(session, vault, resource, rows, sources)

    monkeypatch.setattr(intake, "write", failing)
    pushes = (sis.post("studentSchoolAssociations", enrolment(entry=f"2026-09-0{day}")) for day in (1, 2, 3))

    assert [answer.status_code for answer in await asyncio.gather(*pushes)] == statuses
