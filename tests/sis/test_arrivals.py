"""What arrived is counted by source, resource and day; what was refused is kept as it came, once, until it is mended."""

import asyncio
import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from sis.consequences import follow_documents
from sis.loops import forget_arrivals
from sis.policy import ARRIVALS
from sis.sweeping import sweep_waiting
from tests.sis.conftest import EDFI, Sis, absence, school, student

ATTENDANCE = "studentSchoolAttendanceEvents"
COUNTS = ("accepted", "unchanged", "stale", "deleted", "rejected", "rejected_open")


async def sources(sis: Sis, role: str = "district", **query: Any) -> list[dict[str, Any]]:
    response = await sis.call("GET", "/sis/v1/sources", role=role, params=query)
    assert response.status_code == 200, response.text
    return list(response.json()["items"])


async def counts(sis: Sis, resource: str) -> dict[str, int]:
    """The counts of one resource that are not zero."""
    (line,) = [line for line in await sources(sis) if line["resource"] == resource]
    return {name: line[name] for name in COUNTS if line[name]}


async def test_each_row_counts_as_what_came_of_it(sis: Sis):
    await sis.roster()
    old, new = "2026-09-01T08:00:00Z", "2026-09-02T08:00:00Z"
    rows = [absence(_lastModifiedDate=new), absence(_lastModifiedDate=new), absence(_lastModifiedDate=old), {}]
    await sis.bulk(ATTENDANCE, rows)
    await sis.bulk(ATTENDANCE, [absence(), absence()], deletes=True)

    assert await counts(sis, ATTENDANCE) == {
        "accepted": 1,
        "unchanged": 2,  # the second row, and a deletion of what is gone already
        "stale": 1,
        "deleted": 1,
        "rejected": 1,
        "rejected_open": 1,
    }


async def test_every_door_counts(sis: Sis):
    await sis.put_in("schools", school())
    await sis.bulk("schools", [school(2)])
    attributes = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "urn:sis", "ce-type": "sis.schools.upserted.v1"}
    for _ in range(2):
        await sis.call("POST", "/sis/v1/events", json=school(3), headers=attributes)

    assert await counts(sis, "schools") == {"accepted": 3}


async def test_the_lag_is_the_time_since_the_newest_change_that_came_or_else_since_the_last_push(sis: Sis):
    await sis.put_in("schools", school())
    await sis.put_in("students", student(_lastModifiedDate="2020-01-01T00:00:00Z"))
    schools, students = await sources(sis)

    assert schools["newest_at"] is None
    assert schools["lag_seconds"] < 60
    assert students["lag_seconds"] > 5 * 365 * 86_400


@pytest.mark.parametrize(
    "raw", [b"{", b'{"eventDate": "\xff"}', b"[]", b"{}", json.dumps(absence(on="never")).encode()]
)
async def test_a_single_row_that_is_refused_is_kept(sis: Sis, raw: bytes):
    assert (await sis.post(ATTENDANCE, raw)).status_code == 400
    assert await counts(sis, ATTENDANCE) == {"rejected": 1, "rejected_open": 1}


async def test_a_refused_event_is_kept(sis: Sis):
    attributes = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "urn:sis", "ce-type": "sis.schools.upserted.v1"}
    assert (await sis.call("POST", "/sis/v1/events", json={}, headers=attributes)).status_code == 400
    assert await counts(sis, "schools") == {"rejected": 1, "rejected_open": 1}


TYPO = {"specversion": "1.0", "id": "1", "source": "urn:sis", "type": "sis.student.upserted.v1"}


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("application/cloudevents+json", TYPO | {"data": student()}),
        ("application/cloudevents-batch+json", [TYPO | {"data": student()}]),
        ("application/json", student()),
    ],
)
async def test_an_event_that_cannot_be_read_is_counted_and_kept_with_all_that_it_says(
    sis: Sis, media_type: str, body: Any
):
    binary = {f"ce-{name}": value for name, value in TYPO.items()} if body == student() else {}
    await sis.call("POST", "/sis/v1/events", json=body, headers=binary | {"content-type": media_type})
    assert await counts(sis, "events") == {"rejected": 1, "rejected_open": 1}
    sheet = (await sis.call("GET", "/sis/v1/sources/sis/rejected.csv?resource=events", role="district")).text
    (row,) = csv.DictReader(io.StringIO(sheet))
    assert row["_reason"].startswith(("$.type must be", "ce-type must be"))
    assert {name: row[name] for name in TYPO} == TYPO
    assert row["data.studentUniqueId"] == student()["studentUniqueId"]


