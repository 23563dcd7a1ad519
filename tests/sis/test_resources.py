"""Every resource of the table, told well and badly: made from the table, so that a new one is tested as it is added."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from common.events import AttendanceRecorded
from sis.resources import DESCRIPTORS, NAMED, RESOURCES, WAVES, ResourceNotUsed, resource_named
from sis.resources.core import CORE, kind_of
from sis.resources.dropped import DROPPED
from sis.resources.kinds import InOrder, leaves
from sis.rules.members import InvalidMember, value_at
from tests.sis import samples
from tests.sis.conftest import EDFI, Sis, absence, school, student

EVERY = pytest.mark.parametrize("name", NAMED)


async def load(sis: Sis, *names: str) -> None:
    """Let one good document of each of these stand, and before it whatever it refers to."""
    wanted = _with_referred(names)
    for wave in WAVES:
        for name in wave:
            if name in wanted:
                (line,) = await sis.bulk(name, [samples.document(RESOURCES[name].shape)])
                assert line["status"] in (200, 201), line


def _with_referred(names: Any) -> set[str]:
    found = set(names)
    for name in names:
        found |= _with_referred({one.to for one in RESOURCES[name].references} - found)
    return found


async def standing(sis: Sis, name: str) -> int:
    query = "SELECT count(*) FROM sis_document WHERE resource = :resource AND NOT deleted"
    return int((await sis.rows(query, resource=NAMED[name].name))[0][0])


async def test_every_resource_takes_its_document_once_and_finds_it_by_its_natural_key(sis: Sis):
    for name in (one for wave in WAVES for one in wave):
        resource = RESOURCES[name]
        answers = [await sis.post(name, samples.document(resource.shape)) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 200], (name, answers[0].text)
        body = resource.read(samples.document(resource.shape))
        key = {leaf: value_at(body, path) for leaf, path in resource.leaves.items()}
        found = (await sis.call("GET", f"{EDFI}/{name}", params=key)).json()
        assert len(found) == 1, name
        answered = {member for member in found[0] if member != "id" and not member.startswith("_")}
        assert answered == set(resource.shape) - resource.sealed, name


@EVERY
async def test_a_member_missing_of_another_type_or_too_long_is_named_and_never_quoted(sis: Sis, name: str):
    resource = NAMED[name]
    bad = [*samples.lacking(resource), *samples.of_wrong_type(resource), *samples.too_long(resource)]
    lines = await sis.bulk(name, [document for _, document in bad])
    for (field, document), line in zip(bad, lines, strict=True):
        assert (line["status"], line["problem"]["errors"][0]["field"]) == (400, field), document
        assert samples.CANARY not in json.dumps(line)
    assert await standing(sis, name) == 0


@EVERY
async def test_an_unknown_descriptor_is_kept_and_refused_only_where_it_must_be_understood(sis: Sis, name: str):
    resource = NAMED[name]
    for path, _ in leaves(resource.told_shape):
        leaf = path.rpartition(".")[2]
        if leaf.endswith("Descriptor"):
            document = samples.changed(resource, path, f"uri://district.example#{samples.CANARY}")
            if leaf in samples.KNOWN:
                with pytest.raises(InvalidMember, match="must be a descriptor known here"):
                    resource.read(document)
            else:
                assert samples.CANARY in json.dumps(resource.read(document))


@pytest.mark.parametrize("name", [name for name, resource in RESOURCES.items() if resource.references])
async def test_a_row_that_refers_to_a_deleted_one_is_not_applied(sis: Sis, name: str):
    resource = RESOURCES[name]
    for to in dict.fromkeys(one.to for one in resource.references):
        await sis.running.empty()
        await load(sis, *(one.to for one in resource.references))
        for one in reversed([one for wave in WAVES for one in wave]):
            if to in _with_referred([one]) and await standing(sis, one):
                (gone,) = await sis.bulk(one, [samples.document(RESOURCES[one].shape)], deletes=True)
                assert gone["status"] == 204, (one, gone)
        assert await standing(sis, to) == 0
        await sis.bulk(name, [samples.document(resource.shape)])
        assert await standing(sis, name) == 0, to


@pytest.mark.parametrize("name", [name for name, one in NAMED.items() if isinstance(one.check, InOrder)])
async def test_dates_out_of_order_are_refused(sis: Sis, name: str):
    resource = NAMED[name]
    assert isinstance(resource.check, InOrder)
    (line,) = await sis.bulk(name, [samples.changed(resource, resource.check.then, "2026-08-31")])
    assert line["problem"]["errors"] == [
        {"field": f"$.{resource.check.then}", "rule": f"must not be before {resource.check.first}"}
    ]


CHANGEABLE = pytest.mark.parametrize("name", [name for name, one in RESOURCES.items() if samples.another(one)])


@CHANGEABLE
async def test_of_two_rows_for_one_natural_key_in_one_file_the_later_wins_and_the_earlier_is_kept(sis: Sis, name: str):
    resource = RESOURCES[name]
    await load(sis, *(one.to for one in resource.references))
    first, then = samples.document(resource.shape), samples.another(resource)
    lines = await sis.bulk(name, [first, then])
    assert [line["status"] for line in lines] == [201, 200]
    assert lines[0]["id"] == lines[1]["id"]
    assert await revisions(sis, lines[0]["id"]) == (1, 1)
    again = await sis.bulk(name, [then])
    assert again[0]["status"] == 200
    assert await revisions(sis, lines[0]["id"]) == (1, 1)


@CHANGEABLE
async def test_two_clients_that_upsert_one_key_at_once_leave_one_document_and_both_revisions(sis: Sis, name: str):
    resource = RESOURCES[name]
    await load(sis, *(one.to for one in resource.references))
    first, then = samples.document(resource.shape), samples.another(resource)
    one, (line,) = await asyncio.gather(sis.post(name, first), sis.bulk(name, [then]))
    assert sorted((one.status_code, line["status"])) == [200, 201]
    assert one.json()["id"] == line["id"]
    assert await standing(sis, name) == 1
    assert await revisions(sis, line["id"]) == (1, 1)


async def revisions(sis: Sis, identity: str) -> tuple[int, int]:
    """How many documents stand under this id, and how many earlier revisions of it are kept."""
    query = """
        SELECT (SELECT count(*) FROM sis_document WHERE id = CAST(:id AS uuid)),
            (SELECT count(*) FROM sis_revision WHERE id = CAST(:id AS uuid))
        """
    ((documents, earlier),) = await sis.rows(query, id=identity)
    return documents, earlier


async def test_ten_thousand_bad_rows_in_a_row_stop_nothing_and_each_is_answered_shortly(sis: Sis):
    await sis.roster()
    bad = [absence(on=f"2026-{number % 12 + 1:02}-32", name=samples.CANARY) for number in range(499)]
    for day in range(1, 21):
        *lines, good = await sis.bulk("studentSchoolAttendanceEvents", [*bad, absence(on=f"2026-09-{day:02}")])
        assert good["status"] == 201
        assert [line["line"] for line in lines] == list(range(1, 500))
        assert {(line["status"], line["problem"]["errors"][0]["field"]) for line in lines} == {(400, "$.eventDate")}
        assert max(len(json.dumps(line)) for line in lines) < 400
        assert samples.CANARY not in json.dumps(lines)
    assert await standing(sis, "studentSchoolAttendanceEvents") == 20


async def test_contacts_go_by_their_older_names_too(sis: Sis):
    await sis.put_in("students", student())
    (parent,) = await sis.put_in("parents", {"parentUniqueId": 7, "firstName": "Grace"})
    reference = {"studentReference": {"studentUniqueId": "s1"}}
    (link,) = await sis.put_in("studentParentAssociations", {**reference, "parentReference": {"parentUniqueId": "7"}})
    assert await sis.put_in("contacts", {"contactUniqueId": "7", "firstName": "Grace"}) == [parent]

    async def read(path: str) -> Any:
        found = (await sis.call("GET", f"{EDFI}/{path}")).json()
        one = found[0] if isinstance(found, list) else found
        return {name: value for name, value in one.items() if not name.startswith("_")}

    assert (
        await read("parents?parentUniqueId=7")
        == await read(f"parents/{parent}")
        == {"id": parent, "parentUniqueId": "7"}
    )
    assert await read("contacts?contactUniqueId=7") == {"id": parent, "contactUniqueId": "7"}
    older = {"id": link, **reference, "parentReference": {"parentUniqueId": "7"}}
    assert await read("studentParentAssociations?parentUniqueId=7") == older
    assert await read(f"studentParentAssociations/{link}") == older
    newer = {"id": link, **reference, "contactReference": {"contactUniqueId": "7"}}
    assert await read("studentContactAssociations?studentUniqueId=s1&contactUniqueId=7") == newer
    (gone,) = await sis.bulk(
        "studentParentAssociations", [{"studentUniqueId": "s1", "parentUniqueId": "7"}], deletes=True
    )
    assert gone["status"] == 204
    assert (await sis.delete("parents", parent)).status_code == 204
    assert (await sis.call("GET", f"{EDFI}/contacts/{parent}")).status_code == 404


async def test_an_older_name_holds_only_for_what_comes_in_under_it(sis: Sis):
    refused = await sis.bulk("contacts", [{"parentUniqueId": "7"}])
    assert refused[0]["problem"]["errors"][0]["field"] == "$.contactUniqueId"
    refused = await sis.bulk("parents", [{"contactUniqueId": "7"}])
    assert refused[0]["problem"]["errors"][0]["field"] == "$.parentUniqueId"


@pytest.mark.parametrize(
    "name", ["assessments", "bellSchedules", "accommodationDescriptors", "localEducationAgencies", "surveys"]
)
async def test_a_core_resource_that_trellis_has_no_use_for_is_forbidden(sis: Sis, name: str):
    assert (await sis.post(name, {})).status_code == 403
    for path in (f"{EDFI}/{name}", f"{EDFI}/{name}/00000000-0000-4000-8000-000000000000"):
        assert (await sis.call("GET", path)).status_code == 403
    assert (await sis.call("POST", f"/sis/v1/bulk/{name}", content=b"{}")).status_code == 403


async def test_a_school_year_can_be_looked_up_before_it_is_referred_to_and_is_nobodys_to_change(sis: Sis):
    async def read(path: str) -> httpx.Response:
        return await sis.call("GET", f"{EDFI}/schoolYearTypes{path}")

    await sis.put_in("schools", school())
    sis.running.clock.set(datetime(2026, 9, 7, 12, tzinfo=UTC))
    await sis.calendar("school_id,date,instructional,school_year\n1,2026-09-01,true,2027\n1,2027-05-01,true,2027\n")
    (found,) = (await read("?schoolYear=2027")).json()
    assert (found["schoolYear"], found["currentSchoolYear"]) == (2027, True)
    assert found["schoolYearDescription"] == "2026-2027"
    assert (await read(f"/{found['id']}")).json() == found
    counted = await read("?limit=2&offset=127&totalCount=true")
    assert [one["schoolYear"] for one in counted.json()] == [2027, 2028]
    assert counted.headers["Total-Count"] == "300"
    assert (await read("?schoolYear=1066")).json() == []
    assert (await read("/00000000-0000-4000-8000-000000000000")).status_code == 404
    assert (await sis.post("schoolYearTypes", {"schoolYear": 2027})).status_code == 403


@pytest.mark.parametrize("name", ["unicorns", "student", "core.txt"])
async def test_a_name_that_no_resource_has_is_unknown(sis: Sis, name: str):
    assert (await sis.post(name, {})).status_code == 404
    assert (await sis.call("GET", f"{EDFI}/{name}")).status_code == 404


def test_every_resource_of_the_table_is_one_of_the_core():
    assert set(RESOURCES) < CORE
    assert {resource_named(name).name for name in CORE & set(NAMED)} == set(RESOURCES)
    for name in CORE - set(NAMED):
        with pytest.raises(ResourceNotUsed):
            resource_named(name)


def test_descriptors_are_taken_exactly_where_a_member_that_may_be_sent_holds_one():
    held = {path.rpartition(".")[2] for one in RESOURCES.values() for path, _ in leaves(one.shape)}
    held |= {path.rpartition(".")[2] for paths in DROPPED.values() for path in paths}
    assert all(kind_of(member) for member in held if member.endswith("Descriptor"))
    assert DROPPED.keys() <= RESOURCES.keys()
    kinds = {kind_of(member) for member in held if member.endswith("Descriptor")}
    assert kinds == set(DESCRIPTORS)
    assert kind_of("entryGradeLevelDescriptor") == "gradeLevelDescriptors"
    assert kind_of("gradingPeriodName") is None


async def test_grading_periods_that_have_a_number_instead_of_a_name_are_told_apart_by_it(sis: Sis):
    """As Data Standard 4 has them, in the period itself, in marks and in queries."""
    await sis.roster()
    key = {"gradingPeriodDescriptor": "uri://x#First", "schoolId": 1, "schoolYear": 2027}
    period = {
        "gradingPeriodDescriptor": "uri://x#First",
        "schoolReference": {"schoolId": 1},
        "schoolYearTypeReference": {"schoolYear": 2027},
        "beginDate": "2026-08-24",
        "endDate": "2026-10-23",
        "totalInstructionalDays": 43,
    }
    first, second = await sis.put_in("gradingPeriods", *({**period, "periodSequence": number} for number in (1, 2)))
    assert first != second
    again = await sis.post("gradingPeriods", {**period, "periodSequence": 1, "endDate": "2026-10-30"})
    assert (again.status_code, again.json()["id"]) == (200, first)
    (named,) = await sis.put_in("gradingPeriods", {**period, "periodSequence": 1, "gradingPeriodName": "Fall"})
    assert named not in (first, second)

    async def found(**query: Any) -> list[tuple[str, str]]:
        answer = await sis.call("GET", f"{EDFI}/gradingPeriods", params=query)
        assert answer.status_code == 200, answer.text
        return [(one["id"], one["gradingPeriodName"]) for one in answer.json()]

    assert await found(**key, periodSequence=2) == [(second, "2")]
    assert await found(**key, gradingPeriodName="Fall") == [(named, "Fall")]
    refused = await sis.post("gradingPeriods", period)
    assert (refused.status_code, list(refused.json()["validationErrors"])) == (400, ["$.gradingPeriodName"])

    mark = samples.document(RESOURCES["grades"].told_shape)
    reference = mark["gradingPeriodReference"]
    del reference["gradingPeriodName"]
    ones = [{**mark, "gradingPeriodReference": {**reference, "periodSequence": number}} for number in (1, 2, 1)]
    ids = await sis.put_in("grades", *ones)
    assert len(set(ids)) == 2
    (gone,) = await sis.bulk("gradingPeriods", [{**key, "periodSequence": 2}], deletes=True)
    assert (gone["status"], gone["id"]) == (204, second)


async def test_descriptors_are_kept_and_listed(sis: Sis):
    told = {"namespace": "uri://gb.example/GradeLevelDescriptor", "codeValue": "5b", "shortDescription": "Fifth, late"}
    await sis.put_in("gradeLevelDescriptors", {**told, "description": "dropped", "effectiveBeginDate": "2020-01-01"})
    (found,) = (await sis.call("GET", f"{EDFI}/gradeLevelDescriptors", params={"codeValue": "5b"})).json()
    assert {name: value for name, value in found.items() if name in told or name == "description"} == told


async def test_a_lesson_missed_is_kept_and_no_day_is_missed_by_it(sis: Sis):
    await load(sis, "studentSectionAttendanceEvents")
    assert await standing(sis, "studentSectionAttendanceEvents") == 1
    assert await sis.running.said(AttendanceRecorded) == []


def test_every_plain_member_tells_what_it_takes():
    for resource in RESOURCES.values():
        for path, member in leaves(resource.shape):
            schema = samples.schema_of(member)
            assert schema["type"] in ("string", "integer", "number", "boolean"), path
            if schema["type"] == "string":
                assert schema.get("format") in ("date", "date-time") or schema["maxLength"] > 0, path


async def test_code_values_that_nobody_here_understands_are_listed_for_mapping(sis: Sis):
    assert (await sis.call("GET", "/sis/v1/descriptors/unmapped", role="district")).json() == {
        "items": [],
        "next": None,
    }
    await load(sis, "studentSchoolAssociations")
    told = {"namespace": "x", "codeValue": "ANY", "shortDescription": "Any grade at all"}
    await sis.put_in("gradeLevelDescriptors", told)
    languages = [{"languageDescriptor": f"x#{word}", "uses": []} for word in ("spa", "Elvish", "Vietnamese")]
    home = {"addressTypeDescriptor": "x#home"}
    await sis.put_in("contacts", {"contactUniqueId": "c", "languages": languages, "addresses": [home]})
    await sis.put_in("contacts", *({"contactUniqueId": f"c{number}"} for number in range(3)))
    listed = await sis.call("GET", "/sis/v1/descriptors/unmapped", role="district")
    assert listed.json()["items"] == [
        {"descriptor": "gradeLevelDescriptors", "code_value": "Any", "short_description": "Any grade at all"},
        {"descriptor": "languageDescriptors", "code_value": "Elvish", "short_description": None},
    ]
    assert (await sis.call("GET", "/sis/v1/descriptors/unmapped", role="principal")).status_code == 403


async def test_an_event_may_use_an_older_name_too(sis: Sis):
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "urn:sis", "ce-type": "sis.parents.upserted.v1"}
    heard = await sis.call("POST", "/sis/v1/events", json={"parentUniqueId": "7"}, headers=headers)
    assert heard.json()["outcome"] == "created"
    assert await standing(sis, "contacts") == 1


async def test_a_refused_row_under_an_older_name_is_mended_by_a_good_one_under_either(sis: Sis):
    still_bad = "SELECT 1 FROM sis_rejected WHERE closed_at IS NULL"
    await sis.bulk("parents", [{"parentUniqueId": number, "firstName": 5} for number in (7, 8)])
    assert len(await sis.rows(still_bad)) == 2
    await sis.put_in("parents", {"parentUniqueId": 7, "firstName": "Grace"})
    await sis.put_in("contacts", {"contactUniqueId": 8, "firstName": "Grace"})
    assert await sis.rows(still_bad) == []
