"""CloudEvents in, one or many: the same documents, each event once."""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby

import sqlalchemy as sa
from fastapi import Request
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from common.access import require
from common.app import Router
from common.db import Session
from common.errors import DomainError
from common.json import parse
from common.problems import Problem, problem_of
from common.runtime import RuntimeOf
from common.sealed import Vault
from sis.documents import write
from sis.envelopes import BATCH, STRUCTURED, Envelope, media_type, read_batch, read_binary, read_structured
from sis.plan import Result, Written
from sis.policy import BULK_ROWS
from sis.resources import RESOURCES
from sis.routes.answers import ATTENDANCE_EXAMPLE, body_of
from sis.rows import Row, read_deletion, read_row

router = Router("sis", tags=["CloudEvents"], dependencies=[require("sis")])

_TAKES = {
    f"sis.{name}.{verb}.v1": (resource, read)
    for name, resource in RESOURCES.items()
    for verb, read in (("upserted", read_row), ("deleted", read_deletion))
}
_NOTE = sa.text(
    """
    INSERT INTO sis_heard_event (source, id, heard_at)
    SELECT source, id, clock_timestamp() FROM unnest(CAST(:sources AS text[]), CAST(:ids AS text[])) AS given(source, id)
    ON CONFLICT (source, id) DO NOTHING RETURNING source, id
    """
)
_FORGET = sa.text(
    """
    DELETE FROM sis_heard_event USING unnest(CAST(:sources AS text[]), CAST(:ids AS text[])) AS given(source, id)
    WHERE sis_heard_event.source = given.source AND sis_heard_event.id = given.id
    """
)

REPEATED = "repeated"
Said = str | DomainError
"""What came of an event: a word, or why it was refused."""


class Heard(BaseModel):
    """What came of an event."""

    outcome: str


class HeardInBatch(BaseModel):
    """What came of the event at this place of the batch, from 0, or the problem that kept it out."""

    index: int
    outcome: str | None = None
    problem: Problem | None = None


class Batch(BaseModel):
    """What came of each event of a batch, in order."""

    items: list[HeardInBatch]


_STRUCTURED_EXAMPLE = {
    "specversion": "1.0",
    "id": "9f1c",
    "source": "urn:sis:grand-bend",
    "type": "sis.studentSchoolAttendanceEvents.upserted.v1",
    "data": ATTENDANCE_EXAMPLE,
}
_BODIES = body_of("application/json", ATTENDANCE_EXAMPLE)
_BODIES["requestBody"]["content"] |= {
    STRUCTURED: {"example": _STRUCTURED_EXAMPLE},
    BATCH: {"example": [_STRUCTURED_EXAMPLE]},
}


@router.post(
    "/v1/events",
    responses={415: {"model": Problem, "description": "Events are taken as JSON."}},
    response_model_exclude_none=True,
    openapi_extra=_BODIES
    | {
        "parameters": [
            {"name": name, "in": "header", "schema": {"type": "string"}, "example": example}
            for name, example in (
                ("ce-specversion", "1.0"),
                ("ce-id", "9f1c"),
                ("ce-source", "urn:sis:grand-bend"),
                ("ce-type", "sis.studentSchoolAttendanceEvents.upserted.v1"),
            )
        ]
    },
)
async def hear_events(request: Request, session: Session, runtime: RuntimeOf) -> Heard | Batch:
    """Take in CloudEvents in binary, structured or batched mode; the same source and id again is ``repeated``.

    A batch keeps its good events and names the bad. Where a document has no ``_lastModifiedDate``, the event's time
    stands for it.
    """
    kind, body = media_type(request.headers.get("content-type", "")), await request.body()
    if kind == BATCH:
        found = await _hear(session, runtime.vault, read_batch(body, _TAKES, most=BULK_ROWS))
        return Batch(items=[_item(index, said) for index, said in enumerate(found)])
    if kind == STRUCTURED:
        envelope = read_structured(parse(body), _TAKES)
    else:
        envelope = read_binary(request.headers, body, _TAKES)
    (said,) = await _hear(session, runtime.vault, [envelope])
    if isinstance(said, DomainError):
        raise said
    return Heard(outcome=said)


def _item(index: int, said: Said) -> HeardInBatch:
    if isinstance(said, DomainError):
        return HeardInBatch(index=index, problem=problem_of(said))
    return HeardInBatch(index=index, outcome=said)


async def _hear(session: AsyncSession, vault: Vault, events: Sequence[Envelope | DomainError]) -> list[Said]:
    """What came of each event, in order. One that is refused is not remembered: it may be sent again."""
    read = {index: _read(event) for index, event in enumerate(events)}
    said: dict[int, Said] = {index: one for index, one in read.items() if isinstance(one, DomainError)}
    rows = {index: one for index, one in read.items() if not isinstance(one, DomainError)}
    fresh = await _note(session, {index: (event.source, event.id) for index, (event, _) in rows.items()})
    for kind, run in groupby(fresh, key=lambda index: rows[index][0].type):
        indexes = list(run)
        results = await write(session, vault, _TAKES[kind][0], [rows[index][1] for index in indexes])
        said |= {index: _said(result) for index, result in zip(indexes, results, strict=True)}
    await _forget(session, [rows[index][0] for index in fresh if isinstance(said[index], DomainError)])
    return [said.get(index, REPEATED) for index in read]


def _read(event: Envelope | DomainError) -> tuple[Envelope, Row] | DomainError:
    if isinstance(event, DomainError):
        return event
    resource, read = _TAKES[event.type]
    try:
        return event, read(resource, event.document, modified_at=event.time)
    except DomainError as refused:
        return refused


def _said(result: Result) -> Said:
    return str(result.outcome) if isinstance(result, Written) else result


async def _note(session: AsyncSession, marks: Mapping[int, tuple[str, str]]) -> list[int]:
    """Remember these events, and which of them were not known before, in order; of two alike the first."""
    first = {marks[index]: index for index in sorted(marks, reverse=True)}
    noted = await session.execute(_NOTE, _columns(sorted(first)))
    return sorted(first[source, identity] for source, identity in noted)


async def _forget(session: AsyncSession, refused: Sequence[Envelope]) -> None:
    if refused:
        await session.execute(_FORGET, _columns([(event.source, event.id) for event in refused]))


def _columns(marks: Collection[tuple[str, str]]) -> dict[str, list[str]]:
    return {"sources": [source for source, _ in marks], "ids": [identity for _, identity in marks]}
