"""The documents that clients read first. They depend on the table and on the public address alone, and are made once."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from pydantic_core import to_json

from sis.metadata.names import words
from sis.metadata.paths import SCHEMAS, parameters, paths, responses
from sis.metadata.schemas import Schema, definitions
from sis.resources import DESCRIPTORS, NAMED, WAVES, Resource
from sis.resources.core import kind_of
from sis.resources.kinds import leaves

API_VERSION = "7.3"
"""The Ed-Fi ODS/API whose behaviour clients may count on: from this one on they page by token."""
DATA_STANDARD = "5.2.0"

SECTIONS = {"resources": "schools, people and their days", "descriptors": "what codes mean"}
"""The OpenAPI documents that there are, and what each is about."""
_DESCRIPTION = (
    "Trellis takes Ed-Fi documents of Data Standard 5.2 about {about}. Listed is every member that is kept, and lists "
    "of the standard that are not, which say so; others may be sent too, and are dropped unstored. Other members that are "
    "written only are kept sealed and answered nowhere here. A school year of four digits may stand before `ed-fi` in each path; it changes nothing."
)


def discovery(base: str) -> dict[str, Any]:
    """Where everything is; ``base`` is the base address of the API."""
    metadata = f"{base}/metadata/"
    return {
        "version": API_VERSION,
        "informationalVersion": API_VERSION,
        "suite": "3",
        "build": f"trellis {version('trellis-sis')}",
        "apiMode": "Shared Instance",
        "dataModels": [{"name": "Ed-Fi", "version": DATA_STANDARD, "informationalVersion": "Ed-Fi Data Standard 5.2"}],
        "urls": {
            "dependencies": f"{metadata}data/v3/dependencies",
            "openApiMetadata": metadata,
            "oauth": f"{base}/oauth/token",
            "dataManagementApi": f"{base}/data/v3/",
            "changeQueries": f"{base}/changeQueries/v1/",
        },
    }


def sections(base: str) -> list[dict[str, str]]:
    """The OpenAPI documents that there are."""
    return [
        {
            "name": name.title(),
            "endpointUri": f"{base}/metadata/data/v3/{name}/swagger.json",
            "prefix": "",
        }
        for name in SECTIONS
    ]


@cache
def dependencies() -> list[dict[str, Any]]:
    """In which order to push: what is of one order refers only to what comes before it."""
    waves = {name: order for order, wave in enumerate(WAVES, start=2) for name in wave}
    orders = {name: 1 if name in DESCRIPTORS else waves[resource.name] for name, resource in NAMED.items()}
    return [
        {"resource": f"/ed-fi/{name}", "order": order, "operations": ["Create", "Update"]}
        for name, order in sorted(orders.items(), key=lambda item: (item[1], item[0]))
    ]


@cache
def dependency_graph() -> bytes:
    """The same as GraphML: from each resource to those that refer to it or come after it, as Ed-Fi's own API Publisher asks for it."""
    root = Element("graphml", {"xmlns": "http://graphml.graphdrawing.org/xmlns"})
    graph = SubElement(root, "graph", {"id": "EdFi Dependencies", "edgedefault": "directed"})
    for name in NAMED:
        SubElement(graph, "node", {"id": f"/ed-fi/{name}"})
    for name, one in NAMED.items():
        before = {reference.to for reference in one.references} | set(one.after) | _descriptors(one)
        for other in (other for other, its in NAMED.items() if its.name in before):
            SubElement(graph, "edge", {"source": f"/ed-fi/{other}", "target": f"/ed-fi/{name}"})
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True))


def _descriptors(resource: Resource) -> set[str]:
    kinds = (kind_of(path.rpartition(".")[2]) for path, _ in leaves(resource.shape))
    return {kind for kind in kinds if kind}


@cache
def openapi(section: str, base: str) -> bytes:
    """The OpenAPI 3.0 document of ``resources`` or ``descriptors``, as JSON."""
    named = {name: one for name, one in sorted(NAMED.items()) if (name in DESCRIPTORS) is (section == "descriptors")}
    return to_json(
        {
            "openapi": "3.0.1",
            "info": {
                "title": f"Trellis: Ed-Fi {section}",
                "version": API_VERSION,
                "description": _DESCRIPTION.format(about=SECTIONS[section]),
            },
            "servers": [{"url": f"{base}/data/v3"}],
            "security": [{"oauth2_client_credentials": []}],
            "tags": [{"name": name, "description": f"{words(name).capitalize()}."} for name in named],
            "paths": {at: path for name, one in named.items() for at, path in paths(name, one).items()},
            "components": _components(named, base),
        }
    )


def _components(named: Mapping[str, Resource], base: str) -> dict[str, Any]:
    flow = {"clientCredentials": {"tokenUrl": f"{base}/oauth/token", "scopes": {}}}
    return {
        "schemas": _schemas(named),
        "parameters": parameters(),
        "responses": responses(),
        "securitySchemes": {"oauth2_client_credentials": {"type": "oauth2", "flows": flow}},
    }


def _schemas(named: Mapping[str, Resource]) -> dict[str, Schema]:
    found = {key: schema for name, one in named.items() for key, schema in definitions(name, one).items()}
    return SCHEMAS | dict(sorted(found.items()))
