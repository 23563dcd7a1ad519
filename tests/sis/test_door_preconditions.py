"""Replacing and deleting by id: what If-Match guards, what must not change, and who comes first."""

import asyncio
import json
from typing import Any
from uuid import UUID

import httpx
import pytest

from common.events import AttendanceRecorded
from sis.preconditions import NotAsExpected, check_expected, names
from tests.sis.conftest import EDFI, Sis, absence, action, association, contact, incident, school, student

RESOURCE = "studentSchoolAttendanceEvents"


async def put(sis: Sis, resource: str, identity: str, document: Any, **headers: str) -> httpx.Response:
    path = f"{EDFI}/{resource}/{identity}"
    return await sis.call("PUT", path, content=json.dumps(document).encode(), headers=headers)


async def etag(sis: Sis, resource: str, identity: str) -> str:
    tag: str = (await sis.call("GET", f"{EDFI}/{resource}/{identity}")).headers["ETag"]
    return tag


async def test_a_document_is_replaced_whole_under_its_id(sis: Sis) -> None:
    (identity,) = await sis.put_in("students", student())
    before = await etag(sis, "students", identity)
    replaced = await put(sis, "students", identity, {"studentUniqueId": "s1", "firstName": "Ida"})
    assert (replaced.status_code, replaced.content) == (204, b"")
    shown = await sis.call("GET", f"{EDFI}/students/{identity}")
    assert shown.headers["ETag"] == replaced.headers["ETag"] == f'"{shown.json()["_etag"]}"' != before
    assert {name for name in shown.json() if name[0] != "_"} == {"id", "studentUniqueId", "firstName"}
    assert len(await sis.rows("SELECT 1 FROM sis_revision")) == 1


async def test_the_same_content_again_changes_and_says_nothing(sis: Sis) -> None:
    await sis.roster()
    (identity,) = await sis.put_in(RESOURCE, absence())
    before = await etag(sis, RESOURCE, identity)
    same = await put(sis, RESOURCE, identity, absence())
    assert (same.status_code, same.headers["ETag"]) == (204, before)
    assert len(await sis.running.said(AttendanceRecorded)) == 1
    assert await sis.rows("SELECT 1 FROM sis_revision") == []


async def test_what_was_read_may_be_put_back_as_it_is(sis: Sis) -> None:
    await sis.roster()
    (identity,) = await sis.put_in(RESOURCE, absence())
    shown = (await sis.call("GET", f"{EDFI}/{RESOURCE}/{identity}")).json()
    assert (await put(sis, RESOURCE, identity, {**shown, "eventDuration": 0.5})).status_code == 204
    assert (await sis.post(RESOURCE, {**shown, "eventDuration": 0.25})).status_code == 200
    said = [event.hundredths_absent for event in await sis.running.said(AttendanceRecorded)]
    assert said == [100, 50, 25]


async def test_who_puts_back_what_was_read_takes_away_nothing_that_was_sealed(sis: Sis) -> None:
    student_id = await sis.roster()
    mails = [{"electronicMailAddress": "grace@example.org"}]
    (identity,) = await sis.put_in("contacts", contact(electronicMails=mails))
    await sis.put_in("studentContactAssociations", association())

    async def known() -> tuple[str | None, list[str]]:
        (one,) = (await sis.contacts(student_id)).json()["contacts"]
        return one["first_name"], one["emails"]

    read = (await sis.call("GET", f"{EDFI}/contacts/{identity}")).json()
    assert "electronicMails" not in read
    assert (await put(sis, "contacts", identity, {**read, "firstName": "Ida"})).status_code == 204
    assert await known() == ("Ida", ["grace@example.org"])
    assert (await put(sis, "contacts", identity, {**read, "electronicMails": None})).status_code == 204
    assert await known() == ("Ida", [])


async def test_references_are_answered_with_every_member_that_was_sent(sis: Sis) -> None:
    await sis.roster()
    await sis.put_in("disciplineIncidents", incident())
    session = {"schoolId": 1, "schoolYear": 2027, "sessionName": "Fall"}
    for resource, sent in ((RESOURCE, absence(sessionReference=session)), ("disciplineActions", action())):
        (identity,) = await sis.put_in(resource, sent)
        shown = (await sis.call("GET", f"{EDFI}/{resource}/{identity}")).json()
        assert {name: shown[name] for name in sent} == sent


