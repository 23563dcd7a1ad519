"""The Ed-Fi door: upsert, read, delete, references, staleness and what is refused."""

import json
from typing import Any
from uuid import UUID

import pytest

from common.events import AttendanceRecorded, StudentEnrolled
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


async def test_a_new_document_is_created_and_the_same_again_changes_and_says_nothing(sis: Sis):
    await sis.roster()
    first = await sis.post("studentSchoolAttendanceEvents", absence())
    again = await sis.post("studentSchoolAttendanceEvents", absence())
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.headers["Location"] == again.headers["Location"]
    assert first.headers["Location"] == f"http://testserver{EDFI}/studentSchoolAttendanceEvents/{first.json()['id']}"
    assert len(await sis.running.said()) == 1
    assert await sis.rows("SELECT 1 FROM sis_revision") == []


async def test_a_changed_document_keeps_its_id_and_its_earlier_revision(sis: Sis):
    (identity,) = await sis.put_in("students", student())
    (same,) = await sis.put_in("students", student(firstName="Ida"))
    assert same == identity
    ((before,),) = await sis.rows("SELECT body FROM sis_revision WHERE id = :id", id=identity)
    assert before["firstName"] == "Ada"
    now = await sis.call("GET", f"{EDFI}/students/{identity}")
    assert now.json()["firstName"] == "Ida"


async def test_members_that_are_not_used_are_dropped_unstored(sis: Sis):
    (identity,) = await sis.put_in(
        "students", student(birthDate="2014-01-01", sexDescriptor="x#Female", nested={"a": [1]})
    )
    shown = (await sis.call("GET", f"{EDFI}/students/{identity}")).json()
    assert {key for key in shown if not key.startswith("_")} == {"id", "studentUniqueId", "firstName", "lastSurname"}


async def test_a_reference_not_yet_known_is_a_conflict_that_names_it(sis: Sis, no_waiting: None):
    await sis.put_in("schools", school())
    refused = await sis.post("studentSchoolAssociations", enrolment())
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    problem = refused.json()
    assert UUID(problem.pop("correlationId"))
    assert problem == {
        "detail": "$.studentReference: must refer to one of the students known here",
        "type": "urn:ed-fi:api:data-conflict:unresolved-reference",
        "title": "Unresolved Reference",
        "status": 409,
        "validationErrors": {"$.studentReference": ["must refer to one of the students known here"]},
    }
    await sis.put_in("students", student())
    assert (await sis.post("studentSchoolAssociations", enrolment())).status_code == 201


async def test_a_deleted_document_is_gone_and_comes_back_under_its_id(sis: Sis):
    await sis.roster()
    (identity,) = await sis.put_in("studentSchoolAttendanceEvents", absence())
    path = f"{EDFI}/studentSchoolAttendanceEvents/{identity}"
    gone = await sis.call("DELETE", path)
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await sis.call("GET", path)).status_code == 404
    assert (await sis.call("DELETE", path)).status_code == 404
    back = await sis.post("studentSchoolAttendanceEvents", absence())
    assert (back.status_code, back.json()["id"]) == (201, identity)
    deleted = [event.deleted for event in await sis.running.said(AttendanceRecorded)]
    assert deleted == [False, True, False]


async def test_a_document_that_others_refer_to_is_not_deleted(sis: Sis, no_waiting: None):
    identity = await sis.roster()
    (stay,) = await sis.put_in("studentSchoolAssociations", enrolment())
    refused = await sis.delete("students", identity)
    kind = "urn:ed-fi:api:data-conflict:dependent-item-exists"
    assert (refused.status_code, refused.json()["type"]) == (409, kind)
    assert (await sis.delete("studentSchoolAssociations", stay)).status_code == 204
    assert (await sis.delete("students", identity)).status_code == 204
    assert (await sis.post("studentSchoolAssociations", enrolment())).status_code == 409


