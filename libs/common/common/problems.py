"""Problem documents (RFC 9457) for every error. They name the field and the rule, never the value."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from common.errors import DomainError, Invalid, SecondFactorMissing
from common.security_log import log_refusal

_STEP_UP = 'Bearer error="insufficient_user_authentication"'
"""Sign in again, with more. Source: RFC 9470, section 3."""
PROBLEM_TYPE = "application/problem+json"


class FieldError(BaseModel):
    """One field that breaks a rule."""

    field: str
    rule: str


class Problem(BaseModel):
    """A problem document: what went wrong, for machines by ``type`` and for people by ``detail``."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None


def problem_of(error: DomainError) -> Problem:
    """The problem document of a domain error."""
    kind = error.kind()
    fields = [FieldError(field=str(error.facts["field"]), rule=str(error.facts["rule"]))] if _is_field(error) else None
    return _problem(kind, error.status, error.detail, fields)


def field_errors(errors: Sequence[Any]) -> list[FieldError]:
    """Pydantic's errors as fields and rules; what was sent is left out."""
    return [FieldError(field=_path(error["loc"]), rule=_rule(error)) for error in errors]


def validation_problem(error: ValidationError | RequestValidationError, status: int = 422) -> Problem:
    """The problem document of a body, query or path that breaks its model."""
    return _problem("invalid", status, "Some fields break a rule.", field_errors(error.errors()))


def response_of(problem: Problem, retry_after: int | None = None) -> JSONResponse:
    """The problem as an HTTP answer without null members; ``retry_after`` in seconds."""
    headers = {"Retry-After": str(retry_after)} if retry_after else {}
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = _STEP_UP if problem.type.endswith(SecondFactorMissing.kind()) else "Bearer"
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.setdefault("Retry-After", "2")
    return JSONResponse(problem.model_dump(exclude_none=True), problem.status, headers, media_type=PROBLEM_TYPE)


def install(app: FastAPI) -> None:
    """Let ``app`` answer every error with a problem document."""

    @app.exception_handler(DomainError)
    async def domain(request: Request, error: DomainError) -> JSONResponse:
        log_refusal(request, error)
        return response_of(problem_of(error), error.retry_after)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return response_of(validation_problem(error))

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        title = HTTPStatus(error.status_code).phrase
        return response_of(_problem(title.lower().replace(" ", "-"), error.status_code, f"{title}."))


def _problem(kind: str, status: int, detail: str, errors: list[FieldError] | None = None) -> Problem:
    title = kind.replace("-", " ").capitalize()
    return Problem(type=f"urn:trellis:problem:{kind}", title=title, status=status, detail=detail, errors=errors)


def _is_field(error: DomainError) -> bool:
    return isinstance(error, Invalid) and {"field", "rule"} <= error.facts.keys()


def _path(location: Sequence[int | str]) -> str:
    parts = location[1:] if location and location[0] in ("body", "query", "path", "header") else location
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".") or "body"


def _rule(error: Any) -> str:
    # A validator of ours speaks in its own words. The context of others holds limits and choices, never the input.
    known = _RULES.get(error["type"])
    if known is None:
        return "is not well-formed" if error["type"].endswith(_MALFORMED) else "is not acceptable"
    return known.format_map({"error": "is not acceptable"} | error.get("ctx", {}))


_MALFORMED = ("_type", "_parsing", "_size", "_invalid")
_RULES = {
    "value_error": "{error}",
    "assertion_error": "{error}",
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    **dict.fromkeys(("too_short", "string_too_short"), "must have a length of at least {min_length}"),
    **dict.fromkeys(("too_long", "string_too_long"), "must have a length of at most {max_length}"),
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing", "decimal_type", "decimal_parsing"), "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    **dict.fromkeys(("date_type", "date_parsing", "date_from_datetime_parsing"), "must be a date such as 2027-01-31"),
    "date_from_datetime_inexact": "must be a date such as 2027-01-31",
    **dict.fromkeys(
        ("datetime_type", "datetime_parsing", "datetime_from_date_parsing", "timezone_aware"),
        "must be a date and time such as 2027-01-31T08:00:00Z",
    ),
    "string_type": "must be text",
    "list_type": "must be a list",
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), "must be an object"),
    **dict.fromkeys(("uuid_type", "uuid_parsing"), "must be a UUID"),
}
"""Pydantic's kinds of error in our words."""


INTERNAL_ERROR = _problem("internal-error", 500, "Something went wrong on our side; it has been logged.")
