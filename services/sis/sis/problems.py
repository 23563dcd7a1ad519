"""Every error of the Ed-Fi door as the problem document that Ed-Fi clients know: by JSON path, never with a value.

Source: the error responses of the Ed-Fi ODS/API 7.x: types below ``urn:ed-fi:api:``, members that would be null left out.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPStatus
from typing import Any, NamedTuple

import structlog
from pydantic import BaseModel
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid4

from common.problems import PROBLEM_TYPE

DOORS = ("/sis/data/", "/sis/changeQueries/")
_OURS = "urn:trellis:problem:"

log = structlog.get_logger(__name__)


class _Known(NamedTuple):
    """What Ed-Fi calls an error; with ``detail`` our own words move to ``errors``."""

    type: str
    title: str
    detail: str | None = None


_SEE_ERRORS = "The request could not be processed. See 'errors' for details."
_DENIED = "Access to the resource could not be authorized."
_BAD_REQUEST = _Known("bad-request", "Bad Request", _SEE_ERRORS)
_PARAMETER = _Known("bad-request:parameter", "Parameter Validation Failed", _SEE_ERRORS)
_DATA = _Known(
    "bad-request:data-validation-failed",
    "Data Validation Failed",
    "Data validation failed. See 'validationErrors' for details.",
)
_BY_KIND = {
    "unknown-reference": _Known("data-conflict:unresolved-reference", "Unresolved Reference"),
    "still-referred-to": _Known("data-conflict:dependent-item-exists", "Dependent Item Exists"),
    "key-change": _Known("bad-request:data-validation-failed:key-change-not-supported", "Key Change Not Supported"),
    "not-as-expected": _Known("optimistic-lock-failed", "Optimistic Lock Failed"),
    "resource-not-granted": _Known("security:authorization:access-denied:resource", "Authorization Denied", _DENIED),
    "no-relationship": _Known("security:authorization:", "Authorization Denied", _DENIED),  # Ed-Fi's own ends so
    "forbidden": _Known("security:authorization:access-denied:action", "Authorization Denied"),
}
_BY_STATUS = {
    400: _BAD_REQUEST,
    401: _Known("security:authentication", "Authentication Failed", "The caller could not be authenticated."),
    403: _Known("security:authorization:access-denied:resource", "Authorization Denied"),
    405: _Known("method-not-allowed", "Method Not Allowed", "The request construction was invalid."),
    409: _Known("data-conflict", "Data Conflict"),
    413: _Known("content-too-large", "Content Too Large"),
    500: _Known("internal-server-error", "Internal Server Error"),
}


class EdFiProblem(BaseModel):
    """What went wrong, as Ed-Fi clients know it; ``correlationId`` is in the service's log too."""

    detail: str
    type: str
    title: str
    status: int
    correlationId: str  # noqa: N815 (Ed-Fi's name)
    validationErrors: dict[str, list[str]] | None = None  # noqa: N815 (Ed-Fi's name)
    errors: list[str] | None = None


def in_ed_fi_words(describe: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """``describe``, whose OpenAPI document then has the door's problems as :class:`EdFiProblems` says them."""

    @cache
    def described() -> dict[str, Any]:
        document = describe()
        document["components"]["schemas"]["EdFiProblem"] = EdFiProblem.model_json_schema()
        doors = (methods for path, methods in document["paths"].items() if path.startswith(DOORS))
        for operation in (each for methods in doors for each in methods.values()):
            responses = operation["responses"]
            invalid = responses.pop("422", None)  # a parameter that breaks a rule is 400 here, as all that is malformed
            if invalid:
                responses.setdefault("400", invalid)
            responses.pop("428", None)  # exporters need not say If-Match
            for said in responses.values():
                if PROBLEM_TYPE in said.get("content", {}):
                    said["content"][PROBLEM_TYPE] = {"schema": {"$ref": "#/components/schemas/EdFiProblem"}}
        return document

    return described


def edfi_problem(problem: Mapping[str, Any], correlation_id: str) -> dict[str, Any]:
    """A problem document of ours in Ed-Fi's words; a field stands as its JSON path, or in words if it is a parameter."""
    status = 400 if problem["status"] == HTTPStatus.UNPROCESSABLE_ENTITY else problem["status"]
    fields = problem.get("errors", [])
    paths: dict[str, list[str]] = {}
    for one in fields:
        if one["field"].startswith("$"):
            paths.setdefault(one["field"], []).append(one["rule"])
    known = _known(problem, status, by_path=bool(paths))
    said = [f"{one['field']} {one['rule']}" for one in fields] or [problem["detail"]]
    return {
        "detail": known.detail or problem["detail"],
        "type": f"urn:ed-fi:api:{known.type}",
        "title": known.title,
        "status": status,
        "correlationId": correlation_id,
        **({"validationErrors": paths} if paths else {"errors": said} if known.detail else {}),
    }


def _known(problem: Mapping[str, Any], status: int, *, by_path: bool) -> _Known:
    if known := _BY_KIND.get(problem["type"].removeprefix(_OURS)):
        return known
    if status == HTTPStatus.BAD_REQUEST and problem.get("errors"):
        return _DATA if by_path else _PARAMETER
    phrase = HTTPStatus(status).phrase
    return _BY_STATUS.get(status) or _Known(phrase.lower().replace(" ", "-"), phrase.title())


class EdFiProblems:
    """Puts every problem document of the Ed-Fi door into Ed-Fi's words, wherever in the service it was made.

    Each gets a random ``correlationId`` that the service's log has too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not scope["path"].startswith(DOORS):
            await self.app(scope, receive, send)
            return
        scope["correlation_id"] = str(uuid4())
        await self.app(scope, receive, _Answer(scope, send))


class _Answer:
    """Passes on what is answered, but for a problem, which it holds back until it is complete."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope, self.send = scope, send
        self.start: Message | None = None
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_problem(message):
            self.start = message
        elif self.start is None:
            await self.send(message)
        else:
            self.body += message.get("body", b"")
            if not message.get("more_body"):
                await self._translated(self.start)

    async def _translated(self, start: Message) -> None:
        problem = json.loads(self.body)
        said = edfi_problem(problem, self.scope["correlation_id"])
        self._note(problem)
        body = json.dumps(said).encode()
        headers = MutableHeaders(raw=start["headers"])
        headers["Content-Length"] = str(len(body))
        await self.send({**start, "status": said["status"], "headers": headers.raw})
        await self.send({"type": "http.response.body", "body": body})

    def _note(self, problem: Mapping[str, Any]) -> None:
        route = getattr(self.scope.get("route"), "path", "")
        log.info(
            "the Ed-Fi door refused",
            correlation_id=self.scope["correlation_id"],
            service="sis",
            method=self.scope["method"],
            route=str(route),
            status=problem["status"],
            reason=problem["type"].removeprefix(_OURS),
        )


def _is_problem(start: Message) -> bool:
    return start["status"] >= HTTPStatus.BAD_REQUEST and (b"content-type", PROBLEM_TYPE.encode()) in start["headers"]