async def test_a_row_older_than_what_stands_is_stale_also_after_a_deletion(sis: Sis):
    await sis.roster()
    resource = "studentSchoolAttendanceEvents"
    await sis.put_in(resource, absence(eventDuration=0.5, _lastModifiedDate="2020-09-02T10:00:00Z"))
    stale = await sis.post(resource, absence(eventDuration=1, _lastModifiedDate="2020-09-01T10:00:00Z"))
    assert stale.status_code == 200
    assert [event.hundredths_absent for event in await sis.running.said(AttendanceRecorded)] == [50]

    (taken,) = await sis.bulk(resource, [absence(_lastModifiedDate="2020-09-04T10:00:00Z")], deletes=True)
    assert taken["status"] == 204
    revived = await sis.post(resource, absence(_lastModifiedDate="2020-09-03T10:00:00Z"))
    assert revived.status_code == 200
    assert len(await sis.running.said()) == 2
    assert (await sis.post(resource, absence(_lastModifiedDate="2020-09-05T10:00:00Z"))).status_code == 201


async def test_the_same_content_with_a_later_date_guards_against_rows_between(sis: Sis):
    await sis.put_in("students", student(_lastModifiedDate="2020-09-01T10:00:00Z"))
    await sis.put_in("students", student(_lastModifiedDate="2020-09-05T10:00:00Z"))
    (identity,) = await sis.put_in("students", student(firstName="Ida", _lastModifiedDate="2020-09-03T10:00:00Z"))
    assert (await sis.call("GET", f"{EDFI}/students/{identity}")).json()["firstName"] == "Ada"
    assert await sis.rows("SELECT 1 FROM sis_revision") == []


async def test_documents_are_found_by_their_natural_key_and_paged(sis: Sis):
    await sis.put_in("schools", school(1), school(2))
    await sis.put_in("students", *(student(f"s{number}") for number in range(5)))
    await sis.put_in("studentSchoolAssociations", *(enrolment(f"s{n}", 1 + n % 2) for n in range(5)))

    async def found(query: str, resource: str = "studentSchoolAssociations") -> list[dict[str, Any]]:
        response = await sis.call("GET", f"{EDFI}/{resource}?{query}", role="district")
        assert response.status_code == 200, response.text
        documents: list[dict[str, Any]] = response.json()
        return documents

    assert [one["studentUniqueId"] for one in await found("studentUniqueId=s3", "students")] == ["s3"]
    assert await found("studentUniqueId=s9", "students") == []
    assert len(await found("schoolId=1")) == 3
    (only,) = await found("studentUniqueId=s2&schoolId=1&entryDate=2026-08-24")
    assert only["studentReference"] == {"studentUniqueId": "s2"}
    assert only["schoolReference"] == {"schoolId": 1}

    page = await sis.call("GET", f"{EDFI}/students?offset=1&limit=2&totalCount=true")
    assert (len(page.json()), page.headers["Total-Count"]) == (2, "5")
    refused = await sis.call("GET", f"{EDFI}/students?firstName=Ada")
    assert (refused.status_code, refused.json()["errors"]) == (400, ["firstName is not part of the natural key"])


async def test_a_resource_is_named_in_any_case_as_an_ods_reads_it(sis: Sis):
    posted = await sis.post("Students", student())
    read = await sis.call("GET", f"{EDFI}/STUDENTS?studentUniqueId=s1")
    unused = await sis.call("GET", f"{EDFI}/bellschedules")

    assert posted.status_code == 201
    assert [one["studentUniqueId"] for one in read.json()] == ["s1"]
    assert unused.status_code == 403


