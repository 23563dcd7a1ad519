"""Clients that are bound to resources and schools: what they push, what they see, at every door."""

import json
from typing import Any

import pytest
import pytest_asyncio

from sis.clients.bounds import _ACTIONS, _OF_STUDENTS, _PEOPLE
from sis.resources import DESCRIPTORS, RESOURCES
from tests.sis.clients import Bound, made
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

NO_RELATIONSHIP = "urn:ed-fi:api:security:authorization:"
NOT_GRANTED = "urn:ed-fi:api:security:authorization:access-denied:resource"
DENIED = "Access to the resource could not be authorized."


@pytest_asyncio.fixture(loop_scope="session")
async def mine(sis: Sis) -> Bound:
    """A client of school 1, where two schools have a student each, and both share a contact with nobody."""
    await sis.put_in("schools", school(1), school(2))
    await sis.put_in("students", student("s1"), student("s2"))
    await sis.put_in("studentSchoolAssociations", enrolment("s1", 1), enrolment("s2", 2))
    await sis.put_in("contacts", contact("c1"), contact("c2"))
    await sis.put_in("studentContactAssociations", association("s1", "c1"), association("s2", "c2"))
    await sis.put_in("studentSchoolAttendanceEvents", absence(name="s1"), absence(name="s2", number=2))
    return await made(sis, schools=["1"])


def assignment(name: str, number: int) -> dict[str, Any]:
    return {
        "staffReference": {"staffUniqueId": name},
        "educationOrganizationReference": {"educationOrganizationId": number},
        "staffClassificationDescriptor": "uri://ed-fi.org/StaffClassificationDescriptor#Teacher",
        "beginDate": "2026-08-01",
    }


async def test_a_client_of_a_school_pushes_its_rows_and_sees_them(mine: Bound):
    pushed = await mine.post("studentSchoolAttendanceEvents", absence("2026-09-08"))
    assert pushed.status_code == 201
    assert (await mine.get(f"studentSchoolAttendanceEvents/{pushed.json()['id']}")).status_code == 200
    assert await mine.keys("studentSchoolAttendanceEvents", "eventDate") == ["2026-09-01", "2026-09-08"]


@pytest.mark.parametrize(
    ("resource", "row"),
    [
        ("studentSchoolAttendanceEvents", absence("2026-09-08", name="s2", number=2)),
        ("schools", school(2, nameOfInstitution="Mine now")),
        ("schools", school(3)),
        ("studentSchoolAssociations", enrolment("s1", 2)),
        ("students", student("s2", firstName="Eve")),
        ("contacts", contact("c2", firstName="Eve")),
        ("studentContactAssociations", association("s2", "c1")),
        ("studentContactAssociations", association("nobody", "c1")),
        ("disciplineIncidents", incident(number=2)),
        ("disciplineActions", action(responsibilitySchoolReference={"schoolId": 2})),
        ("staffEducationOrganizationAssignmentAssociations", assignment("t1", 2)),
    ],
)
async def test_a_row_of_another_school_is_denied_in_ed_fis_shape(mine: Bound, resource: str, row: dict[str, Any]):
    answer = await mine.post(resource, row)
    said = answer.json()
    assert (answer.status_code, said["type"], said["title"]) == (403, NO_RELATIONSHIP, "Authorization Denied")
    assert said["detail"] == DENIED
    assert "No relationship has been established" in said["errors"][0]
    for value in ("Eve", "s2", "c2", "nobody"):
        assert value not in answer.text.replace(said["correlationId"], "")