async def test_what_is_no_event_at_all_is_counted_and_each_mistake_is_kept_apart(sis: Sis):
    structured = {"content-type": "application/cloudevents+json"}
    for body in (b"{", b"[]", json.dumps(TYPO | {"id": 5}).encode(), json.dumps(TYPO | {"time": "noon"}).encode()):
        assert (await sis.call("POST", "/sis/v1/events", content=body, headers=structured)).status_code == 400
    assert await counts(sis, "events") == {"rejected": 4, "rejected_open": 4}


async def test_rows_that_wait_are_counted_with_the_oldest(sis: Sis):
    await sis.bulk(ATTENDANCE, [absence(), absence("2026-09-02")])
    ((line,),) = [[line for line in await sources(sis) if line["resource"] == ATTENDANCE]]
    assert (line["waited"], line["waiting"], line["accepted"]) == (2, 2, 0)
    assert line["oldest_waiting_at"] <= line["last_at"]

    await sis.roster()
    ((line,),) = [[line for line in await sources(sis) if line["resource"] == ATTENDANCE]]
    assert (line["waited"], line["waiting"], line["oldest_waiting_at"]) == (2, 0, None)
    assert (line["accepted"], line["rejected"]) == (2, 0)


async def test_a_row_that_waited_counts_for_the_source_that_pushed_it_and_is_no_push_of_now(sis: Sis):
    await sis.bulk(ATTENDANCE, [absence()])
    async with sis.running.session() as session:
        await session.execute(sa.text("UPDATE sis_waiting SET source = 'other', since = '2026-01-02T00:00:00Z'"))
        await session.execute(sa.text("UPDATE sis_arrival SET source = 'other', last_at = '2026-01-02T00:00:00Z'"))
    await sis.roster()

    (line,) = [line for line in await sources(sis) if line["source"] == "other"]
    assert (line["accepted"], line["waited"], line["waiting"]) == (1, 1, 0)
    assert line["last_at"] == "2026-01-02T00:00:00Z"


async def test_a_row_that_the_sweep_takes_in_is_counted_and_one_that_it_refuses_too(
    sis: Sis, monkeypatch: pytest.MonkeyPatch
):
    await sis.bulk(ATTENDANCE, [absence(), absence("2026-09-02")])

    async def failing(session: Any, at: Any, resource: str, changed: Any) -> None:
        if any(one.content.body.get("eventDate") == "2026-09-02" for one in changed):
            raise ValueError
        await follow_documents(session, at, resource, changed)

    monkeypatch.setattr("sis.documents.follow_documents", failing)
    await sis.roster()
    assert "accepted" not in await counts(sis, ATTENDANCE)
    await sweep_waiting(sis.running.runtime)
    assert await counts(sis, ATTENDANCE) == {"accepted": 1, "rejected": 1, "rejected_open": 1}


async def test_an_event_that_brings_what_rows_waited_for_counts_them(sis: Sis):
    await sis.put_in("schools", school())
    await sis.bulk(ATTENDANCE, [absence()])
    attributes = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "urn:sis", "ce-type": "sis.students.upserted.v1"}
    await sis.call("POST", "/sis/v1/events", json=student(), headers=attributes)
    assert await counts(sis, ATTENDANCE) == {"accepted": 1}


async def test_the_same_bad_row_again_does_not_pile_up(sis: Sis):
    bad = {"studentUniqueId": "", "firstName": "Ada"}
    for row in (bad, dict(reversed(bad.items())), bad):
        await sis.bulk("students", [row, row])

    assert await counts(sis, "students") == {"rejected": 6, "rejected_open": 1}
    ((times,),) = await sis.rows("SELECT times FROM sis_rejected")
    assert times == 6


