"""Codes stand as descriptors from the start, as clients that look a code up before they send it expect."""

import json
import subprocess
import sys
from typing import Any

import pytest
import sqlalchemy as sa

from sis.listing import list_codes
from sis.policy import CODES
from sis.resources import DESCRIPTORS
from tests.sis.conftest import EDFI, Sis, absence, action, enrolment, school, student

CATEGORIES = "attendanceEventCategoryDescriptors"
NAMESPACE = "uri://ed-fi.org/AttendanceEventCategoryDescriptor"
UNEXCUSED = {"namespace": NAMESPACE, "codeValue": "Unexcused Absence", "shortDescription": "Unexcused Absence"}


async def listed(sis: Sis, resource: str, **asked: Any) -> list[dict[str, Any]]:
    response = await sis.call("GET", f"{EDFI}/{resource}", params={"limit": 500, **asked})
    assert response.status_code == 200, response.text
    return list(response.json())


async def said(sis: Sis, resource: str) -> set[str]:
    return {f"{one['namespace']}#{one['codeValue']}" for one in await listed(sis, resource)}


async def one_of(sis: Sis, **asked: Any) -> dict[str, Any]:
    (found,) = await listed(sis, CATEGORIES, **asked)
    return found


async def test_every_code_of_the_policy_is_listed_in_the_spelling_of_the_standard(sis: Sis):
    await list_codes(sis.running.runtime)
    for name, resource in DESCRIPTORS.items():
        count = await sis.call("GET", f"{EDFI}/{name}", params={"limit": 0, "totalCount": "true"})
        assert int(count.headers["Total-Count"]) == len(resource.always), name
    found = await one_of(sis, codeValue="Unexcused Absence", namespace=NAMESPACE)
    assert {name: found[name] for name in UNEXCUSED} == UNEXCUSED
    by_id = await sis.call("GET", f"{EDFI}/{CATEGORIES}/{found['id']}")
    assert (by_id.json(), by_id.headers["ETag"].strip('"')) == (found, found["_etag"])
    (spanish,) = await listed(sis, "languageDescriptors", codeValue="spa")
    assert spanish["namespace"] == "uri://ed-fi.org/LanguageDescriptor"


async def test_pages_of_them_hold_each_once(sis: Sis):
    await list_codes(sis.running.runtime)
    seen: list[str] = []
    token: str | None = ""
    while token is not None:
        asked = {"pageToken": token, "pageSize": 25} if token else {"limit": 25}
        page = await sis.call("GET", f"{EDFI}/relationDescriptors", params=asked)
        seen += [one["codeValue"] for one in page.json()]
        token = page.headers.get("Next-Page-Token")
    assert sorted(seen) == CODES["relationDescriptors"]


async def test_another_pass_and_a_client_that_says_the_same_change_nothing(sis: Sis):
    await list_codes(sis.running.runtime)
    first = await one_of(sis, codeValue="Unexcused Absence")
    await list_codes(sis.running.runtime)
    again = await sis.post(CATEGORIES, UNEXCUSED)
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    assert await one_of(sis, codeValue="Unexcused Absence") == first
    other = await sis.post(CATEGORIES, {**UNEXCUSED, "shortDescription": "Away without a reason"})
    await list_codes(sis.running.runtime)
    assert (other.status_code, other.json()["id"]) == (200, first["id"])
    assert (await one_of(sis, codeValue="Unexcused Absence"))["shortDescription"] == "Away without a reason"


async def test_who_follows_change_versions_hears_of_them_once(sis: Sis):
    versions = "/sis/changeQueries/v1/availableChangeVersions"
    before = (await sis.call("GET", versions)).json()["newestChangeVersion"]
    await list_codes(sis.running.runtime)
    after = (await sis.call("GET", versions)).json()["newestChangeVersion"]
    window = {"minChangeVersion": before + 1, "maxChangeVersion": after}
    assert len(await listed(sis, CATEGORIES, **window)) == len(CODES[CATEGORIES])
    await list_codes(sis.running.runtime)
    assert await listed(sis, CATEGORIES, minChangeVersion=after + 1) == []
    assert (await sis.call("GET", f"{EDFI}/{CATEGORIES}/deletes")).json() == []


async def test_what_the_policy_names_is_not_taken_away_and_what_a_client_pushed_is(sis: Sis):
    await list_codes(sis.running.runtime)
    refused = await sis.delete(CATEGORIES, (await one_of(sis, codeValue="Unexcused Absence"))["id"])
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:ed-fi:api:data-conflict:dependent-item-exists"
    key = {name: UNEXCUSED[name] for name in ("namespace", "codeValue")}
    assert (await sis.bulk(CATEGORIES, [key], deletes=True))[0]["status"] == 409
    (own,) = await sis.put_in(CATEGORIES, {**UNEXCUSED, "namespace": "uri://gb.example/Category"})
    assert (await sis.delete(CATEGORIES, own)).status_code == 204
    await list_codes(sis.running.runtime)
    assert await said(sis, CATEGORIES) == set(DESCRIPTORS[CATEGORIES].always)


