"""The paths of each resource: what may be asked of it, and what is answered."""

from collections.abc import Iterable
from typing import Any

from sis.metadata.names import capital, definition, singular, words
from sis.metadata.schemas import IDENTITY, Schema, at_path, leaves, ref
from sis.queries import Paging, required_beside_key
from sis.resources import Resource

Path = dict[str, Any]

_JSON = "application/json"
_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
_NUMBER = {
    "name": "number",
    "in": "query",
    "required": False,
    "description": "How many parts to split the list into.",
    "schema": {"type": "integer", "format": "int32"},
}
_IN_OPENAPI = ("type", "minimum", "maximum", "maxLength", "default")
_ERRORS = {
    "400": ("BadRequest", "The request breaks a rule; validationErrors names it by JSON path, never the value."),
    "401": ("Unauthorized", "There is no token, or it no longer holds."),
    "403": ("Forbidden", "The client may not do this."),
    "404": ("NotFound", "There is no such document."),
    "409": ("Conflict", "It refers to what is not known here, or others still refer to it."),
    "412": ("PreconditionFailed", "The document no longer has the etag that If-Match names."),
    "413": ("TooLarge", "The body is larger than the door takes."),
    "503": ("Unavailable", "Nothing was read: try again after Retry-After."),
}
_PROBLEM: Schema = {
    "type": "object",
    "required": ["detail", "type", "title", "status", "correlationId"],
    "properties": {
        "detail": {"type": "string"},
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer", "format": "int32"},
        "correlationId": {"type": "string"},
        "validationErrors": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
        "errors": {"type": "array", "items": {"type": "string"}},
    },
}
_ETAG = {"ETag": {"schema": {"type": "string"}}}
_IDENTIFIED = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}
_PARTITIONS: Schema = {
    "type": "object",
    "required": ["pageTokens"],
    "properties": {"pageTokens": {"type": "array", "items": {"type": "string"}}},
}

SCHEMAS: dict[str, Schema] = {"problemDetails": _PROBLEM, "partitions": _PARTITIONS}
"""What every resource answers alike."""


def parameters() -> dict[str, Any]:
    """What may be asked of every resource."""
    paging = {name: _parameter(name, schema) for name, schema in Paging.model_json_schema()["properties"].items()}
    return paging | {name: _header(name) for name in ("If-Match", "If-None-Match")}


def responses() -> dict[str, Any]:
    """Answers that are the same for every resource."""
    location = {"Location": {"description": "The address of the document.", "schema": {"type": "string"}}, **_ETAG}
    taken = {"headers": location, "content": {_JSON: {"schema": _IDENTIFIED}}}
    problem = {"content": {"application/problem+json": {"schema": ref("problemDetails")}}}
    return {
        "Created": {"description": "It is new, and kept.", **taken},
        "Known": {"description": "Its natural key is known: updated, the same as before, or older.", **taken},
        "Updated": {"description": "The document says this now.", "headers": _ETAG},
        "Deleted": {"description": "The document is gone."},
        "NotModified": {"description": "The document still has the etag that is known.", "headers": _ETAG},
        **{name: {"description": text, **problem} for name, text in _ERRORS.values()},
    }


def paths(name: str, resource: Resource) -> dict[str, Path]:
    """The paths of one resource."""
    at, own = f"/ed-fi/{name}", definition(name)
    return {
        at: {"get": _list(name, resource), "post": _post(name, own)},
        f"{at}/{{id}}": {
            "get": _get(name, own),
            "put": _put(name, own),
            "delete": _delete(name),
            "parameters": [_ID],
        },
        f"{at}/deletes": {"get": _tracked(name, "deletes", "What is gone, by id and natural key.", f"{own}Delete")},
        f"{at}/keyChanges": {
            "get": _tracked(name, "keyChanges", "Nothing: natural keys never change.", f"{own}KeyChange")
        },
        f"{at}/partitions": {"get": _partitions(name, resource)},
    }


def _parameter(name: str, told: Schema) -> Schema:
    said = told | next((each for each in told.get("anyOf", ()) if each["type"] != "null"), {})
    schema = {key: said[key] for key in _IN_OPENAPI if said.get(key) is not None}
    if schema["type"] == "integer":
        schema["format"] = "int64" if "exclusiveMaximum" in said else "int32"
    described = {"description": told["description"]} if "description" in told else {}
    return {"name": name, "in": "query", "required": False, **described, "schema": schema}


