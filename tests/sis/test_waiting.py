"""The waiting room: rows that come before what they refer to, in any order, and what becomes of them."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.events import AttendanceRecorded, Event, StudentEnrolled
from common.telemetry import metrics_page
from sis.consequences import follow_documents
from sis.documents import write
from sis.resources import RESOURCES, WAVES
from sis.rows import read_deletion, read_row
from sis.sweeping import measure_waiting, sweep_waiting
from tests.sis.conftest import (
    EDFI,
    Sis,
    absence,
    action,
    association,
    behavior,
    contact,
    enrolment,
    incident,
    school,
    student,
)
from tests.sis.samples import document

ATTENDANCE = "studentSchoolAttendanceEvents"
ENROLMENT = "studentSchoolAssociations"


async def waiting(sis: Sis, role: str = "sis", query: str = "?all=true") -> list[dict[str, Any]]:
    answer = await sis.call("GET", f"/sis/v1/waiting{query}", role=role)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def resources_waiting(sis: Sis) -> list[tuple[str, list[str]]]:
    return [(item["resource"], item["waits_for"]) for item in await waiting(sis)]


# one row


async def test_a_row_before_its_reference_is_answered_as_created_and_shown_waiting(sis: Sis):
    await sis.put_in("schools", school())
    first = await sis.post(ATTENDANCE, absence())
    again = await sis.post(ATTENDANCE, absence())
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.headers["Location"] == again.headers["Location"]
    shown = (await sis.call("GET", f"{EDFI}/{ATTENDANCE}/{first.json()['id']}")).json()
    assert shown["_waiting"]["for"] == ["students"]
    assert shown["studentReference"] == {"studentUniqueId": "s1"}
    assert datetime.fromisoformat(shown["_waiting"]["since"]) <= datetime.now(UTC)
    assert (await sis.call("GET", f"{EDFI}/{ATTENDANCE}")).json() == []
    assert await sis.running.said() == []


async def test_it_is_found_by_its_whole_natural_key_and_by_nothing_less(sis: Sis):
    await sis.put_in("schools", school())
    (identity,) = await sis.put_in(ENROLMENT, enrolment(entryGradeLevelDescriptor="uri://x#Tenth grade"))

    async def found(query: str) -> list[dict[str, Any]]:
        answer = await sis.call("GET", f"{EDFI}/{ENROLMENT}?{query}")
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()
        return items

    key = "studentUniqueId=s1&schoolId=1&entryDate=2026-08-24"
    (shown,) = await found(key)
    assert shown == (await sis.call("GET", f"{EDFI}/{ENROLMENT}/{identity}")).json()
    assert shown["_waiting"]["for"] == ["students"]
    assert await found(f"{key}&id={identity}") == [shown]
    for other in (
        "studentUniqueId=s1&schoolId=1",
        "studentUniqueId=s1&schoolId=1&entryDate=2026-08-25",
        "studentUniqueId=s1&schoolId=x&entryDate=2026-08-24",
        f"{key}&id=00000000-0000-4000-8000-000000000000",
        f"{key}&offset=1",
        f"{key}&limit=0",
        f"{key}&minChangeVersion=0",
        "",
    ):
        assert await found(other) == []
    assert (await sis.delete(ENROLMENT, shown["id"])).status_code == 204
    assert await found(key) == []


@pytest.mark.parametrize("stands", [False, True])
async def test_a_list_its_count_and_its_pages_agree_about_it(sis: Sis, stands: bool):
    await sis.put_in("schools", school())
    await sis.put_in(ENROLMENT, enrolment())
    if stands:
        await sis.put_in("students", student())
    key = {"studentUniqueId": "s1", "schoolId": 1, "entryDate": "2026-08-24"}
    in_open_lists = int(stands)
    for query, listed, total in (
        (key, 1, 1),
        ({**key, "limit": 0}, 0, 1),
        ({**key, "limit": 0, "pageSize": 5}, 1, 1),
        ({**key, "offset": 1}, 0, 1),
        ({**key, "schoolId": 2}, 0, 0),
        ({**key, "minChangeVersion": 0}, in_open_lists, in_open_lists),
        ({"schoolId": 1}, in_open_lists, in_open_lists),
        ({}, in_open_lists, in_open_lists),
    ):
        page = await sis.call("GET", f"{EDFI}/{ENROLMENT}", params={**query, "totalCount": True})
        assert (len(page.json()), page.headers["Total-Count"]) == (listed, str(total)), query
        assert "Next-Page-Token" not in page.headers
        uncounted = await sis.call("GET", f"{EDFI}/{ENROLMENT}", params=query)
        assert (uncounted.json(), "Total-Count" in uncounted.headers) == (page.json(), False), query


async def test_it_is_found_by_numbers_in_its_natural_key(sis: Sis):
    offering = {"localCourseCode": "ALG", "schoolId": 1, "schoolYear": 2027, "sessionName": "Fall"}
    await sis.put_in("sections", {"sectionIdentifier": "a", "courseOfferingReference": offering})
    found = await sis.call("GET", f"{EDFI}/sections", params={"sectionIdentifier": "a", **offering})
    assert [document["_waiting"]["for"] for document in found.json()] == [["schools"]]


async def test_it_is_applied_under_its_id_when_the_reference_comes(sis: Sis):
    await sis.put_in("schools", school())
    (identity,) = await sis.put_in(ATTENDANCE, absence(eventDuration=0.5))
    (of,) = await sis.put_in("students", student())
    shown = (await sis.call("GET", f"{EDFI}/{ATTENDANCE}/{identity}")).json()
    assert "_waiting" not in shown
    (event,) = await sis.running.said(AttendanceRecorded)
    assert (str(event.student_id), event.hundredths_absent) == (of, 50)
    assert await sis.rows("SELECT 1 FROM sis_waiting") == []
    assert (await sis.post(ATTENDANCE, absence(eventDuration=0.5))).json()["id"] == identity


async def test_nothing_of_a_waiting_row_but_its_key_can_be_read_in_the_database(sis: Sis):
    await sis.put_in("studentContactAssociations", association(contactRestrictions="Never on Sunday"))
    ((row,),) = await sis.rows(
        "SELECT to_jsonb(w) - 'sealed' || jsonb_build_object('s', encode(sealed, 'escape')) FROM sis_waiting w"
    )
    assert "Sunday" not in str(row)
    ((identity,),) = await sis.rows("SELECT id FROM sis_waiting")
    shown = (await sis.call("GET", f"{EDFI}/studentContactAssociations/{identity}")).json()
    assert "contactRestrictions" not in shown
    assert shown["_waiting"]["for"] == ["contacts", "students"]


async def test_bulk_lines_say_which_rows_wait(sis: Sis):
    await sis.roster()
    first, second = await sis.bulk(ATTENDANCE, [absence(), absence(name="s2")])
    assert (first["status"], "waiting" in first) == (201, False)
    assert (second["status"], second["waiting"]) == (201, True)
    (again,) = await sis.bulk(ATTENDANCE, [absence(name="s2")])
    assert (again["status"], again["id"], again["waiting"]) == (200, second["id"], True)


async def test_an_event_may_wait(sis: Sis):
    attributes = {
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-source": "urn:sis",
        "ce-type": f"sis.{ATTENDANCE}.upserted.v1",
    }
    heard = await sis.call("POST", "/sis/v1/events", json=absence(), headers=attributes)
    assert (heard.status_code, heard.json()) == (200, {"outcome": "waiting"})
    await sis.roster()
    assert len(await sis.running.said(AttendanceRecorded)) == 1


async def test_switched_off_an_unknown_reference_is_a_conflict_and_what_waits_is_still_applied(
    sis: Sis, no_waiting: None
):
    await sis.put_in("schools", school())
    refused = await sis.post(ATTENDANCE, absence())
    assert (refused.status_code, await waiting(sis)) == (409, [])
    assert "students" in refused.text


# order of the rows of one key


async def test_a_later_row_takes_the_place_of_the_one_that_waits(sis: Sis):
    await sis.put_in("schools", school())
    ids = await sis.put_in(ATTENDANCE, absence(eventDuration=0.5), absence(eventDuration=0.25))
    assert len(set(ids)) == len(await waiting(sis)) == 1
    await sis.put_in("students", student())
    assert [event.hundredths_absent for event in await sis.running.said(AttendanceRecorded)] == [25]


async def test_an_older_row_is_stale_beside_one_that_waits_and_beside_one_taken_back(sis: Sis):
    await sis.put_in("schools", school())
    days = [f"2020-09-0{n}T10:00:00Z" for n in range(1, 6)]
    await sis.put_in(ATTENDANCE, absence(eventDuration=0.5, _lastModifiedDate=days[1]))
    await sis.put_in(ATTENDANCE, absence(eventDuration=0.9, _lastModifiedDate=days[0]))
    await sis.put_in("students", student())
    assert [event.hundredths_absent for event in await sis.running.said(AttendanceRecorded)] == [50]

    await sis.put_in(ATTENDANCE, absence(name="s2", _lastModifiedDate=days[1]))
    (gone,) = await sis.bulk(ATTENDANCE, [absence(name="s2", _lastModifiedDate=days[3])], deletes=True)
    assert gone["status"] == 204
    (late,) = await sis.bulk(ATTENDANCE, [absence(name="s2", _lastModifiedDate=days[2])])
    assert (late["status"], await waiting(sis)) == (200, [])
    await sis.put_in("students", student("s2"))
    assert len(await sis.running.said(AttendanceRecorded)) == 1
    (new,) = await sis.bulk(ATTENDANCE, [absence(name="s2", _lastModifiedDate=days[4])])
    assert (new["status"], new["id"]) == (201, gone["id"])


async def test_a_dated_deletion_that_comes_before_what_it_takes_back_is_remembered(sis: Sis):
    await sis.roster()
    days = [f"2020-09-0{n}T10:00:00Z" for n in range(1, 6)]
    for day, status in ((days[2], 404), (days[1], 200), (days[3], 404)):  # the second is stale
        (gone,) = await sis.bulk(ATTENDANCE, [absence(_lastModifiedDate=day)], deletes=True)
        assert gone["status"] == status
    (late,) = await sis.bulk(ATTENDANCE, [absence(_lastModifiedDate=days[2])])
    assert (late["status"], await sis.running.said(AttendanceRecorded)) == (200, [])
    (new,) = await sis.bulk(ATTENDANCE, [absence(_lastModifiedDate=days[4])])
    assert (new["status"], new["id"]) == (201, late["id"])
    assert (await sis.rows("SELECT count(*) FROM sis_waiting"))[0][0] == 0


async def test_a_row_and_its_later_dated_deletion_at_one_moment_leave_nothing_standing(sis: Sis):
    await sis.roster()
    await sis.put_in("disciplineIncidents", incident())
    deleted, pushed = "2020-09-03T10:00:00Z", "2020-09-02T10:00:00Z"
    pairs = {
        ATTENDANCE: absence(),
        "studentDisciplineIncidentBehaviorAssociations": behavior(),
    }
    for name, row in pairs.items():
        deletion = read_deletion(RESOURCES[name], row | {"_lastModifiedDate": deleted})
        async with sis.running.session() as session:
            # Neither sees the other: the deletion is committed after the row.
            await write(session, sis.running.runtime.vault, RESOURCES[name], [deletion], ["sis"])
            await sis.put_in(name, row | {"_lastModifiedDate": pushed})
            await session.commit()
    await sweep_waiting(sis.running.runtime)

    gone = "SELECT count(*) FROM sis_document WHERE NOT deleted AND resource = ANY(:names)"
    assert await sis.rows(gone, names=list(pairs)) == [(0,)]
    assert await sis.rows("SELECT 1 FROM sis_waiting") == []
    assert [event.deleted for event in await sis.running.said(AttendanceRecorded)] == [False, True]
    (late,) = await sis.bulk(ATTENDANCE, [absence(_lastModifiedDate=pushed)])
    assert (late["status"], await sis.rows(gone, names=list(pairs))) == (200, [(0,)])


async def test_what_a_mark_takes_back_stays_until_nothing_refers_to_it(sis: Sis):
    await sis.put_in("schools", school())
    deletion = read_deletion(RESOURCES["students"], student() | {"_lastModifiedDate": "2020-09-03T10:00:00Z"})
    async with sis.running.session() as session:
        await write(session, sis.running.runtime.vault, RESOURCES["students"], [deletion], ["sis"])
        await sis.put_in("students", student() | {"_lastModifiedDate": "2020-09-02T10:00:00Z"})
        await session.commit()
    (identity,) = await sis.put_in(ENROLMENT, enrolment())

    async def standing() -> int:
        await sweep_waiting(sis.running.runtime)
        rows = await sis.rows("SELECT count(*) FROM sis_document WHERE NOT deleted AND resource = 'students'")
        return int(rows[0][0])

    assert await standing() == 1
    await sis.delete(ENROLMENT, identity)
    assert await standing() == 0


async def test_a_newer_row_that_can_be_applied_takes_the_place_of_the_one_that_waits(sis: Sis):
    await sis.roster()
    await sis.put_in("disciplineIncidents", incident())
    (identity,) = await sis.put_in("disciplineActions", action())
    named = action(staffs=[{"staffReference": {"staffUniqueId": "t1"}}], disciplineActionLength=5)
    update = await sis.post("disciplineActions", named)
    assert (update.status_code, update.json()["id"]) == (200, identity)
    assert await resources_waiting(sis) == [("disciplineActions", ["staffs"])]
    await sis.put_in("disciplineActions", action())  # as it stands: the one that waits came before
    await sis.put_in("staffs", {"staffUniqueId": "t1"})
    assert await waiting(sis) == []
    body = (await sis.call("GET", f"{EDFI}/disciplineActions/{identity}")).json()
    assert "disciplineActionLength" not in body


async def test_an_update_that_waits_leaves_what_stands_until_it_is_applied(sis: Sis):
    await sis.roster()
    await sis.put_in("disciplineIncidents", incident())
    (identity,) = await sis.put_in("disciplineActions", action())
    await sis.put_in("disciplineActions", action(staffs=[{"staffReference": {"staffUniqueId": "t1"}}]))
    path = f"{EDFI}/disciplineActions/{identity}"
    assert "staffs" not in (await sis.call("GET", path)).json()
    await sis.put_in("staffs", {"staffUniqueId": "t1"})
    assert "staffs" in (await sis.call("GET", path)).json()


async def test_a_waiting_document_is_deleted_by_id_and_by_key(sis: Sis):
    by_id, by_key = await sis.put_in(ATTENDANCE, absence(), absence("2026-09-02"))
    assert (await sis.delete(ATTENDANCE, by_id)).status_code == 204
    assert (await sis.call("GET", f"{EDFI}/{ATTENDANCE}/{by_id}")).status_code == 404
    assert (await sis.delete(ATTENDANCE, by_id)).status_code == 404
    gone, missing = await sis.bulk(ATTENDANCE, [absence("2026-09-02"), absence("2026-09-02")], deletes=True)
    assert (gone["status"], gone["id"], missing["status"]) == (204, by_key, 404)
    await sis.roster()
    assert await sis.running.said() == []
    assert (await sis.put_in(ATTENDANCE, absence()))[0] == by_id


async def test_a_waiting_document_is_replaced_by_id(sis: Sis):
    (identity,) = await sis.put_in(ATTENDANCE, absence())
    path = f"{EDFI}/{ATTENDANCE}/{identity}"
    tag = (await sis.call("GET", path)).headers["ETag"]
    assert (await sis.call("PUT", path, json=absence(eventDuration=0.5), headers={"If-Match": tag})).status_code == 204
    again = await sis.call("PUT", path, json=absence(eventDuration=0.5), headers={"If-Match": tag})
    assert again.status_code == 412
    await sis.roster()
    assert [event.hundredths_absent for event in await sis.running.said(AttendanceRecorded)] == [50]


# what comes when the reference comes


async def test_a_chain_is_worked_through_to_its_end_by_one_push(sis: Sis):
    await sis.put_in("disciplineActions", action())
    await sis.put_in("studentDisciplineIncidentBehaviorAssociations", behavior())
    await sis.put_in("disciplineIncidents", incident())
    await sis.put_in("students", student())
    assert [waits for _, waits in await resources_waiting(sis)] == [
        ["disciplineIncidents", "schools"],
        ["disciplineIncidents"],
        ["schools"],
    ]
    await sis.put_in("schools", school())
    assert await waiting(sis) == []
    assert len(await sis.running.said()) == 2


async def test_a_reference_that_came_and_went_is_waited_for_again(sis: Sis):
    identity = await sis.roster()
    await sis.delete("students", identity)
    await sis.put_in(ATTENDANCE, absence())
    assert await resources_waiting(sis) == [(ATTENDANCE, ["students"])]
    await sis.put_in("students", student())
    assert await waiting(sis) == []


async def test_a_push_takes_along_a_bounded_number_and_the_sweep_the_rest(sis: Sis, statements):
    days = [f"2026-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 26)]
    for name in ("s1", "s2", "s3", "s4"):
        await sis.bulk(ATTENDANCE, [absence(on, name=name) for on in days])
    await sis.put_in("students", *(student(name) for name in ("s1", "s2", "s3", "s4")))
    with statements() as executed:
        await sis.put_in("schools", school())
    assert len(executed) < 40
    ((left,),) = await sis.rows("SELECT count(*) FROM sis_waiting")
    assert left == 4 * len(days) - 500
    await sweep_waiting(sis.running.runtime)
    assert await waiting(sis) == []
    assert len(await sis.running.said(AttendanceRecorded)) == 4 * len(days)


async def test_where_nothing_waits_it_costs_no_statement_but_one_for_what_others_refer_to(sis: Sis, statements):
    await sis.roster()
    counts = []
    for resource, row in ((ATTENDANCE, absence()), ("students", student("s2"))):
        with statements() as executed:
            await sis.bulk(resource, [row])
        counts.append(sum("sis_waiting" in statement for statement in executed))
    assert counts == [1, 2]


async def test_a_row_that_breaks_a_rule_when_its_turn_comes_is_kept_with_the_rejected(
    sis: Sis, monkeypatch: pytest.MonkeyPatch
):
    await sis.put_in("schools", school())
    await sis.put_in(ATTENDANCE, absence(), absence("2026-09-02", category="Tardy"))

    def stricter(resource: Any, document: Any, **more: Any) -> Any:
        if document["attendanceEventCategoryDescriptor"].endswith("Tardy"):
            document = {**document, "eventDate": None}
        return read_row(resource, document, **more)

    monkeypatch.setattr("sis.waiting.read_row", stricter)
    assert (await sis.post("students", student())).status_code == 201
    assert await waiting(sis) == []
    assert len(await sis.running.said(AttendanceRecorded)) == 1
    (rejected,) = await sis.rows("SELECT source, resource, field, rule FROM sis_rejected")
    assert (rejected.source, rejected.resource) == ("sis", ATTENDANCE)
    assert (rejected.field, rejected.rule) == ("$.eventDate", "is required")


async def test_a_row_that_cannot_be_applied_does_not_keep_out_what_it_waited_for(
    sis: Sis, monkeypatch: pytest.MonkeyPatch
):
    await sis.put_in("schools", school())
    await sis.put_in(ATTENDANCE, absence(), absence("2026-09-02"))

    async def failing(session: Any, at: Any, resource: str, changed: Sequence[Any]) -> None:
        if any(one.content.body.get("eventDate") == "2026-09-02" for one in changed):
            raise ValueError
        await follow_documents(session, at, resource, changed)

    monkeypatch.setattr("sis.documents.follow_documents", failing)
    assert (await sis.post("students", student())).status_code == 201
    assert len(await waiting(sis)) == 2
    await sweep_waiting(sis.running.runtime)
    assert await waiting(sis) == []
    assert [str(event.on) for event in await sis.running.said(AttendanceRecorded)] == ["2026-09-01"]
    (rejected,) = await sis.rows("SELECT problem FROM sis_rejected")
    assert rejected.problem == "not-applied"


# at the same time


async def test_a_row_that_came_to_wait_while_its_reference_was_committed_is_found(sis: Sis):
    await sis.put_in("schools", school())
    row = read_row(RESOURCES[ATTENDANCE], absence())
    async with sis.running.session() as session:
        await write(session, sis.running.runtime.vault, RESOURCES[ATTENDANCE], [row], ["sis"])
        await sis.put_in("students", student())  # sees no row waiting, for that is not committed
    assert await resources_waiting(sis) == [(ATTENDANCE, ["students"])]
    await sweep_waiting(sis.running.runtime)
    assert await waiting(sis) == []
    assert len(await sis.running.said(AttendanceRecorded)) == 1


async def test_two_references_that_come_at_once_leave_nothing_waiting(sis: Sis):
    for _ in range(8):
        await sis.put_in(ATTENDANCE, absence())
        await asyncio.gather(sis.post("schools", school()), sis.post("students", student()))
        await sweep_waiting(sis.running.runtime)
        assert await waiting(sis) == []
        assert len(await sis.running.said(AttendanceRecorded)) == 1
        await sis.running.empty()


async def test_clients_that_push_rows_and_references_at_once_leave_nothing_waiting_and_nothing_twice(sis: Sis):
    chance = random.Random(7)
    names = [f"s{number}" for number in range(30)]

    async def rows() -> None:
        for _ in range(4):
            some = [absence(name=name, eventDuration=chance.randint(1, 99) / 100) for name in chance.sample(names, 15)]
            answers = await sis.bulk(ATTENDANCE, some)
            assert {answer["status"] for answer in answers} <= {200, 201}

    async def students() -> None:
        for name in chance.sample(names, len(names)):
            assert (await sis.post("students", student(name))).status_code == 201

    async def sweeps() -> None:
        for _ in range(10):
            await sweep_waiting(sis.running.runtime)

    await asyncio.wait_for(
        asyncio.gather(*(rows() for _ in range(4)), students(), sweeps(), sis.post("schools", school())), 60
    )
    await sweep_waiting(sis.running.runtime)
    assert await waiting(sis) == []
    stand = await sis.rows(
        "SELECT student_id, body FROM sis_document WHERE resource = :r AND NOT deleted", r=ATTENDANCE
    )
    newest = {event.student_id: event.hundredths_absent for event in await sis.running.said(AttendanceRecorded)}
    assert {row.student_id: round(row.body["eventDuration"] * 100) for row in stand} == newest


# the list


async def test_rows_that_wait_for_a_day_are_listed_for_the_district_and_for_their_own_source(sis: Sis):
    await sis.put_in(ATTENDANCE, *(absence(f"2026-09-0{day}") for day in range(1, 6)))
    assert await waiting(sis, query="") == []
    await sis.rows("UPDATE sis_waiting SET since = since - interval '25 hours' RETURNING id")
    await sis.put_in(ENROLMENT, enrolment())
    (first, *_) = listed = await waiting(sis, role="district", query="")
    assert len(listed) == 5
    assert {name: first[name] for name in ("resource", "waits_for", "source")} == {
        "resource": ATTENDANCE,
        "waits_for": ["schools", "students"],
        "source": "sis",
    }
    assert len(await waiting(sis, role="district")) == 6
    seen, cursor = [], ""
    while True:
        page = (await sis.call("GET", f"/sis/v1/waiting?limit=2{cursor}")).json()
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == [item["id"] for item in listed]
    await sis.rows("UPDATE sis_waiting SET source = 'another' RETURNING id")
    assert (len(await waiting(sis)), len(await waiting(sis, role="district"))) == (0, 6)
    assert (await sis.call("GET", "/sis/v1/waiting", role="principal")).status_code == 403
    assert (await sis.call("GET", "/sis/v1/waiting?cursor=WyJhIiwgImIiXQ")).status_code == 422


async def test_how_many_wait_and_for_how_long_is_measured_and_old_marks_are_forgotten(sis: Sis):
    await sis.put_in(ATTENDANCE, absence())
    await sis.bulk(ATTENDANCE, [absence()], deletes=True)
    await sis.put_in(ATTENDANCE, absence("2026-09-02"))
    await sis.rows("UPDATE sis_waiting SET since = since - interval '100 days' RETURNING id")
    await measure_waiting(sis.running.runtime)
    page = bytes(metrics_page().body).decode()
    assert 'trellis_waiting_rows{service="sis"} 1.0' in page
    (oldest,) = (line for line in page.splitlines() if line.startswith('trellis_waiting_oldest_seconds{service="sis"}'))
    assert float(oldest.split()[-1]) == pytest.approx(100 * 86_400, rel=0.01)
    assert len(await sis.rows("SELECT 1 FROM sis_waiting")) == 1


# any order


def district() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every row of a small district in the order a careful exporter has."""

    def changed(row: dict[str, Any], day: int) -> dict[str, Any]:
        return {**row, "_lastModifiedDate": f"2020-10-{day:02}T10:00:00Z"}

    for number in (1, 2):
        yield "schools", changed(school(number), 1)
    yield "staffs", changed({"staffUniqueId": "t1"}, 1)
    yield "contacts", changed(contact(), 1)
    for name in ("s1", "s2", "s3"):
        yield "students", changed(student(name), 1)
        yield ENROLMENT, changed(enrolment(name), 1)
        yield "studentContactAssociations", changed(association(name), 1)
        for on in ("2026-09-01", "2026-09-02"):
            yield ATTENDANCE, changed(absence(on, name=name, eventDuration=1.0), 1)
    yield ENROLMENT, changed(enrolment("s1", exitWithdrawDate="2026-12-01"), 2)
    yield ENROLMENT, changed(enrolment("s1", 2, "2026-12-02"), 2)
    yield ATTENDANCE, changed(absence("2026-09-01", name="s2", eventDuration=0.5), 2)
    yield ATTENDANCE, changed(absence("2026-09-02", name="s2", category="Tardy"), 2)
    yield "disciplineIncidents", changed(incident(), 1)
    yield "studentDisciplineIncidentBehaviorAssociations", changed(behavior(), 1)
    yield "disciplineActions", changed(action(disciplineActionLength=3), 1)
    yield "disciplineActions", changed(action(staffs=[{"staffReference": {"staffUniqueId": "t1"}}]), 2)
    yield "disciplineIncidents", changed(incident(on="2026-09-04"), 3)