async def test_schools_are_answered_by_numbers_as_ed_fi_has_them(sis: Sis) -> None:
    for sent in (255901001, "255901001", 2**63 - 1, str(2**63 - 1), 0):
        (identity,) = await sis.put_in("schools", {"schoolId": sent, "nameOfInstitution": "A"})
        assert (await sis.call("GET", f"{EDFI}/schools/{identity}")).json()["schoolId"] == int(sent)


@pytest.mark.parametrize("sent", ["SECRETVAL", -1, 10**30, "0x7", True, {}])
async def test_what_is_no_number_of_a_school_is_refused_without_its_value(sis: Sis, sent: Any) -> None:
    refused = await sis.post("schools", {"schoolId": sent, "nameOfInstitution": "A"})
    assert refused.status_code == 400
    assert refused.json()["validationErrors"] == {"$.schoolId": ["must be a whole number from 0 to 2^63-1"]}
    assert "SECRETVAL" not in refused.text


async def test_what_identifies_a_document_is_never_changed_by_a_put(sis: Sis) -> None:
    await sis.put_in("schools", school())
    (identity, other) = await sis.put_in("students", student("s1"), student("s2"))
    for name in ("s3", "s2"):
        refused = await put(sis, "students", identity, student(name))
        assert (refused.status_code, refused.json()["title"]) == (400, "Key Change Not Supported")
    wrong = await put(sis, "students", identity, student(id=other))
    assert (wrong.status_code, list(wrong.json()["validationErrors"])) == (400, ["$.id"])
    assert (await put(sis, "students", identity, student(id=UUID(identity).hex))).status_code == 204
    assert await sis.rows("SELECT 1 FROM sis_revision") == []


async def test_a_document_that_is_not_there_is_not_replaced(sis: Sis) -> None:
    (identity,) = await sis.put_in("students", student())
    assert (await sis.delete("students", identity)).status_code == 204
    for missing in (identity, "00000000-0000-4000-8000-000000000000"):
        assert (await put(sis, "students", missing, student())).status_code == 404
    assert (await put(sis, "schools", identity, school())).status_code == 404


async def test_a_replacement_may_only_refer_to_what_is_known(sis: Sis, no_waiting: None) -> None:
    await sis.roster()
    await sis.put_in("disciplineIncidents", incident())
    (identity,) = await sis.put_in("disciplineActions", action())
    before = await etag(sis, "disciplineActions", identity)
    named = action(staffs=[{"staffReference": {"staffUniqueId": "7"}}])
    refused = await put(sis, "disciplineActions", identity, named)
    assert (refused.status_code, refused.json()["title"]) == (409, "Unresolved Reference")
    assert list(refused.json()["validationErrors"]) == ["$.staffs[].staffReference"]
    assert await etag(sis, "disciplineActions", identity) == before
    await sis.put_in("staffs", {"staffUniqueId": "7"})
    assert (await put(sis, "disciplineActions", identity, named)).status_code == 204


async def test_an_older_row_is_stale_and_changes_nothing(sis: Sis) -> None:
    (identity,) = await sis.put_in("students", student(_lastModifiedDate="2020-09-05T10:00:00Z"))
    before = await etag(sis, "students", identity)
    older = await put(sis, "students", identity, student(firstName="Ida", _lastModifiedDate="2020-09-04T10:00:00Z"))
    assert (older.status_code, older.headers["ETag"]) == (204, before)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_if_match_lets_through_only_who_has_read_the_latest(sis: Sis, method: str) -> None:
    (identity,) = await sis.put_in("students", student())
    old = await etag(sis, "students", identity)
    await sis.put_in("students", student(firstName="Ida"))
    new = await etag(sis, "students", identity)

    async def attempt(tag: str) -> int:
        body = json.dumps(student(firstName="Eda")).encode() if method == "PUT" else None
        path = f"{EDFI}/students/{identity}"
        return (await sis.call(method, path, content=body, headers={"If-Match": tag})).status_code

    assert [await attempt(old), await attempt('"0"')] == [412, 412]
    assert await etag(sis, "students", identity) == new
    assert await attempt(new) == 204


@pytest.mark.parametrize("tag", ['"5"', "5", 'W/"5"', '"4", "5"', "*"])
def test_an_etag_is_understood_with_quotes_and_without(tag: str) -> None:
    check_expected(tag, 5)
    check_expected(None, 5)
    assert names(tag, 5)
    if tag != "*":
        with pytest.raises(NotAsExpected):
            check_expected(tag, 6)


