"""What clients are told before they push is what the door then does."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4
from xml.etree.ElementTree import fromstring

import httpx
import pytest
from jsonschema import Draft4Validator
from pydantic_core import from_json

from sis.metadata.documents import SECTIONS, dependencies, openapi
from sis.metadata.names import definition, reference, singular
from sis.metadata.schemas import NOT_KEPT, definitions
from sis.resources import DESCRIPTORS, NAMED
from sis.rules.members import InvalidMember
from tests.sis.conftest import EDFI, Sis
from tests.sis.told import Json, body, changed, fits, members, nodes, resolved, value

BASE = "http://testserver/sis"
METADATA = "/sis/metadata/data/v3"
# A rule over two members, which no schema of one member can say: without an incident it names a school.
_ALSO = {"disciplineActions": ("responsibilitySchoolReference",)}


async def asked(sis: Sis, path: str) -> httpx.Response:
    """The answer to somebody without a token."""
    return await sis.running.http.get(path)


async def document(sis: Sis, section: str) -> Json:
    found: Json = (await asked(sis, f"{METADATA}/{section}/swagger.json")).json()
    return found


@pytest.fixture(scope="module")
def schemas() -> Json:
    """The schemas of both documents by name."""
    found: Json = {}
    for section in SECTIONS:
        found |= from_json(openapi(section, BASE))["components"]["schemas"]
    return found


def smallest(schemas: Json, name: str) -> Json:
    return body(schemas, schemas[definition(name)], also=_ALSO.get(name, ()))


def in_order() -> list[str]:
    return [each["resource"].removeprefix("/ed-fi/") for each in dependencies()]


@pytest.mark.parametrize("public", ["http://testserver", "https://data.district.example/trellis"])
@pytest.mark.parametrize("path", ["/sis", "/sis/"])
async def test_the_base_address_says_where_everything_is_also_behind_a_prefix(
    sis: Sis, monkeypatch: pytest.MonkeyPatch, public: str, path: str
) -> None:
    settings = sis.running.runtime.settings.model_copy(update={"public_url": public})
    monkeypatch.setattr(sis.running.runtime, "settings", settings)
    told = (await asked(sis, path)).json()
    assert (told["version"], told["suite"], told["apiMode"]) == ("7.3", "3", "Shared Instance")
    assert [(model["name"], model["version"]) for model in told["dataModels"]] == [("Ed-Fi", "5.2.0")]
    assert told["urls"] == {
        "dependencies": f"{public}/sis/metadata/data/v3/dependencies",
        "openApiMetadata": f"{public}/sis/metadata/",
        "oauth": f"{public}/sis/oauth/token",
        "dataManagementApi": f"{public}/sis/data/v3/",
        "changeQueries": f"{public}/sis/changeQueries/v1/",
    }
    sections = (await asked(sis, "/sis/metadata/")).json()
    assert [(one["name"], one["prefix"]) for one in sections] == [("Resources", ""), ("Descriptors", "")]
    for one in sections:
        assert one["endpointUri"].startswith(f"{public}/sis/")
        openapi_document = (await asked(sis, one["endpointUri"].removeprefix(public))).json()
        assert openapi_document["servers"] == [{"url": f"{public}/sis/data/v3"}]
        flows = openapi_document["components"]["securitySchemes"]["oauth2_client_credentials"]["flows"]
        assert flows["clientCredentials"]["tokenUrl"] == f"{public}/sis/oauth/token"


async def test_every_advertised_address_answers(sis: Sis) -> None:
    urls = (await asked(sis, "/sis/")).json()["urls"]
    for name in ("dependencies", "openApiMetadata"):
        assert (await asked(sis, urls[name])).status_code == 200
    assert (await sis.running.http.post(urls["oauth"])).status_code == 400
    assert (await sis.call("GET", f"{urls['dataManagementApi']}ed-fi/students")).status_code == 200
    assert (await sis.call("GET", f"{urls['changeQueries']}availableChangeVersions")).status_code == 200


async def test_a_school_year_in_the_path_changes_nothing_and_an_unknown_section_is_not_found(sis: Sis) -> None:
    for path in ("dependencies", "resources/swagger.json", "descriptors/swagger.json"):
        plain, dated = await asked(sis, f"{METADATA}/{path}"), await asked(sis, f"{METADATA}/2027/{path}")
        assert plain.status_code == dated.status_code == 200
        assert plain.content == dated.content
    assert (await asked(sis, "/sis/metadata")).json() == (await asked(sis, "/sis/metadata/")).json()
    assert (await asked(sis, f"{METADATA}/composites/swagger.json")).status_code == 404


async def test_an_address_with_a_slash_at_its_end_is_that_without_it_and_nobody_is_sent_elsewhere(sis: Sis) -> None:
    posted = await sis.call("POST", f"{EDFI}/schools/", json={"schoolId": 1})
    assert posted.status_code == 201, posted.text
    assert posted.headers["Location"].endswith(f"{EDFI}/schools/{posted.json()['id']}")
    assert len((await sis.call("GET", f"{EDFI}/schools/")).json()) == 1
    one = f"{EDFI}/schools/{posted.json()['id']}/"
    assert (await sis.call("GET", one)).status_code == 200
    assert (await sis.call("PUT", one, json={"schoolId": 1, "nameOfInstitution": "A"})).status_code == 204
    assert (await sis.call("GET", f"{EDFI}/schools/deletes/")).status_code == 200
    assert (await sis.call("DELETE", one)).status_code == 204
    for path in (f"{METADATA}/dependencies/", f"{METADATA}/resources/swagger.json/"):
        assert (await asked(sis, path)).status_code == 200, path
    for path in (f"{EDFI}/schools//", f"{EDFI}/schools//{posted.json()['id']}"):
        assert (await sis.call("GET", path)).status_code == 404, path
    assert (await sis.running.http.post("/sis/oauth/token/")).status_code == 400


def test_what_is_referred_to_comes_first_and_descriptors_before_all() -> None:
    orders = {each["resource"].removeprefix("/ed-fi/"): each["order"] for each in dependencies()}
    assert set(orders) == set(NAMED)
    assert {name for name, order in orders.items() if order == 1} == set(DESCRIPTORS)
    for name, resource in NAMED.items():
        for one in resource.references:
            assert orders[one.to] < orders[name]


async def test_the_order_is_told_as_a_graph_to_who_asks_for_graphml(sis: Sis) -> None:
    path, accepts = f"{METADATA}/dependencies", {"Accept": "application/graphml"}
    told = await sis.running.http.get(path, headers=accepts)
    assert (told.status_code, told.headers["Content-Type"].partition(";")[0]) == (200, "application/graphml")
    (graph,) = fromstring(told.content)  # noqa: S314 (what we just said ourselves)

    orders = {each["resource"]: each["order"] for each in (await asked(sis, path)).json()}
    edges = [(each.get("source"), each.get("target")) for each in graph if each.tag.endswith("}edge")]
    assert {each.get("id") for each in graph if each.tag.endswith("}node")} == set(orders)
    assert all(orders[source] < orders[target] for source, target in edges)
    assert ("/ed-fi/students", "/ed-fi/studentSchoolAssociations") in edges
    assert ("/ed-fi/gradeLevelDescriptors", "/ed-fi/studentSchoolAssociations") in edges


@pytest.mark.parametrize("section", ["resources", "descriptors"])
async def test_a_document_is_sound_openapi(sis: Sis, section: str) -> None:
    found = await document(sis, section)
    assert found["openapi"].startswith("3.0.")
    listed = {path.split("/")[2] for path in found["paths"]}
    assert listed == {name for name in NAMED if (name in DESCRIPTORS) == (section == "descriptors")}
    assert {tag["name"]: bool(tag["description"]) for tag in found["tags"]} == dict.fromkeys(listed, True)
    for pointer in (node["$ref"] for node in nodes(found) if "$ref" in node):
        target: Any = found
        for step in pointer.removeprefix("#/").split("/"):
            target = target[step]
    operations = [node["operationId"] for node in nodes(found["paths"]) if "operationId" in node]
    assert len(operations) == len(set(operations)) == 8 * len(listed)
    for name, schema in found["components"]["schemas"].items():
        Draft4Validator.check_schema(schema)
        assert all(each.get("type") != "array" or "$ref" in each["items"] for each in _own(found, name))
        if name.endswith("Reference"):
            assert schema["required"]
            assert all(each["x-Ed-Fi-isIdentity"] for each in schema["properties"].values())
    for name in listed:
        assert found["components"]["schemas"][definition(name)]["required"]


def _own(found: Json, name: str) -> Iterator[Json]:
    """The members of what the SIS sends: not of problems and page tokens."""
    if name.startswith("edFi_"):
        yield from found["components"]["schemas"][name]["properties"].values()


def test_a_definition_says_what_is_required_what_identifies_and_how_long_it_may_be(schemas: Json) -> None:
    own = {"id", "_etag", "_lastModifiedDate", "alternativeGraduationPlans", "educationPlans"}
    told = schemas["edFi_studentSchoolAssociation"]
    assert told["required"] == ["studentReference", "schoolReference", "entryDate"]
    assert {name: each for name, each in told["properties"].items() if name not in own} == {
        "studentReference": {"$ref": "#/components/schemas/edFi_studentReference"},
        "schoolReference": {"$ref": "#/components/schemas/edFi_schoolReference"},
        "entryDate": {"type": "string", "format": "date", "x-Ed-Fi-isIdentity": True},
        "exitWithdrawDate": {"type": "string", "format": "date", "nullable": True},
        "entryGradeLevelDescriptor": {"type": "string", "minLength": 1, "maxLength": 306, "nullable": True},
        "primarySchool": {"type": "boolean", "nullable": True},
    }
    assert schemas["edFi_studentReference"] == {
        "type": "object",
        "required": ["studentUniqueId"],
        "properties": {
            "studentUniqueId": {"type": "string", "minLength": 1, "maxLength": 60, "x-Ed-Fi-isIdentity": True}
        },
    }
    languages = schemas["edFi_contact"]["properties"]["languages"]
    item = {"$ref": "#/components/schemas/edFi_contactLanguage"}
    assert languages == {"type": "array", "items": item, "nullable": True, "writeOnly": True}


def test_clients_that_look_up_every_list_they_send_find_it_also_where_nothing_of_it_is_kept(schemas: Json) -> None:
    sent = {
        "disciplineIncidents": ["behaviors"],
        "schools": ["gradeLevels", "addresses"],
        "staffs": ["telephones"],
        "calendars": ["gradeLevels"],
    }
    for name, lists in sent.items():
        for each in lists:
            told = schemas[definition(name)]["properties"][each]
            assert told["description"] == "Taken, and nothing of it is kept."
            keys = resolved(schemas, told["items"])["properties"]
            assert keys
            assert all(key["description"] == NOT_KEPT and key["x-Ed-Fi-isIdentity"] for key in keys.values())
            assert each not in NAMED[name].shape


async def test_descriptors_of_members_that_are_dropped_may_be_pushed_first(sis: Sis) -> None:
    for name in ("electronicMailTypeDescriptors", "termDescriptors", "weaponDescriptors"):
        said = {"namespace": "uri://d.example/T", "codeValue": "Any", "shortDescription": "Any"}
        assert (await sis.post(name, said)).status_code == 201


def test_one_name_means_one_shape() -> None:
    found: Json = {}
    for name, resource in NAMED.items():
        from_this = definitions(name, resource)
        assert all(found.setdefault(key, schema) == schema for key, schema in from_this.items())


async def test_each_document_of_what_is_required_goes_through_every_verb_as_documented(sis: Sis, schemas: Json) -> None:
    described = (await document(sis, "resources"))["paths"] | (await document(sis, "descriptors"))["paths"]
    made = {}
    for name in in_order():
        sent, at = smallest(schemas, name), f"{EDFI}/{name}"
        plain, by_id = described[f"/ed-fi/{name}"], described[f"/ed-fi/{name}/{{id}}"]
        new = await sis.post(name, sent)
        # The old names of contacts lead to the contacts that stand already.
        assert new.status_code == (200 if name in ("parents", "studentParentAssociations") else 201), (name, new.text)
        assert str(new.status_code) in plain["post"]["responses"]
        made[name] = new.json()["id"]
        read = await sis.call("GET", f"{at}/{made[name]}")
        assert (read.status_code, "_waiting" in read.json()) == (200, False), (name, read.text)
        put = await sis.call("PUT", f"{at}/{made[name]}", json=sent, headers={"If-Match": read.headers["ETag"]})
        assert put.status_code == 204, (name, put.text)
        for method, status in {"GET": 404, "PUT": 404, "DELETE": 404}.items():
            missing = await sis.call(method, f"{at}/{uuid4()}", json=sent)
            assert missing.status_code == status
            assert str(status) in by_id[method.lower()]["responses"]
        for what in ("deletes", "keyChanges", "partitions"):
            listed = await sis.call("GET", f"{at}/{what}")
            assert listed.status_code == 200
            assert f"/ed-fi/{name}/{what}" in described
    for name in [one for one in reversed(in_order()) if one not in ("parents", "studentParentAssociations")]:
        gone = await sis.delete(name, made[name])
        assert gone.status_code == 204, (name, gone.text)
        (row,) = (await sis.call("GET", f"{EDFI}/{name}/deletes")).json()
        key = schemas[f"trackedChanges_{definition(name)}Key"]["properties"]
        assert row["id"] == made[name]
        assert row["keyValues"].keys() <= key.keys()


async def test_every_member_listed_may_be_sent_and_is_kept_or_sealed(sis: Sis, schemas: Json) -> None:
    for name in in_order():
        schema = schemas[definition(name)]
        taken = await sis.post(name, body(schemas, schema, whole=True))
        assert taken.status_code in (200, 201), (name, taken.text)
        shown = (await sis.call("GET", f"{EDFI}/{name}/{taken.json()['id']}")).json()
        assert shown.keys() == {key for key, each in schema["properties"].items() if not each.get("writeOnly")}, name


async def test_a_document_is_found_by_the_parameters_documented_and_they_are_its_natural_key(
    sis: Sis, schemas: Json
) -> None:
    described = (await document(sis, "resources"))["paths"] | (await document(sis, "descriptors"))["paths"]
    for name in in_order():
        sent = body(schemas, schemas[definition(name)], whole=True)
        (identity,) = await sis.put_in(name, sent)
        get = described[f"/ed-fi/{name}"]["get"]
        keys = {one["name"]: one for one in get["parameters"] if one.get("x-Ed-Fi-isIdentity")}
        assert keys.keys() == NAMED[name].leaves.keys()
        asked_for = {key: value(schemas, key, one["schema"]) for key, one in keys.items()}
        found = await sis.call("GET", f"{EDFI}/{name}", params={**asked_for, "totalCount": "true", "id": identity})
        assert [one["id"] for one in found.json()] == [identity], (name, found.text)
        assert found.headers["Total-Count"] == "1"


async def test_clients_that_know_no_identity_find_a_document_by_all_that_is_required_of_it(
    sis: Sis, schemas: Json
) -> None:
    for name in in_order():
        (identity,) = await sis.put_in(name, smallest(schemas, name))
        flat = dict(required_leaves(schemas, schemas[definition(name)]))
        found = await sis.call("GET", f"{EDFI}/{name}", params=flat)
        assert [one["id"] for one in found.json()] == [identity], (name, found.text)
        other = await sis.call("GET", f"{EDFI}/{name}", params=dict.fromkeys(flat, "1999-12-31"))
        assert other.json() == []


def required_leaves(schemas: Json, schema: Json) -> Iterator[tuple[str, Any]]:
    """What is required by leaf name, in references that are required too."""
    for name in schema["required"]:
        each = schema["properties"][name]
        if "$ref" in each:
            yield from required_leaves(schemas, resolved(schemas, each))
        elif each["type"] != "array":
            yield name, value(schemas, name, each)


def test_what_clients_take_for_the_natural_key_can_be_asked_for(schemas: Json) -> None:
    """They gather the members marked as identity, and those of every reference that is required."""
    for name, resource in NAMED.items():
        schema, gathered = schemas[definition(name)], set()
        for member, each in schema["properties"].items():
            if "$ref" in each and member in schema["required"]:
                gathered |= resolved(schemas, each)["properties"].keys()
            elif each.get("x-Ed-Fi-isIdentity"):
                gathered.add(member)
        assert gathered <= resource.leaves.keys(), name


def test_what_is_required_is_refused_without_it_and_what_may_be_null_is_not(schemas: Json) -> None:
    for name, resource in NAMED.items():
        schema = schemas[definition(name)]
        whole = body(schemas, schema, whole=True)
        for path, each in members(schemas, schema):
            if each.get("readOnly"):
                continue
            without = changed(whole, path, None)
            if each.get("nullable") or not each["required"]:
                resource.read(without)
            else:
                with pytest.raises(InvalidMember, match="is required"):
                    resource.read(without)


def test_what_is_too_long_or_of_another_type_is_refused(schemas: Json) -> None:
    for name, resource in NAMED.items():
        schema = schemas[definition(name)]
        whole = body(schemas, schema, whole=True)
        for path, each in members(schemas, schema):
            if each.get("readOnly") or path == ("_lastModifiedDate",) or each.get("description") == NOT_KEPT:
                continue
            longest = "x" * each.get("maxLength", 1)
            for wrong in ({"x": 1} if "$ref" not in each else [], "/", f"{longest}x", True):
                if fits(each, wrong):
                    continue
                with pytest.raises(InvalidMember):
                    resource.read(changed(whole, path, wrong))


def test_a_reference_is_named_after_what_it_refers_to() -> None:
    assert reference("responsibilitySchoolReference") == "edFi_schoolReference"
    assert reference("educationOrganizationReference") == "edFi_educationOrganizationReference"
    assert reference("studentSectionAssociationReference") == "edFi_studentSectionAssociationReference"
    assert [singular(name) for name in ("disabilities", "addresses", "staffs")] == ["disability", "address", "staff"]