async def test_no_character_that_the_database_cannot_hold_gets_that_far(sis: Sis):
    await sis.roster()
    for path in (
        "students?studentUniqueId=%00",
        "schools?schoolId=1%00",
        "studentSchoolAssociations?schoolId=%00",
        "studentSchoolAttendanceEvents?attendanceEventCategoryDescriptor=%00&studentUniqueId=s1",
        "studentSchoolAttendanceEvents?eventDate=2026-09-01%00",
    ):
        refused = await sis.call("GET", f"{EDFI}/{path}")
        assert (refused.status_code, refused.json()["type"]) == (400, "urn:ed-fi:api:bad-request:parameter"), path
    for path in (f"{EDFI}/students%00", f"{EDFI}/students/%00", f"{EDFI}/students?a%00=1"):
        assert (await sis.call("GET", path)).status_code in (400, 404, 422), path
    for path in ("bulk/students%00", "schools/1%00/days/2020-09-01/close", "schools/1/days/%00/close"):
        assert (await sis.call("POST", f"/sis/v1/{path}", content=b"{}")).status_code in (400, 404, 422), path
    for resource, document in (
        ("schools", school(schoolId="1\x00")),
        ("schools", school(nameOfInstitution="\x00")),
        ("students", student(firstName="A\x00")),
        ("contacts", contact(electronicMails=[{"electronicMailAddress": "a\x00@example.org"}])),
        ("studentContactAssociations", association(contactRestrictions="\x00")),
        ("disciplineIncidents", incident("i\x00")),
    ):
        assert (await sis.post(resource, document)).status_code == 400, document
        (line,) = await sis.bulk(resource, [document])
        assert line["status"] == 400, document
    (rejected,) = (await sis.calendar("school_id,date,instructional\n1\x00,2026-09-01,true\n")).json()["rejected"]
    assert rejected["column"] == "school_id"


async def test_a_byte_order_mark_before_json_is_ignored(sis: Sis):
    mark, body = b"\xef\xbb\xbf", json.dumps(student()).encode()
    assert (await sis.post("students", mark + body)).status_code == 201
    assert [line["status"] for line in await sis.bulk("students", [mark + body, body])] == [200, 200]
    for twice in (mark + mark + body, body + mark):
        assert (await sis.post("students", twice)).status_code == 400


async def test_a_whole_number_written_as_a_fraction_is_the_same_school(sis: Sis):
    await sis.put_in("schools", school(7000011))
    assert (await sis.post("schools", b'{"schoolId": 7000011.0}')).status_code == 200
    refused = await sis.post("schools", school(schoolId="a/b"))
    assert (refused.status_code, list(refused.json()["validationErrors"])) == (400, ["$.schoolId"])


async def test_attendance_is_found_by_its_category_whatever_the_namespace(sis: Sis):
    await sis.roster()
    await sis.put_in("studentSchoolAttendanceEvents", absence(), absence(category="Tardy"))
    query = {
        "attendanceEventCategoryDescriptor": "uri://other#TARDY",
        "studentUniqueId": "s1",
        "eventDate": "2026-09-01",
    }
    found = await sis.call("GET", f"{EDFI}/studentSchoolAttendanceEvents", params=query)
    assert len(found.json()) == 1


async def test_an_unknown_resource_or_id_is_not_found(sis: Sis):
    assert (await sis.post("unicorns", {})).status_code == 404
    assert (await sis.call("GET", f"{EDFI}/unicorns")).status_code == 404
    missing = "00000000-0000-4000-8000-000000000000"
    assert (await sis.call("GET", f"{EDFI}/students/{missing}")).status_code == 404
    assert (await sis.delete("students", missing)).status_code == 404


@pytest.mark.parametrize("role", ["district", "principal", "counselor", "facilitator"])
async def test_only_a_sis_may_push_and_only_sis_and_district_may_read(sis: Sis, role: str):
    headers = sis.running.headers(role, schools=["1"])
    pushed = await sis.running.http.post(f"{EDFI}/students", json=student(), headers=headers)
    read = await sis.running.http.get(f"{EDFI}/students", headers=headers)
    assert (pushed.status_code, read.status_code) == (403, 200 if role == "district" else 403)
    assert (await sis.running.http.get(f"{EDFI}/students")).status_code == 401