async def test_a_row_of_the_same_key_that_is_accepted_closes_the_rejected_one(sis: Sis):
    await sis.roster()
    bad = absence(eventDuration=7)
    await sis.bulk(ATTENDANCE, [bad, absence("2026-09-02", eventDuration=7)])
    await sis.put_in(ATTENDANCE, absence(eventDuration=0.5))
    assert (await counts(sis, ATTENDANCE))["rejected_open"] == 1

    await sis.bulk(ATTENDANCE, [bad])
    assert (await counts(sis, ATTENDANCE))["rejected_open"] == 2


async def test_a_dismissed_row_stays_off_the_list_also_when_it_comes_again(sis: Sis):
    await sis.bulk("students", [{}])
    ((identity,),) = await sis.rows("SELECT id FROM sis_rejected")
    path = f"/sis/v1/rejected/{identity}/dismiss"

    assert (await sis.call("POST", path, role="district")).status_code == 204
    assert (await sis.call("POST", path, role="district")).status_code == 404
    await sis.bulk("students", [{}])
    assert await counts(sis, "students") == {"rejected": 2}


async def test_what_is_kept_is_sealed_and_the_problem_holds_no_value(sis: Sis):
    await sis.bulk("students", [student("canary" * 20, firstName="canary")])
    ((row,),) = await sis.rows("SELECT CAST(r AS text) FROM sis_rejected AS r")
    assert "must have at most 60 characters" in row
    assert "canary" not in row
    assert b"canary".hex() not in row


async def test_a_row_that_is_too_long_to_keep_is_counted_with_its_reason(sis: Sis):
    await sis.bulk("students", [{"studentUniqueId": "x" * (ARRIVALS.rejected_bytes + 1)}])
    ((sealed, rule),) = await sis.rows("SELECT sealed, rule FROM sis_rejected")
    assert (sealed, rule) == (None, "must have at most 60 characters")


async def test_ten_thousand_bad_rows_in_a_row_leave_a_small_and_exact_report(sis: Sis, statements):
    executed_by_batch = set()
    for batch in range(20):
        rows = [{"studentUniqueId": "x" * 61, "firstName": f"{batch} {row}"} for row in range(499)]
        with statements() as executed:
            answers = await sis.bulk("students", [*rows, student(f"s{batch}")])
        executed_by_batch.add(len(executed))
        assert [answer["status"] for answer in answers] == [400] * 499 + [201]

    assert len(executed_by_batch) == 1
    assert await counts(sis, "students") == {"accepted": 20, "rejected": 9980, "rejected_open": 9980}
    assert len((await sis.call("GET", "/sis/v1/sources", role="district")).content) < 2000


