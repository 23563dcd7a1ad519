"""CloudEvents in, in binary mode: the same documents, each event once."""

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa
from fastapi import Request
from fastapi.exceptions import HTTPException
from pydantic import BaseModel

from common.access import require
from common.app import Router
from common.db import Session
from common.json import parse
from common.problems import Problem
from common.runtime import RuntimeOf
from sis.documents import write
from sis.resources import RESOURCES
from sis.routes.answers import ATTENDANCE_EXAMPLE, body_of, written
from sis.rows import read_deletion, read_row
from sis.rules.members import BrokenRule, InvalidMember, moment, text

router = Router("sis", tags=["CloudEvents"], dependencies=[require("sis")])

_TAKES = {
    f"sis.{name}.{verb}.v1": (resource, read)
    for name, resource in RESOURCES.items()
    for verb, read in (("upserted", read_row), ("deleted", read_deletion))
}
_NOTE = sa.text(
    """
    INSERT INTO sis_heard_event (source, id, heard_at) VALUES (:source, :id, clock_timestamp())
    ON CONFLICT (source, id) DO NOTHING RETURNING id
    """
)
_attribute = text(500)


class Heard(BaseModel):
    """What came of an event."""

    outcome: str


@router.post(
    "/v1/events",
    responses={415: {"model": Problem, "description": "Only binary mode is taken."}},
    openapi_extra=body_of("application/json", ATTENDANCE_EXAMPLE)
    | {
        "parameters": [
            {"name": name, "in": "header", "required": True, "schema": {"type": "string"}, "example": example}
            for name, example in (
                ("ce-specversion", "1.0"),
                ("ce-id", "9f1c"),
                ("ce-source", "urn:sis:grand-bend"),
                ("ce-type", "sis.studentSchoolAttendanceEvents.upserted.v1"),
            )
        ]
    },
)
async def hear_event(request: Request, session: Session, runtime: RuntimeOf) -> Heard:
    """Take in one CloudEvent in binary mode; the same source and id again is ``repeated`` and changes nothing.

    Where the document has no ``_lastModifiedDate``, ``ce-time`` stands for it.
    """
    if "cloudevents" in request.headers.get("content-type", ""):
        raise HTTPException(415)
    source, identity, kind = _read_attributes(request.headers)
    resource, read = _TAKES[kind]
    row = read(resource, parse(await request.body()), modified_at=_time(request.headers))
    if (await session.execute(_NOTE, {"source": source, "id": identity})).first() is None:
        return Heard(outcome="repeated")
    result = written((await write(session, runtime.vault, resource, [row]))[0])
    return Heard(outcome=result.outcome)


def _read_attributes(headers: Mapping[str, str]) -> tuple[str, str, str]:
    if _header(headers, "ce-specversion") != "1.0":
        raise InvalidMember(field="ce-specversion", rule="must be 1.0")
    kind = _header(headers, "ce-type")
    if kind not in _TAKES:
        raise InvalidMember(field="ce-type", rule="must be sis.<resource>.upserted.v1 or sis.<resource>.deleted.v1")
    return _header(headers, "ce-source"), _header(headers, "ce-id"), kind


def _header(headers: Mapping[str, str], name: str) -> str:
    try:
        return str(_attribute(headers.get(name)))
    except BrokenRule as broken:
        raise InvalidMember(field=name, rule=str(broken)) from None


def _time(headers: Mapping[str, str]) -> datetime | None:
    if "ce-time" not in headers:
        return None
    try:
        return moment(headers["ce-time"])
    except BrokenRule as broken:
        raise InvalidMember(field="ce-time", rule=str(broken)) from None