async def test_a_code_that_was_taken_away_before_the_policy_named_it_is_listed_again(sis: Sis):
    (early,) = await sis.put_in(CATEGORIES, UNEXCUSED)
    async with sis.running.admin.begin() as connection:  # as under a policy without it
        await connection.execute(sa.text("UPDATE sis_document SET deleted = true, turn = turn + 1"))
    await list_codes(sis.running.runtime)
    assert (await one_of(sis, codeValue="Unexcused Absence"))["id"] == early


async def test_codes_that_rows_hold_openly_are_listed_too_and_sealed_ones_are_not(sis: Sis):
    await sis.put_in("schools", school())
    await sis.put_in("students", student())
    await sis.put_in("studentSchoolAssociations", enrolment(entryGradeLevelDescriptor="uri://gb.example/Grade#5b"))
    await sis.put_in(
        "studentSchoolAttendanceEvents", absence(attendanceEventCategoryDescriptor="uri://gb.example/A#TARDY")
    )
    disciplines = [{"disciplineDescriptor": f"uri://gb.example/D#{code}"} for code in ("A", "B")]
    await sis.put_in(
        "disciplineActions", action(disciplines=disciplines, studentDisciplineIncidentBehaviorAssociations=[])
    )
    of = {
        "studentReference": {"studentUniqueId": "s1"},
        "educationOrganizationReference": {"educationOrganizationId": 1},
    }
    await sis.put_in("studentEducationOrganizationAssociations", {**of, "sexDescriptor": "uri://gb.example/Sex#canary"})
    await sis.put_in(
        "studentSchoolAssociations", enrolment(entry="2026-08-25", entryGradeLevelDescriptor="no namespace")
    )
    await list_codes(sis.running.runtime)
    assert "uri://gb.example/Grade#5b" in await said(sis, "gradeLevelDescriptors")
    assert "uri://gb.example/A#TARDY" in await said(sis, CATEGORIES)
    assert {"uri://gb.example/D#A", "uri://gb.example/D#B"} <= await said(sis, "disciplineDescriptors")
    for name in ("sexDescriptors", "gradeLevelDescriptors"):
        assert not any("canary" in one or "no namespace" in one for one in await said(sis, name))
    unmapped = await sis.call("GET", "/sis/v1/descriptors/unmapped", role="district")
    assert {one["code_value"] for one in unmapped.json()["items"]} == {"5b", "no namespace"}


async def test_descriptors_that_stand_from_the_start_are_nobodys_arrivals(sis: Sis):
    await list_codes(sis.running.runtime)
    assert (await sis.call("GET", "/sis/v1/sources", role="district")).json()["items"] == []
    body, believed = json.dumps(UNEXCUSED).encode(), {"X-Total-Count": "1"}
    await sis.call("POST", f"{EDFI}/{CATEGORIES}", content=body, headers=believed)
    (line,) = (await sis.call("GET", "/sis/v1/sources", role="district")).json()["items"]
    assert (line["unchanged"], line["believed"]) == (1, None)


@pytest.mark.parametrize(
    ("written", "code"),
    [('"Skipped" = "unexcused"', "Skipped"), ('"unexcused absence" = "excused"', "Unexcused Absence")],
)
def test_a_code_of_the_districts_policy_is_listed_once(tmp_path, written: str, code: str):
    policy = tmp_path / "sis.toml"
    policy.write_text(f"[attendance.categories]\n{written}\n")
    ask = "from sis.policy import CODES; print(CODES['attendanceEventCategoryDescriptors'])"
    ran = _python(ask, policy)
    assert ran.stdout.lower().count(repr(code).lower()) == 1
    assert repr(code) in ran.stdout


def test_a_code_that_no_descriptor_can_have_is_said_at_start(tmp_path):
    policy = tmp_path / "sis.toml"
    policy.write_text(f'[attendance.categories]\n"{"x" * 51}" = "unexcused"\n')
    said = _python("import sis.policy", policy).stderr
    assert "attendanceEventCategoryDescriptors must have 1 to 50 characters" in said
    assert "xxx" not in said


def _python(ask: str, policy: Any) -> "subprocess.CompletedProcess[str]":
    environment = {"TRELLIS_SIS_POLICY": str(policy)}
    return subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False, env=environment)
