"""Many rows at once, deletions by natural key, and CloudEvents."""

import json

from common.events import AttendanceRecorded
from tests.sis.conftest import Sis, absence, enrolment, school, student

ATTENDANCE = "studentSchoolAttendanceEvents"


async def test_bad_rows_are_named_by_line_and_the_others_are_kept(sis: Sis, no_waiting: None):
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
    assert (await sis.call("POST", "/sis/v1/bulk/unicorns", content=b"")).status_code == 404
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
    assert counts[0] == counts[1] <= 7
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