async def test_bulk_lines_and_events_obey_the_same_rule(mine: Bound):
    rows = [absence("2026-09-09"), absence("2026-09-09", name="s2", number=2)]
    assert await mine.bulk("studentSchoolAttendanceEvents", rows) == [201, 403]
    assert await mine.bulk("studentSchoolAttendanceEvents", rows, deletes=True) == [204, 403]
    sheet = "studentReference.studentUniqueId,schoolReference.schoolId,entryDate\ns1,1,2027-01-04\ns2,2,2027-01-04\n"
    told = await mine.call(
        "POST", "/sis/v1/bulk/studentSchoolAssociations", content=sheet, headers={"Content-Type": "text/csv"}
    )
    assert [json.loads(line)["status"] for line in told.text.splitlines()] == [201, 403]
    events = [
        {"specversion": "1.0", "id": str(number), "source": "urn:x", "type": f"sis.{name}.upserted.v1", "data": row}
        for number, (name, row) in enumerate(
            [
                ("students", student("s3")),
                ("studentContactAssociations", association("s3", "c1")),
                ("students", student("s2", firstName="Eve")),
                ("studentSchoolAttendanceEvents", rows[1]),
            ]
        )
    ]
    batch = {"Content-Type": "application/cloudevents-batch+json"}
    heard = await mine.call("POST", "/sis/v1/events", content=json.dumps(events), headers=batch)
    said = [one.get("outcome") or one["problem"]["type"].rpartition(":")[2] for one in heard.json()["items"]]
    assert said == ["created", "created", "no-relationship", "no-relationship"]


async def test_rows_that_are_denied_are_kept_for_whoever_looks_after_the_source(mine: Bound):
    await mine.post("students", student("s2", firstName="Eve"))
    (line,) = (await mine.sis.call("GET", "/sis/v1/sources", "district")).json()["items"][-1:]
    seen = (await mine.call("GET", "/sis/v1/sources")).json()["items"]
    assert [(one["resource"], one["rejected_open"]) for one in seen] == [("students", 1)]
    assert line["source"] in (mine.id, "sis")


async def test_what_others_have_is_neither_listed_nor_counted_nor_found(mine: Bound):
    for resource, leaf, own in (
        ("students", "studentUniqueId", ["s1"]),
        ("contacts", "contactUniqueId", ["c1"]),
        ("studentContactAssociations", "contactUniqueId", ["c1"]),
        ("schools", "schoolId", ["1"]),
        ("studentSchoolAssociations", "studentUniqueId", ["s1"]),
        ("studentSchoolAttendanceEvents", "studentUniqueId", ["s1"]),
    ):
        assert await mine.keys(resource, leaf) == own, resource
        counted = await mine.get(resource, totalCount="true", limit=0)
        assert counted.headers["Total-Count"] == "1", resource
    for row in (await mine.sis.call("GET", f"{EDFI}/students")).json():
        own_one = row["studentUniqueId"] == "s1"
        one = f"students/{row['id']}"
        assert (await mine.get(one)).status_code == (200 if own_one else 404)
        assert bool((await mine.get("students", id=row["id"])).json()) == own_one
        if not own_one:
            body = student("s2", firstName="Eve")
            assert (await mine.call("PUT", f"{EDFI}/{one}", json=body)).status_code == 404
            assert (await mine.call("DELETE", f"{EDFI}/{one}")).status_code == 404
    assert len((await mine.get("students/partitions", number=5)).json()["pageTokens"]) == 1


async def test_what_is_gone_is_listed_to_those_who_saw_it(mine: Bound):
    for name, number in (("s1", 1), ("s2", 2)):
        await mine.sis.bulk("studentSchoolAttendanceEvents", [absence(name=name, number=number)], deletes=True)
        await mine.sis.bulk("studentContactAssociations", [association(name, f"c{number}")], deletes=True)
        await mine.sis.bulk("studentSchoolAssociations", [enrolment(name, number)], deletes=True)
        await mine.sis.bulk("students", [{"studentUniqueId": name}], deletes=True)
    for resource in ("students", "studentSchoolAssociations", "studentContactAssociations"):
        gone = (await mine.get(f"{resource}/deletes")).json()
        assert [one["keyValues"]["studentUniqueId"] for one in gone] == ["s1"], resource
    assert (await mine.get("students")).json() == []