async def push(sis: Sis, rows: Sequence[tuple[str, dict[str, Any]]], chance: random.Random) -> None:
    """Push rows in this order: single, or those of one resource that follow each other in bulk."""
    for resource, run in groupby(rows, key=lambda row: row[0]):
        documents = [row for _, row in run]
        if chance.random() < 0.5:
            assert {answer["status"] for answer in await sis.bulk(resource, documents)} <= {200, 201}
        else:
            await sis.put_in(resource, *documents)


async def standing(sis: Sis) -> tuple[list[Any], list[Any]]:
    """Documents and facts as they stand, without what differs by chance: ids and when we were told."""
    documents = await sis.rows(
        """
        SELECT d.resource, d.key, d.body, d.source_modified_at, d.deleted, d.school_id, d.on_date, s.key AS student,
            ARRAY(SELECT r.resource || r.key FROM sis_document AS r WHERE r.id = ANY(d.refs) ORDER BY 1) AS refs
        FROM sis_document AS d LEFT JOIN sis_document AS s ON s.id = d.student_id ORDER BY d.resource, d.key
        """
    )
    facts = await sis.rows(
        """
        SELECT f.type, f.school_id, f.on_date, f.deleted, s.key AS student,
            f.state - ARRAY[
                'student_id', 'association_id', 'incident_id', 'action_id', 'incident_ids', 'staff_ids', 'staff_id', 'section_id'
            ] AS state
        FROM sis_fact AS f LEFT JOIN sis_document AS s ON CAST(s.id AS text) = f.state ->> 'student_id'
        ORDER BY f.type, f.school_id, f.on_date, s.key, state
        """
    )
    return [tuple(row) for row in documents], [tuple(row) for row in facts]


