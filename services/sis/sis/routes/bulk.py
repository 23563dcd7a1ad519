"""Many rows of one resource at once: JSON lines in, one result a line out."""

import json
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from fastapi import Request, Response
from pydantic_core import to_json

from common.app import Router
from common.auth import Principal
from common.idempotency import repeatable
from common.runtime import Runtime, RuntimeOf
from sis.arrivals.intake import Arrival, arrive, take_in
from sis.arrivals.reconciliation import Believed, believe
from sis.arrivals.sheets import read_sheet
from sis.clients.bounds import granted
from sis.plan import Result
from sis.policy import BULK_ROWS
from sis.resources import Resource
from sis.routes.answers import ATTENDANCE_EXAMPLE, body_of, line_of
from sis.routes.fields import Pusher
from sis.rows import Row, read_deletion, read_row
from sis.rules.members import InvalidMember

router = Router("sis", tags=["bulk"])

_LINES, _SHEET = "application/jsonl", "text/csv"
_SHEET_EXAMPLE = (
    "_rejected,_reason,studentReference.studentUniqueId,schoolReference.schoolId,entryDate\n"
    "0199f3a0-7b1c-7def-8a90-0b5f6a7c8d9e,$.entryDate is required,604822,255901001,2026-08-24\n"
)
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One line for each row, in order: its status, and the document's id or the problem.",
        "content": {_LINES: {"example": '{"line":1,"status":201,"id":"7c5ac1d6-35f0-4a5c-8f3e-2d1f1c3d9b11"}\n'}},
    }
}


def _bodies(example: str) -> dict[str, Any]:
    described = body_of(_LINES, example)
    described["requestBody"]["content"][_SHEET] = {"example": _SHEET_EXAMPLE}
    return described


@router.post(
    "/v1/bulk/{resource}",
    response_class=Response,
    responses=_ANSWER,
    openapi_extra=_bodies(json.dumps(ATTENDANCE_EXAMPLE) + "\n"),
)
@repeatable("documents are known by their natural keys")
async def record_documents(
    resource: str, request: Request, runtime: RuntimeOf, who: Pusher, believed: Believed = None
) -> Response:
    """Take in up to 500 documents in one transaction; rows that are refused leave the others alone.

    As ``text/csv`` up to 10,000 rows, 500 a transaction, in the form of the file of rejected rows: columns are named by
    the paths of members, the reason is not read, and a row that came back closes the rejected one it stands for.
    """
    return await _answer(granted(who, resource), request, runtime, read_row, who, believed, deletes=False)


@router.post(
    "/v1/bulk/{resource}/deletes",
    response_class=Response,
    responses=_ANSWER,
    openapi_extra=_bodies('{"studentUniqueId": "604822", "_lastModifiedDate": "2027-01-29T16:04:00Z"}\n'),
)
@repeatable("what is gone stays gone")
async def delete_documents(
    resource: str, request: Request, runtime: RuntimeOf, who: Pusher, believed: Believed = None
) -> Response:
    """Take away up to 500 documents by natural key in one transaction; as ``text/csv`` up to 10,000."""
    return await _answer(granted(who, resource), request, runtime, read_deletion, who, believed, deletes=True)


async def _answer(
    resource: Resource,
    request: Request,
    runtime: Runtime,
    read: Callable[[Resource, Any], Row],
    who: Principal,
    believed: str | None,
    *,
    deletes: bool,
) -> Response:
    body, kind = await request.body(), request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == _SHEET:
        arrivals = read_sheet(who, resource, body, read, deletes=deletes)
    else:
        arrivals = _read_lines(who, resource, body, read, deletes=deletes)
    results = await _take_in(runtime, resource, arrivals)
    await believe(runtime, who.subject, resource, believed)
    lines = (to_json(line_of(number, result)) + b"\n" for number, result in results.items())
    return Response(b"".join(lines), media_type=_LINES)


def _read_lines(
    who: Principal, resource: Resource, body: bytes, read: Callable[[Resource, Any], Row], *, deletes: bool
) -> dict[int, Arrival]:
    """The rows of JSON lines by line number; a line that cannot be read stands with its reason.

    Raises:
        InvalidMember: there are too many.
    """
    lines = {number: line for number, line in enumerate(body.split(b"\n"), 1) if line.strip()}
    if len(lines) > BULK_ROWS:
        raise InvalidMember(field="body", rule=f"must have at most {BULK_ROWS} lines")
    return {number: arrive(who, resource, line, read, deletes=deletes) for number, line in lines.items()}


async def _take_in(runtime: Runtime, resource: Resource, arrivals: Mapping[int, Arrival]) -> dict[int, Result]:
    results: dict[int, Result] = {}
    waiting = iter(arrivals.items())
    while some := dict(islice(waiting, BULK_ROWS)):
        async with runtime.transaction() as session:
            came_of = await take_in(session, runtime, resource, list(some.values()))
        results |= zip(some, came_of, strict=True)
    return results