def _header(name: str) -> Schema:
    return {"name": name, "in": "header", "required": False, "schema": {"type": "string"}}


def _operation(name: str, operation: str, summary: str, **more: Any) -> Path:
    return {"tags": [name], "operationId": operation, "summary": summary, **more}


def _answers(success: dict[str, Any], *errors: str) -> dict[str, Any]:
    return success | {status: ref(_ERRORS[status][0], "responses") for status in ("401", "403", *errors, "503")}


def _said(description: str, schema: Schema, **headers: Any) -> dict[str, Any]:
    told = {"headers": headers} if headers else {}
    return {"200": {"description": description, **told, "content": {_JSON: {"schema": schema}}}}


def _asked(resource: Resource) -> list[Schema]:
    keys = (_member(leaf, schema) | IDENTITY for leaf, schema in leaves(resource).items())
    others = (_member(name, dict(at_path(resource.shape, name))) for name in required_beside_key(resource))
    return [*_paging(), *keys, *others, _member("id", {"type": "string"})]


def _member(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _paging() -> Iterable[Schema]:
    return (ref(name, "parameters") for name in Paging.model_fields)


def _listed(schema: str) -> dict[str, Any]:
    counted = {"description": "How many there are, if totalCount was asked.", "schema": {"type": "integer"}}
    token = {"description": "The pageToken of the page that follows.", "schema": {"type": "string"}}
    rows = {"type": "array", "items": ref(schema)}
    return _said("One page.", rows, **{"Total-Count": counted, "Next-Page-Token": token})


def _list(name: str, resource: Resource) -> Path:
    summary = f"Lists {words(name)} by members of the natural key, page after page."
    answers = _answers(_listed(definition(name)), "400")
    return _operation(name, f"get{capital(name)}", summary, parameters=_asked(resource), responses=answers)


def _post(name: str, own: str) -> Path:
    summary = f"Takes in one of the {words(name)}: a new one, or what one of this natural key says now."
    success = {"201": ref("Created", "responses"), "200": ref("Known", "responses")}
    answers = _answers(success, "400", "409", "413")
    return _operation(name, f"post{capital(singular(name))}", summary, requestBody=_body(own), responses=answers)


def _get(name: str, own: str) -> Path:
    read = {"200": {"description": "The document.", "headers": _ETAG, "content": {_JSON: {"schema": ref(own)}}}}
    answers = _answers(read | {"304": ref("NotModified", "responses")}, "400", "404")
    asked = [ref("If-None-Match", "parameters")]
    return _operation(
        name, f"get{capital(name)}ById", f"Reads one of the {words(name)}.", parameters=asked, responses=answers
    )


def _put(name: str, own: str) -> Path:
    summary = f"Lets one of the {words(name)} say something else; its natural key must stay."
    answers = _answers({"204": ref("Updated", "responses")}, "400", "404", "409", "412", "413")
    return _operation(
        name,
        f"put{capital(singular(name))}",
        summary,
        parameters=[ref("If-Match", "parameters")],
        requestBody=_body(own),
        responses=answers,
    )


def _delete(name: str) -> Path:
    answers = _answers({"204": ref("Deleted", "responses")}, "400", "404", "409", "412")
    summary = f"Takes one of the {words(name)} away."
    asked = [ref("If-Match", "parameters")]
    return _operation(name, f"delete{capital(singular(name))}ById", summary, parameters=asked, responses=answers)


def _tracked(name: str, what: str, summary: str, schema: str) -> Path:
    answers = _answers(_listed(f"trackedChanges_{schema}"), "400")
    return _operation(name, f"{what}{capital(name)}", summary, parameters=list(_paging()), responses=answers)


def _partitions(name: str, resource: Resource) -> Path:
    summary = "Page tokens that split the list into parts about as large as each other."
    answers = _answers(_said("The tokens.", ref("partitions")), "400")
    asked = [_NUMBER, *_asked(resource)]
    return _operation(name, f"get{capital(name)}Partitions", summary, parameters=asked, responses=answers)


def _body(own: str) -> dict[str, Any]:
    return {"required": True, "content": {_JSON: {"schema": ref(own)}}}