async def test_more_open_rows_than_the_policy_keeps_are_only_counted(sis: Sis, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sis.arrivals.rejected.ARRIVALS", replace(ARRIVALS, rejected_most=10))
    for batch in range(3):
        await sis.bulk("students", [{"firstName": f"{batch} {row}"} for row in range(10)])
    assert await counts(sis, "students") == {"rejected": 30, "rejected_open": 10}


async def test_rejected_rows_are_forgotten_in_time(sis: Sis):
    await sis.bulk("students", [{}, []])
    async with sis.running.session() as session:
        await session.execute(
            sa.text("UPDATE sis_rejected SET last_at = last_at - interval '31 days' WHERE field = '$'")
        )
    await forget_arrivals(sis.running.runtime)
    assert (await counts(sis, "students"))["rejected_open"] == 1


async def test_a_row_that_the_database_cannot_store_is_kept_as_rejected(sis: Sis, monkeypatch: pytest.MonkeyPatch):
    class CannotBeStored(Exception):
        sqlstate = "22021"

    async def failing(*_: Any, **__: Any) -> Any:
        raise CannotBeStored

    monkeypatch.setattr("sis.arrivals.intake.write", failing)
    assert (await sis.post("schools", school())).status_code == 400
    assert await counts(sis, "schools") == {"rejected": 1, "rejected_open": 1}


async def test_a_sis_sees_and_dismisses_only_its_own(sis: Sis):
    await sis.bulk("students", [{}])
    async with sis.running.session() as session:
        await session.execute(sa.text("UPDATE sis_rejected SET source = 'other'"))
        await session.execute(sa.text("UPDATE sis_arrival SET source = 'other'"))
    ((identity,),) = await sis.rows("SELECT id FROM sis_rejected")

    assert await sources(sis, role="sis") == []
    assert len(await sources(sis)) == 1
    assert (await sis.call("POST", f"/sis/v1/rejected/{identity}/dismiss")).status_code == 404
    assert (await sis.call("GET", "/sis/v1/sources/other/rejected.csv?resource=students")).status_code == 403
    assert (await sis.call("GET", "/sis/v1/sources", role="principal")).status_code == 403


async def test_counts_of_a_day_and_pages(sis: Sis):
    await sis.put_in("schools", school())
    await sis.put_in("students", student())
    first = (await sis.call("GET", "/sis/v1/sources", role="district", params={"limit": 1})).json()
    second = await sources(sis, limit=1, cursor=first["next"])
    assert [first["items"][0]["resource"], second[0]["resource"]] == ["schools", "students"]
    assert [line["accepted"] for line in await sources(sis, last="2020-01-01")] == [0, 0]


async def test_lines_of_the_calendar_file_count_and_those_left_out_are_kept_until_their_year_is_set(sis: Sis):
    await sis.put_in("schools", school(1), school(2))
    header = "school_id,date,instructional,school_year\n"
    await sis.calendar(header + "1,2026-09-01,true,2027\n2,2026-09-31,true,2027\n9,2026-09-01,true,2027\n")
    assert await counts(sis, "calendar.csv") == {"accepted": 1, "rejected": 2, "rejected_open": 2}

    await sis.calendar(header + "1,2026-09-01,true,2027\n2,2026-09-30,true,2027\n")
    assert await counts(sis, "calendar.csv") == {"accepted": 2, "unchanged": 1, "rejected": 2, "rejected_open": 1}
    text = (await sis.call("GET", "/sis/v1/sources/sis/rejected.csv?resource=calendar.csv")).text
    assert text.splitlines()[0] == "_rejected,_reason,school_id"
    assert "school_id must be a school known here,9" in text


async def test_the_file_of_rejected_lines_is_no_calendar_which_would_lose_the_other_days(sis: Sis):
    await sis.put_in("schools", school())
    await sis.calendar("school_id,date,instructional\n1,2026-09-31,true\n")
    text = (await sis.call("GET", "/sis/v1/sources/sis/rejected.csv?resource=calendar.csv")).text
    assert (await sis.calendar(text)).status_code == 400


async def test_a_single_push_may_say_how_many_rows_there_are_in_all(sis: Sis):
    body = json.dumps(school()).encode()
    await sis.call("POST", f"{EDFI}/schools", content=body, headers={"X-Total-Count": "7"})
    (line,) = await sources(sis)
    assert (line["believed"], line["standing"]) == (7, 1)


async def test_pushes_at_the_same_moment_count_exactly_and_do_not_wait_in_a_circle(sis: Sis):
    names = [f"s{number}" for number in range(40)]
    bad = [student(name, firstName=5) for name in names]
    good = [student(name) for name in names]
    await sis.bulk("students", bad)
    pushes = [sis.bulk("students", rows) for rows in (good, good[::-1], bad, bad[::-1]) * 4]
    answers = await asyncio.gather(*pushes)

    assert {answer["status"] for each in answers for answer in each} == {200, 201, 400}
    found = await counts(sis, "students")
    assert (found["accepted"], found["unchanged"], found["rejected"]) == (40, 7 * 40, 9 * 40)
    await sis.bulk("students", good)
    assert "rejected_open" not in await counts(sis, "students")
