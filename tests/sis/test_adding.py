"""Attendance that only adds takes two trips to the database, and nobody can tell by what is stored, said and counted."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from common.auth import Principal
from common.db import Transactions
from common.events import AttendanceRecorded
from sis.adding import add
from sis.arrivals.intake import arrive
from sis.documents import write
from sis.plan import Result
from sis.resources import RESOURCES
from sis.rows import read_row
from tests.faults.patience import eventually
from tests.sis.conftest import Sis, absence, enrolment, student

ATTENDANCE = "studentSchoolAttendanceEvents"
EXPORTER = Principal("sis", "exporter")
TARDY = "Tardy"


async def added(sis: Sis, *rows: Any, resource: str = ATTENDANCE, who: Principal = EXPORTER) -> list[Result] | None:
    """What came of rows stored outright, or that they must take the usual way."""
    of = RESOURCES[resource]
    arrivals = [arrive(who, of, json.dumps(row).encode(), read_row) for row in rows]
    async with Transactions(sis.running.runtime.engine) as transactions, transactions.outright() as driver:
        return await add(driver, sis.running.runtime, of, arrivals)


async def of_student(sis: Sis, identity: str) -> Sequence[Any]:
    """All that is kept of the attendance of one student, but for ids and moments."""
    documents = await sis.rows(
        """
        SELECT body - 'studentReference' AS body, school_id, on_date, cardinality(refs), turn, deleted,
            revision = floor(extract(epoch FROM known_at) * 1000000), change_version > 0
        FROM sis_document WHERE student_id = :student AND resource = :resource ORDER BY key
        """,
        student=identity,
        resource=ATTENDANCE,
    )
    facts = await sis.rows(
        """
        SELECT state - 'student_id' AS state, school_id, on_date, turn, deleted, type
        FROM sis_fact WHERE state ->> 'student_id' = CAST(:student AS text) ORDER BY on_date
        """,
        student=identity,
    )
    said = [
        event.model_dump(exclude={"student_id", "revision"})
        for event in await sis.running.said(AttendanceRecorded)
        if event.student_id == UUID(identity)
    ]
    return [*documents, *facts, *said]


async def counts(sis: Sis) -> Sequence[Any]:
    return await sis.rows(
        "SELECT sum(accepted), sum(unchanged), sum(rejected), count(newest_at) FROM sis_arrival WHERE resource = :of",
        of=ATTENDANCE,
    )


@asynccontextmanager
async def meanwhile(sis: Sis, answering: Callable[[], Any]) -> AsyncIterator[tuple[AsyncSession, list[Any]]]:
    """A transaction that is under way while something is pushed, which must come to wait for it; then what was answered."""
    answers = list[Any]()
    async with sis.running.session() as session:
        yield session, answers
        pushing = asyncio.create_task(answering())

        async def waits() -> bool:
            return bool(await sis.rows("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))

        await eventually("the push waits", waits)
    answers.append(await pushing)


async def test_what_is_stored_said_and_counted_is_the_same_as_by_the_usual_way(
    sis: Sis, statements: Callable[[], AbstractContextManager[list[str]]]
):
    await sis.roster()
    one, other = await sis.put_in("students", student("outright"), student("usual"))

    def rows(name: str) -> list[Any]:
        return [
            absence("2026-09-01", name=name, eventDuration=0.285),
            absence("2026-09-01", TARDY, name=name),
            absence("2026-09-02", "In Attendance", name=name),
            absence("2026-09-03", name=name, _lastModifiedDate="2026-09-03T12:00:00Z"),
        ]

    assert len(await added(sis, *rows("outright")) or []) == 4
    outright = await counts(sis)
    with statements():  # who listens to statements hears them all
        assert await added(sis, *rows("usual")) is None
        answers = await asyncio.gather(*(sis.post(ATTENDANCE, row) for row in rows("usual")))

    assert {answer.status_code for answer in answers} == {201}
    assert await of_student(sis, one) == await of_student(sis, other) != []
    assert [tuple(each)[:3] for each in outright] == [(4, 0, 0)]
    assert [tuple(each)[:3] for each in await counts(sis)] == [(8, 0, 0)]


async def test_whatever_is_not_plain_takes_the_usual_way(sis: Sis):
    await sis.roster()
    known, gone = await sis.put_in(ATTENDANCE, absence("2026-09-01"), absence("2026-09-02"))
    assert (await sis.delete(ATTENDANCE, gone)).status_code == 204
    await sis.put_in(ATTENDANCE, absence("2026-09-03", name="who comes later"))
    bound_to_a_school = Principal("sis", "exporter", client=True, schools=frozenset({"1"}))

    assert await added(sis, absence("2026-09-01")) is None, "the row is known"
    assert await added(sis, absence("2026-09-01", TARDY)) is None, "something is known of the day"
    assert await added(sis, absence("2026-09-02", TARDY)) is None, "something was known of the day"
    assert await added(sis, absence("2026-09-03", name="who comes later")) is None, "it waits"
    assert await added(sis, absence("2026-09-04", name="nobody")) is None, "nobody is known by that name"
    assert await added(sis, absence("2026-09-04"), absence("2026-09-04")) is None, "twice in one push"
    assert await added(sis, absence("2026-09-04"), {"eventDate": "soon"}) is None, "one cannot be read"
    assert await added(sis, absence("2026-09-04"), who=bound_to_a_school) is None, "who pushes is bound to schools"
    assert await added(sis, enrolment(), resource="studentSchoolAssociations") is None, "another resource"
    assert known
    assert len(await added(sis, absence("2026-09-04")) or []) == 1


async def test_a_row_whose_student_is_taken_away_meanwhile_is_not_stored_beside_that(sis: Sis):
    await sis.roster()
    async with meanwhile(sis, lambda: sis.post(ATTENDANCE, absence())) as (session, answers):
        await session.execute(sa.text("SELECT 1 FROM sis_document WHERE resource = 'students' FOR UPDATE"))
        await session.execute(sa.text("UPDATE sis_document SET deleted = true WHERE resource = 'students'"))
    (answer,) = answers

    assert answer.status_code == 201
    assert await sis.rows("SELECT 1 FROM sis_document WHERE resource = :of", of=ATTENDANCE) == []
    assert len(await sis.rows("SELECT 1 FROM sis_waiting")) == 1
    assert await sis.running.said(AttendanceRecorded) == []


@pytest.mark.parametrize(("category", "status", "kept"), [(TARDY, 201, 2), ("Unexcused Absence", 200, 1)])
async def test_what_another_stores_of_the_same_day_meanwhile_is_not_lost(
    sis: Sis, category: str, status: int, kept: int
):
    await sis.roster()
    of = RESOURCES[ATTENDANCE]
    theirs = read_row(of, absence(eventDuration=0.5))
    ours = absence(category=category, eventDuration=1)
    async with meanwhile(sis, lambda: sis.post(ATTENDANCE, ours)) as (session, answers):
        await write(session, sis.running.runtime.vault, of, [theirs], ["another"])
    (answer,) = answers

    assert answer.status_code == status
    assert len(await sis.rows("SELECT 1 FROM sis_document WHERE resource = :of", of=ATTENDANCE)) == kept
    first, *_, last = await sis.running.said(AttendanceRecorded)
    assert first.hundredths_absent == 50
    assert last.revision > first.revision
    assert last.hundredths_absent == 100


async def test_who_asks_for_the_newest_change_waits_for_what_is_being_added(sis: Sis):
    await sis.roster()
    newest = "/sis/changeQueries/v1/availableChangeVersions"
    async with sis.running.session() as session:
        await session.execute(sa.text("SELECT 1 FROM sis_document WHERE resource = 'students' FOR UPDATE"))
        adding = asyncio.create_task(sis.post(ATTENDANCE, absence()))
        await eventually("the push waits for the student", lambda: _waiting(sis, "transactionid", "tuple"))
        asking = asyncio.create_task(sis.call("GET", newest))
        await asyncio.sleep(0.3)
        assert not asking.done()  # for it may already have a version
    assert (await adding).status_code == 201
    assert (await asking).status_code == 200


async def _waiting(sis: Sis, *events: str) -> bool:
    return bool(await sis.rows("SELECT 1 FROM pg_stat_activity WHERE wait_event = ANY(:events)", events=list(events)))


async def test_fifty_who_push_one_row_at_once_make_one_row(sis: Sis):
    await sis.roster()
    answers = await asyncio.gather(*(sis.post(ATTENDANCE, absence()) for _ in range(50)))

    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]
    assert len(await sis.running.said(AttendanceRecorded)) == 1
    assert [tuple(each)[:2] for each in await counts(sis)] == [(1, 49)]


async def test_a_rejected_row_is_mended_by_one_that_is_added(sis: Sis):
    await sis.roster()
    assert (await sis.post(ATTENDANCE, absence(eventDuration=7))).status_code == 400
    assert len(await sis.rows("SELECT 1 FROM sis_rejected WHERE closed_at IS NULL")) == 1

    assert await added(sis, absence(eventDuration=1))
    assert await sis.rows("SELECT closed_as FROM sis_rejected WHERE closed_at IS NOT NULL") == [("accepted",)]


async def test_the_connection_sees_nothing_when_it_is_given_back(sis: Sis):
    await sis.roster()
    assert await added(sis, absence())
    async with sis.running.runtime.engine.connect() as connection:
        assert await connection.scalar(sa.text("SELECT current_setting('trellis.sees', true)")) == ""