def last_said(events: Sequence[Event]) -> int:
    """How many facts the events come to, once each is known by its newest revision."""
    newest = {(event.type(), event.fact_key): event for event in sorted(events, key=lambda event: event.revision)}
    return sum(not event.deleted for event in newest.values())


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(list(district())), seed=st.integers(0, 1000))
async def test_a_district_in_any_order_comes_to_the_same_as_in_the_right_one(
    sis: Sis, order: list[tuple[str, dict[str, Any]]], seed: int
):
    chance = random.Random(seed)
    await sis.running.empty()
    await push(sis, list(district()), chance)
    right, said = await standing(sis), last_said(await sis.running.said())
    await sis.running.empty()
    await push(sis, order, chance)
    assert await waiting(sis) == []
    assert await standing(sis) == right
    assert last_said(await sis.running.said()) == said


async def test_every_resource_may_come_before_all_it_refers_to(sis: Sis):
    rows = [(name, document(RESOURCES[name].told_shape)) for wave in WAVES for name in wave]
    for name, row in rows:
        await sis.put_in(name, row)
    right = await standing(sis)
    await sis.running.empty()
    for name, row in reversed(rows):
        await sis.put_in(name, row)
    assert await waiting(sis) == []
    assert await standing(sis) == right
    assert len(right[0]) == len(RESOURCES)


async def test_enrolments_before_everything_else_are_said_once_each(sis: Sis):
    await sis.bulk(ENROLMENT, [enrolment(f"s{number}") for number in range(50)])
    await sis.bulk("students", [student(f"s{number}") for number in range(50)])
    await sis.put_in("schools", school())
    assert len(await sis.running.said(StudentEnrolled)) == 50