async def test_who_made_somebody_sees_them_until_a_school_has_them(mine: Bound):
    for resource, row in (("students", student("s9")), ("contacts", contact("c9"))):
        assert (await mine.post(resource, row)).status_code == 201
        assert (await mine.post(resource, row)).status_code == 200
    assert "s9" in await mine.keys("students", "studentUniqueId")
    assert (await mine.post("studentContactAssociations", association("s9", "c9"))).status_code == 201
    other = await made(mine.sis, "Other", schools=["2"])
    assert (await other.post("students", student("s9"))).status_code == 403
    await mine.sis.put_in("studentSchoolAssociations", enrolment("s9", 2))
    assert "s9" not in await mine.keys("students", "studentUniqueId")
    assert "s9" in await other.keys("students", "studentUniqueId")
    assert await other.keys("contacts", "contactUniqueId") == ["c2", "c9"]


async def test_a_student_who_moves_takes_the_view_along(mine: Bound):
    other = await made(mine.sis, "Other", schools=["2"])
    await mine.post("studentSchoolAssociations", enrolment("s2", 1, "2027-01-04"))
    assert await mine.keys("students", "studentUniqueId") == ["s1", "s2"]
    assert await mine.bulk("studentSchoolAssociations", [enrolment("s2", 1, "2027-01-04")], deletes=True) == [204]
    assert await mine.keys("students", "studentUniqueId") == ["s1"]
    assert await other.keys("students", "studentUniqueId") == ["s2"]


async def test_staff_are_of_the_schools_where_they_are_assigned(mine: Bound):
    await mine.sis.put_in("staffs", {"staffUniqueId": "t1"}, {"staffUniqueId": "t2"})
    await mine.sis.put_in("staffEducationOrganizationAssignmentAssociations", assignment("t1", 1), assignment("t2", 2))
    assert await mine.keys("staffs", "staffUniqueId") == ["t1"]
    assert (await mine.post("staffs", {"staffUniqueId": "t2"})).status_code == 403


async def test_an_action_without_a_school_is_of_those_of_its_incidents(mine: Bound):
    await mine.sis.put_in("disciplineIncidents", incident("i1", 1), incident("i2", 2))
    await mine.sis.put_in(
        "studentDisciplineIncidentBehaviorAssociations", behavior("s1", "i1", 1), behavior("s1", "i2", 2)
    )
    own, others = action("a1", "i1"), action("a2", "i2")
    reference = others["studentDisciplineIncidentBehaviorAssociations"][0]
    reference["studentDisciplineIncidentBehaviorAssociationReference"]["schoolId"] = 2
    for row in (own, others):
        del row["responsibilitySchoolReference"]
    assert (await mine.post("disciplineActions", own)).status_code == 201
    assert (await mine.post("disciplineActions", others)).status_code == 403
    await mine.sis.put_in("disciplineActions", others)
    assert await mine.keys("disciplineActions", "disciplineActionIdentifier") == ["a1"]
    taken = {**own, "disciplineActionIdentifier": "a2"}
    assert (await mine.post("disciplineActions", taken)).status_code == 403


async def test_a_row_that_waits_is_seen_by_who_pushed_it(mine: Bound):
    waits = await mine.post("studentSchoolAssociations", enrolment("late", 1))
    others = await mine.sis.post("studentSchoolAssociations", enrolment("later", 2))
    assert waits.json()["waiting"]
    assert others.json()["waiting"]
    query = {"schoolId": 2, "entryDate": "2026-08-24"}
    assert (await mine.get(f"studentSchoolAssociations/{waits.json()['id']}")).status_code == 200
    assert (await mine.get(f"studentSchoolAssociations/{others.json()['id']}")).status_code == 404
    assert (await mine.get("studentSchoolAssociations", studentUniqueId="later", **query)).json() == []
    assert [one["id"] for one in (await mine.call("GET", "/sis/v1/waiting?all=true")).json()["items"]] == [
        waits.json()["id"]
    ]


