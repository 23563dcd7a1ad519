"""Many rows at once, deletions by natural key, and CloudEvents."""

import json
from typing import Any

import pytest

from common.events import AttendanceRecorded
from tests.sis.conftest import Sis, absence, enrolment, school, student

ATTENDANCE = "studentSchoolAttendanceEvents"


async def test_bad_rows_are_named_by_line_and_the_others_are_kept(sis: Sis):
    await sis.roster()
    rows = [
        absence(),
        b"{",
        b"",
        absence(on="2026-13-01"),
        absence(name="s9"),
        b'{"eventDate": "\xff"}',
        b'{"eventDate": "2026-09-01", "eventDate": "2026-09-01"}',
        absence(on="2026-09-02"),
    ]
    answers = await sis.bulk(ATTENDANCE, rows)
    assert [(one["line"], one["status"]) for one in answers] == [
        (1, 201),
        (2, 400),
        (4, 400),
        (5, 409),
        (6, 400),
        (7, 400),
        (8, 201),
    ]
    assert answers[2]["problem"]["errors"] == [{"field": "$.eventDate", "rule": "must be a date that exists"}]
    assert answers[3]["problem"]["errors"][0]["field"] == "$.studentReference"
    assert not any(None in one.get("problem", {}).values() for one in answers)
    assert len(await sis.running.said(AttendanceRecorded)) == 2


async def test_a_batch_answers_in_json_lines_and_has_a_limit_of_rows(sis: Sis):
    response = await sis.call("POST", "/sis/v1/bulk/students", content=b"")
    assert (response.status_code, response.text, response.headers["content-type"]) == (200, "", "application/jsonl")
    many = b"\n".join(json.dumps(student(f"s{number}")).encode() for number in range(501))
    refused = await sis.call("POST", "/sis/v1/bulk/students", content=many)
    assert (refused.status_code, refused.json()["errors"][0]["rule"]) == (400, "must have at most 500 lines")
    assert (await sis.call("POST", "/sis/v1/bulk/grades", content=b"")).status_code == 404
    assert (await sis.call("POST", "/sis/v1/bulk/students", role="district", content=b"")).status_code == 403


async def test_a_batch_takes_a_constant_number_of_statements(sis: Sis, statements):
    await sis.put_in("schools", school())
    await sis.bulk("students", [student(f"s{number}") for number in range(300)])
    counts = []
    for size, on in ((1, "2026-09-01"), (300, "2026-09-02")):
        with statements() as executed:
            await sis.bulk(ATTENDANCE, [absence(on, name=f"s{number}") for number in range(size)])
        counts.append(len(executed))
    with statements() as repeated:
        await sis.bulk(ATTENDANCE, [absence("2026-09-02", name=f"s{number}") for number in range(300)])
    assert counts[0] == counts[1] <= 8
    assert len(repeated) == 2


async def test_documents_are_deleted_by_natural_key_nested_or_by_leaf_names(sis: Sis):
    await sis.roster()
    await sis.put_in(ATTENDANCE, absence(), absence("2026-09-02"))
    flat = {
        "studentUniqueId": "s1",
        "schoolId": 1,
        "eventDate": "2026-09-02",
        "attendanceEventCategoryDescriptor": "x#Unexcused Absence",
        "_lastModifiedDate": "2020-09-03T00:00:00Z",
    }
    answers = await sis.bulk(ATTENDANCE, [absence(), flat, flat, {"studentUniqueId": "s1"}, []], deletes=True)
    assert [answer["status"] for answer in answers] == [204, 204, 404, 400, 400]
    assert [event.deleted for event in await sis.running.said(AttendanceRecorded)] == [False, False, True, True]


async def test_a_batch_of_deletions_leaves_what_is_still_referred_to(sis: Sis):
    await sis.roster()
    await sis.put_in("students", student("s2"))
    await sis.put_in("studentSchoolAssociations", enrolment("s1"))
    answers = await sis.bulk("students", [{"studentUniqueId": "s1"}, {"studentUniqueId": "s2"}], deletes=True)
    assert [answer["status"] for answer in answers] == [409, 204]


def headers(identity: str = "1", kind: str = f"sis.{ATTENDANCE}.upserted.v1", **more: str) -> dict[str, str]:
    return {"ce-specversion": "1.0", "ce-id": identity, "ce-source": "urn:sis", "ce-type": kind, **more}


async def test_an_event_is_taken_in_once_by_its_source_and_id(sis: Sis):
    await sis.roster()

    async def hear(row: dict[str, Any], **attributes: str) -> str:
        response = await sis.call("POST", "/sis/v1/events", json=row, headers=headers(**attributes))
        assert response.status_code == 200, response.text
        return str(response.json()["outcome"])

    assert await hear(absence(eventDuration=0.5)) == "created"
    assert await hear(absence(eventDuration=1), identity="2") == "updated"
    assert await hear(absence(eventDuration=0.5)) == "repeated"
    assert await hear(absence(eventDuration=0.5), **{"ce-source": "urn:other"}) == "updated"
    assert await hear(absence(), identity="3", kind=f"sis.{ATTENDANCE}.deleted.v1") == "deleted"
    assert [event.hundredths_absent for event in await sis.running.said(AttendanceRecorded)] == [50, 100, 50, 0]


async def test_the_time_of_an_event_stands_for_a_missing_date(sis: Sis):
    await sis.roster()
    outcomes = []
    for number, (time, tenth) in enumerate((("2020-09-02T10:00:00Z", 5), ("2020-09-02T09:00:00Z", 9))):
        row, attributes = absence(eventDuration=tenth / 10), headers(str(number), **{"ce-time": time})
        outcomes.append((await sis.call("POST", "/sis/v1/events", json=row, headers=attributes)).json()["outcome"])
    assert outcomes == ["created", "stale"]


async def test_an_event_that_is_refused_may_be_sent_again(sis: Sis):
    refused = await sis.call("POST", "/sis/v1/events", json=absence(), headers=headers())
    assert refused.status_code == 409
    await sis.roster()
    again = await sis.call("POST", "/sis/v1/events", json=absence(), headers=headers())
    assert again.json() == {"outcome": "created"}


@pytest.mark.parametrize(
    ("attributes", "field"),
    [
        ({"ce-specversion": "0.3"}, "ce-specversion"),
        ({"ce-type": "sis.grades.upserted.v1"}, "ce-type"),
        ({"ce-id": ""}, "ce-id"),
        ({"ce-source": "x" * 501}, "ce-source"),
        ({"ce-time": "now"}, "ce-time"),
    ],
)
async def test_a_malformed_attribute_of_an_event_is_named(sis: Sis, attributes: dict[str, str], field: str):
    refused = await sis.call("POST", "/sis/v1/events", json=absence(), headers=headers() | attributes)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, field)


async def test_an_event_in_structured_mode_is_another_media_type(sis: Sis):
    structured = headers() | {"content-type": "application/cloudevents+json"}
    assert (await sis.call("POST", "/sis/v1/events", json={}, headers=structured)).status_code == 415
