"""Many rows of one resource at once: JSON lines in, one result a line out."""

import json
from collections.abc import Callable
from typing import Any

from fastapi import Request, Response
from pydantic_core import to_json

from common.access import require
from common.app import Router
from common.db import Session
from common.errors import DomainError
from common.runtime import Runtime, RuntimeOf
from sis.documents import write
from sis.plan import Result
from sis.policy import BULK_ROWS
from sis.resources import Resource, resource_named
from sis.routes.answers import ATTENDANCE_EXAMPLE, body_of, line_of
from sis.rows import Row, read_deletion, read_lines, read_row

router = Router("sis", tags=["bulk"], dependencies=[require("sis")])

_LINES = "application/jsonl"
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One line for each row, in order: its status, and the document's id or the problem.",
        "content": {_LINES: {"example": '{"line":1,"status":201,"id":"7c5ac1d6-35f0-4a5c-8f3e-2d1f1c3d9b11"}\n'}},
    }
}


@router.post(
    "/v1/bulk/{resource}",
    response_class=Response,
    responses=_ANSWER,
    openapi_extra=body_of(_LINES, json.dumps(ATTENDANCE_EXAMPLE) + "\n"),
)
async def record_documents(resource: str, request: Request, session: Session, runtime: RuntimeOf) -> Response:
    """Take in up to 500 documents in one transaction; rows that are refused leave the others alone."""
    return await _answer(resource_named(resource), request, session, runtime, read_row)


@router.post(
    "/v1/bulk/{resource}/deletes",
    response_class=Response,
    responses=_ANSWER,
    openapi_extra=body_of(_LINES, '{"studentUniqueId": "604822", "_lastModifiedDate": "2027-01-29T16:04:00Z"}\n'),
)
async def delete_documents(resource: str, request: Request, session: Session, runtime: RuntimeOf) -> Response:
    """Take away up to 500 documents by natural key in one transaction."""
    return await _answer(resource_named(resource), request, session, runtime, read_deletion)


async def _answer(
    resource: Resource, request: Request, session: Session, runtime: Runtime, read: Callable[[Resource, Any], Row]
) -> Response:
    rows = read_lines(resource, await request.body(), read, most=BULK_ROWS)
    readable = {number: row for number, row in rows.items() if isinstance(row, Row)}
    refused: dict[int, Result] = {number: row for number, row in rows.items() if isinstance(row, DomainError)}
    results = await write(session, runtime.vault, resource, list(readable.values())) if readable else []
    answers = refused | dict(zip(readable, results, strict=True))
    lines = (to_json(line_of(number, answers[number])) + b"\n" for number in rows)
    return Response(b"".join(lines), media_type=_LINES)