async def test_what_is_about_the_whole_district_is_not_for_a_client_of_a_school(mine: Bound):
    lease = "/sis/v1/closing-clock/leases/0199f3a0-7b1c-7def-8a90-0b5f6a7c8d9e"
    for method, path in (("PUT", lease), ("DELETE", lease), ("GET", "/sis/v1/descriptors/unmapped")):
        assert (await mine.call(method, path)).status_code == 403
    assert (await mine.call("POST", "/sis/v1/schools/2/days/2026-09-01/close")).status_code == 403
    file = "school_id,date,instructional\n1,2026-08-24,true\n2,2026-08-24,true\n"
    calendar = (await mine.call("POST", "/sis/v1/calendars", content=file)).json()
    assert (calendar["schools"], [one["column"] for one in calendar["rejected"]]) == (1, ["school_id"])
    counts = f"/sis/v1/sources/{mine.id}"
    one = {"resource": "studentSchoolAttendanceEvents", "count": 0}
    for school_id, status in (("1", 200), ("2", 403), (None, 403)):
        at = {"school_id": school_id} if school_id else {}
        assert (await mine.call("PUT", f"{counts}/counts", json={"items": [one | at]})).status_code == status
        assert (await mine.call("GET", f"{counts}/reconciliation", params={"school": school_id} if school_id else {})).status_code == status  # fmt: skip
    await mine.call("POST", f"{EDFI}/students", json=student("s1"), headers={"X-Total-Count": "9"})
    assert [line["standing"] for line in (await mine.call("GET", "/sis/v1/sources")).json()["items"]] == [None, None]


async def test_a_client_bound_to_resources_uses_those_only(sis: Sis):
    client = await made(sis, resources=["students", "contacts", "descriptors"])
    assert (await client.post("students", student())).status_code == 201
    assert (await client.post("parents", {"parentUniqueId": "p1"})).status_code == 201
    kind = {"namespace": "uri://x/GradeLevelDescriptor", "codeValue": "9", "shortDescription": "Ninth"}
    assert (await client.post("gradeLevelDescriptors", kind)).status_code == 201
    refused = [
        await client.post("schools", school()),
        await client.get("schools"),
        await client.get("schools/deletes"),
        await client.get("schools/keyChanges"),
        await client.get("schools/0199f3a0-7b1c-7def-8a90-0b5f6a7c8d9e"),
        await client.get("studentSchoolAssociations", totalCount="true"),
    ]
    for answer in refused:
        said = answer.json()
        assert (answer.status_code, said["type"], said["detail"]) == (403, NOT_GRANTED, DENIED)
        assert said["errors"] == ["This client is not bound to the resource."]
    for path in ("/sis/v1/bulk/schools", "/sis/v1/bulk/schools/deletes", "/sis/v1/calendars"):
        assert (await client.call("POST", path, content=b"{}")).status_code == 403
    event = {"specversion": "1.0", "id": "1", "source": "urn:x", "type": "sis.schools.upserted.v1", "data": school()}
    heard = await client.call(
        "POST", "/sis/v1/events", json=event, headers={"Content-Type": "application/cloudevents+json"}
    )
    assert heard.status_code == 403
    await sis.put_in("schools", school())
    assert (await client.call("POST", "/sis/v1/schools/1/days/2026-09-01/close")).status_code == 403


async def test_a_token_says_what_its_client_is_bound_to(mine: Bound):
    narrow = await made(mine.sis, "Narrow", resources=["students"], schools=["1", "7"])
    told = (await narrow.call("GET", "/sis/oauth/token_info")).json()
    assert told["education_organizations"] == [
        {"education_organization_id": 1, "name_of_institution": "School 1", "type": "edfi.School"},
        {"education_organization_id": 7, "name_of_institution": None, "type": None},
    ]
    assert [one["resource"] for one in told["resources"]] == ["/ed-fi/students"]
    token = narrow.headers["Authorization"].removeprefix("Bearer ")
    assert (await narrow.call("POST", "/sis/oauth/token_info", data={"token": token})).json() == told


def test_every_resource_is_of_a_school_or_says_how_it_is_decided() -> None:
    decided = {*_PEOPLE, _OF_STUDENTS, *DESCRIPTORS}
    assert {name for name, one in RESOURCES.items() if one.school is None} == decided
    assert {name for name, one in RESOURCES.items() if one.school and one.school not in one.identity} == {_ACTIONS}
