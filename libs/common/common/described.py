"""What a route may answer besides what it gives: said in the OpenAPI document from what the route declares."""

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from common.access import Permission, permissions_of
from common.errors import DomainError
from common.idempotency import happens_once
from common.problems import PROBLEM_TYPE, Problem

_MEANINGS = {
    400: "The request is malformed.",
    401: "A valid bearer token is needed.",
    403: "This token's role or permissions do not allow this.",
    404: "There is no such thing, or it is not visible to this token.",
    408: "The body did not arrive in time.",
    409: "The state of things does not allow this.",
    412: "It has been changed since the version that If-Match names.",
    413: "The body is too large.",
    415: "The body's encoding is not known.",
    422: "Some fields break a rule.",
    428: "If-Match must name the version that was seen.",
    429: "Too many requests; go on after the seconds in Retry-After.",
    503: "Not now; try again after the seconds in Retry-After.",
}
_HEADERS = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    429: {"Retry-After": {"schema": {"type": "integer"}}},
    503: {"Retry-After": {"schema": {"type": "integer"}}},
}
_REF = "#/components/schemas/{model}"
_FRAMEWORKS_OWN = ("HTTPValidationError", "ValidationError")


def refusing(*errors: type[DomainError]) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route that refuses with a status which its like do not have."""
    return {error.status: {"description": _MEANINGS[error.status]} for error in errors}


class Described(FastAPI):
    """An application whose OpenAPI document names each problem that a route may answer with."""

    def openapi(self) -> dict[str, Any]:
        """The document: FastAPI's, with problems, and with the token that a route needs."""
        if self.openapi_schema is None:
            document = super().openapi()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for name in _FRAMEWORKS_OWN:
                schemas.pop(name, None)
            problem = Problem.model_json_schema(ref_template=_REF)
            schemas |= problem.pop("$defs") | {"Problem": problem}
            document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
            for context in iter_route_contexts(self.routes):
                if isinstance(context.original_route, APIRoute):
                    _describe(document["paths"].get(context.path_format, {}), context)
        return self.openapi_schema or {}


def _describe(methods: dict[str, Any], route: Any) -> None:
    (permission,) = permissions_of(route.dependant)
    for method, operation in methods.items():
        if method.upper() not in route.methods:
            continue
        if not permission.public:
            operation["security"] = [{"bearer": []}]
        responses = operation["responses"]
        if any(_FRAMEWORKS_OWN[0] in str(said) for said in responses.get("422", {}).get("content", {}).values()):
            del responses["422"]
        refusals = {int(status) for status, said in responses.items() if status >= "400" and "content" not in said}
        for status in sorted(
            refusals.union(_statuses(method, operation, permission, once=happens_once(route.dependant)))
        ):
            said = responses.setdefault(str(status), {"description": _MEANINGS[status]})
            said.setdefault("content", {})[PROBLEM_TYPE] = {"schema": {"$ref": _REF.format(model="Problem")}}
            if status in _HEADERS:
                said["headers"] = _HEADERS[status]


def _statuses(method: str, operation: dict[str, Any], permission: Permission, *, once: bool) -> set[int]:
    parameters = {(each["in"], each["name"]) for each in operation.get("parameters", [])}
    in_path = any(place == "path" for place, _ in parameters)
    body = once or "requestBody" in operation
    rules = {
        (400, 408, 413, 415): body,
        (401, 403): not permission.public,
        (404,): in_path or bool((permission.reads | permission.mixes) - {"non_personal"}),
        (409,): method != "get",
        (412, 428): ("header", "If-Match") in parameters,
        (422,): body or bool(parameters) or (method == "get" and not permission.public),
        (429,): not permission.machines_only,
        (503,): True,
    }
    return {status for statuses, holds in rules.items() if holds for status in statuses}