async def test_of_two_who_read_the_same_only_the_first_replaces(sis: Sis) -> None:
    (identity,) = await sis.put_in("students", student())
    tag = await etag(sis, "students", identity)
    names_given = [f"Ada {number}" for number in range(8)]
    answers = await asyncio.gather(
        *(put(sis, "students", identity, student(firstName=name), **{"If-Match": tag}) for name in names_given)
    )
    assert sorted(answer.status_code for answer in answers) == [204] + [412] * 7
    assert len(await sis.rows("SELECT 1 FROM sis_revision")) == 1


async def test_two_clients_that_write_one_key_at_once_leave_one_row_and_both_revisions(sis: Sis) -> None:
    (identity,) = await sis.put_in("students", student())
    pushed, replaced = await asyncio.gather(
        sis.post("students", student(firstName="Ida")), put(sis, "students", identity, student(firstName="Eda"))
    )
    assert (pushed.status_code, replaced.status_code) == (200, 204)
    shown = await sis.call("GET", f"{EDFI}/students/{identity}")
    revisions = await sis.rows("SELECT body ->> 'firstName' FROM sis_revision ORDER BY revision")
    assert {*(name for (name,) in revisions), shown.json()["firstName"]} == {"Ada", "Ida", "Eda"}
    assert shown.headers["ETag"] == max(pushed.headers["ETag"], replaced.headers["ETag"])


async def test_what_is_already_known_is_not_sent_again(sis: Sis) -> None:
    (identity,) = await sis.put_in("students", student())
    path = f"{EDFI}/students/{identity}"
    tag = await etag(sis, "students", identity)
    unchanged = await sis.call("GET", path, headers={"If-None-Match": tag})
    assert (unchanged.status_code, unchanged.content, unchanged.headers["ETag"]) == (304, b"", tag)
    await sis.put_in("students", student(firstName="Ida"))
    assert (await sis.call("GET", path, headers={"If-None-Match": tag})).status_code == 200


async def test_a_push_answers_where_the_document_stands_and_its_etag(sis: Sis) -> None:
    first = await sis.post("students", student(id="what the client calls it", _etag="1"))
    again = await sis.post("students", student())
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.headers["ETag"] == again.headers["ETag"] == await etag(sis, "students", first.json()["id"])
    assert first.headers["Location"] == f"http://testserver{EDFI}/students/{first.json()['id']}"


async def test_a_path_may_name_the_school_year(sis: Sis) -> None:
    path = "/sis/data/v3/2027/ed-fi/students"
    made = await sis.call("POST", path, json=student())
    assert (made.status_code, made.headers["Location"]) == (201, f"http://testserver{path}/{made.json()['id']}")
    shown = await sis.call("GET", made.headers["Location"])
    assert shown.json() == (await sis.call("GET", f"{EDFI}/students/{made.json()['id']}")).json()
    assert len((await sis.call("GET", path)).json()) == 1
    assert (await sis.call("GET", f"{path}/deletes")).json() == []
    replaced = await sis.call("PUT", made.headers["Location"], json=student(firstName="Ida"))
    assert (replaced.status_code, (await sis.call("DELETE", made.headers["Location"])).status_code) == (204, 204)
    assert (await sis.call("GET", "/sis/changeQueries/v1/2027/availableChangeVersions")).status_code == 200


async def test_replacing_and_deleting_count_as_arrivals_and_what_is_refused_is_kept(sis: Sis) -> None:
    identity = await sis.roster()
    (event,) = await sis.put_in(RESOURCE, absence())
    assert (await put(sis, RESOURCE, event, absence(eventDuration=0.5))).status_code == 204
    assert (await put(sis, RESOURCE, event, absence(eventDuration=9))).status_code == 400
    assert (await sis.delete(RESOURCE, event)).status_code == 204
    await sis.put_in(RESOURCE, absence())
    assert (await sis.delete("students", identity)).status_code == 409

    sources = (await sis.call("GET", "/sis/v1/sources")).json()["items"]
    counted = {line["resource"]: (line["accepted"], line["deleted"], line["rejected"]) for line in sources}
    assert counted[RESOURCE] == (3, 1, 1)
    assert counted["students"] == (1, 0, 1)