BAD = [
    (b"", "bad-request", None),
    (b'{"studentReference":', "bad-request", None),
    (b'{"eventDate": "\xff"}', "bad-request", None),
    (b'{"eventDate": "2026-09-01", "eventDate": "2026-09-02"}', "bad-request", None),
    (b"[" * 10_000 + b"]" * 10_000, "bad-request", None),
    (b"[]", "bad-request:data-validation-failed", "$"),
    (absence(studentReference=None), "bad-request:data-validation-failed", "$.studentReference"),
    (
        absence(studentReference={"studentUniqueId": ["s1"]}),
        "bad-request:data-validation-failed",
        "$.studentReference.studentUniqueId",
    ),
    (absence(on="2026-02-30"), "bad-request:data-validation-failed", "$.eventDate"),
    (absence(category="Sunbathing"), "bad-request:data-validation-failed", "$.attendanceEventCategoryDescriptor"),
    (absence(eventDuration=1.01), "bad-request:data-validation-failed", "$.eventDuration"),
    (absence(eventDuration=-0.01), "bad-request:data-validation-failed", "$.eventDuration"),
    (absence(eventDuration="half"), "bad-request:data-validation-failed", "$.eventDuration"),
    (
        json.dumps(absence(eventDuration=7)).replace("7}", "1e999}").encode(),
        "bad-request:data-validation-failed",
        "$.eventDuration",
    ),
    (absence(name="s\x001"), "bad-request:data-validation-failed", "$.studentReference.studentUniqueId"),
    (absence(_lastModifiedDate="yesterday"), "bad-request:data-validation-failed", "$._lastModifiedDate"),
]


@pytest.mark.parametrize(("document", "kind", "field"), BAD)
async def test_bad_input_is_named_by_field_and_rule_and_never_quoted(sis: Sis, document, kind, field):
    await sis.roster()
    refused = await sis.post("studentSchoolAttendanceEvents", document)
    problem = refused.json()
    assert (refused.status_code, refused.headers["content-type"]) == (400, "application/problem+json")
    assert problem["type"] == f"urn:ed-fi:api:{kind}"
    assert list(problem.get("validationErrors", [None])) == [field]
    assert None not in problem.values()
    assert not any(canary in refused.text for canary in ("Sunbathing", "02-30", "1.01", "yesterday"))
    assert await sis.running.said() == []


async def test_an_exit_before_the_entry_is_refused_and_one_on_the_day_is_a_no_show(sis: Sis):
    await sis.roster()
    refused = await sis.post("studentSchoolAssociations", enrolment(exitWithdrawDate="2026-08-23"))
    assert (refused.status_code, list(refused.json()["validationErrors"])) == (400, ["$.exitWithdrawDate"])
    assert (await sis.post("studentSchoolAssociations", enrolment(exitWithdrawDate="2026-08-24"))).status_code == 201
    (event,) = await sis.running.said(StudentEnrolled)
    assert event.exit_on == event.entry_on


async def test_a_body_over_the_limit_is_refused_before_it_is_read_whole(sis: Sis):
    refused = await sis.post("students", b" " * (4 * 1024 * 1024 + 1))
    assert (refused.status_code, refused.headers["content-type"]) == (413, "application/problem+json")


async def test_every_resource_of_the_door_takes_its_document(sis: Sis):
    for resource, document in (
        ("schools", school()),
        ("students", student()),
        ("studentSchoolAssociations", enrolment()),
        ("contacts", contact()),
        ("studentContactAssociations", association()),
        ("staffs", {"staffUniqueId": 7}),
        (
            "staffEducationOrganizationAssignmentAssociations",
            {
                "staffReference": {"staffUniqueId": "7"},
                "educationOrganizationReference": {"educationOrganizationId": 255901},
                "staffClassificationDescriptor": "x#Principal",
                "beginDate": "2020-08-01",
            },
        ),
        (
            "calendarDates",
            {
                "calendarReference": {"calendarCode": "A", "schoolId": 1, "schoolYear": 2027},
                "date": "2026-08-24",
                "calendarEvents": [{"calendarEventDescriptor": "x#Instructional day"}],
            },
        ),
        ("studentSchoolAttendanceEvents", absence()),
        ("disciplineIncidents", incident()),
        ("studentDisciplineIncidentBehaviorAssociations", behavior()),
        ("disciplineActions", action(staffs=[{"staffReference": {"staffUniqueId": 7}}])),
    ):
        assert [(await sis.post(resource, document)).status_code for _ in range(2)] == [201, 200], resource
