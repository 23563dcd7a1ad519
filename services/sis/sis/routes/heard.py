"""CloudEvents in, one or many: the same documents, each event once."""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby

import sqlalchemy as sa
from fastapi import Request
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from common.app import Router
from common.auth import Principal
from common.described import refusing
from common.errors import DomainError, NotFound
from common.idempotency import repeatable
from common.problems import Problem, problem_of
from common.runtime import Runtime, RuntimeOf
from sis.arrivals.intake import Arrival, record, write_arrivals
from sis.clients.bounds import granted
from sis.documents import CalledIn
from sis.envelopes import BATCH, STRUCTURED, Envelope, Unread, as_sent, media_type, read_batch, read_one
from sis.plan import Result, Written
from sis.policy import BULK_ROWS
from sis.resources import NAMED
from sis.routes.answers import ATTENDANCE_EXAMPLE, body_of
from sis.routes.fields import Pusher
from sis.rows import read_deletion, read_row

router = Router("sis", tags=["CloudEvents"])

_TAKES = {
    f"sis.{name}.{verb}.v1": (resource, read)
    for name, resource in NAMED.items()
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
    responses=refusing(NotFound),
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
@repeatable("an event is known by who sends it, its source and id")
async def hear_events(request: Request, runtime: RuntimeOf, who: Pusher) -> Heard | Batch:
    """Take in CloudEvents in binary, structured or batched mode; the same source and id again from one client is ``repeated``.

    A batch keeps its good events and names the bad. Where a document has no ``_lastModifiedDate``, the event's time
    stands for it. A deletion of what is not here is 404; with a time it is remembered all the same, and a document dated
    before it that comes late is ``stale``. Without one it is forgotten: documents then count in the order in which they come.
    """
    headers, body = request.headers, await request.body()
    batch = media_type(headers.get("content-type", "")) == BATCH
    try:
        events = read_batch(body, _TAKES, most=BULK_ROWS) if batch else [read_one(headers, body, _TAKES)]
    except DomainError as refused:
        await _hear(runtime, who, [Unread(as_sent(headers, body), refused)])
        raise
    found = await _hear(runtime, who, events)
    if batch:
        return Batch(items=[_item(index, said) for index, said in enumerate(found)])
    (said,) = found
    if isinstance(said, DomainError):
        raise said
    return Heard(outcome=said)


def _item(index: int, said: Said) -> HeardInBatch:
    if isinstance(said, DomainError):
        return HeardInBatch(index=index, problem=problem_of(said))
    return HeardInBatch(index=index, outcome=said)


async def _hear(runtime: Runtime, who: Principal, events: Sequence[Envelope | Unread]) -> list[Said]:
    """What came of each event, in order, once that is committed. One that is refused is not remembered: it may be sent again."""
    arrivals = [_arrive(who, event) for event in events]
    results: dict[int, Result] = {i: one.row for i, one in enumerate(arrivals) if isinstance(one.row, DomainError)}
    known = {i: event for i, event in enumerate(events) if i not in results and isinstance(event, Envelope)}
    called_in: list[CalledIn] = []
    async with runtime.transaction() as session:
        marks = {
            i: (f"{who.subject}\x1f{event.source}", event.id) for i, event in known.items()
        }  # nobody uses up another's
        fresh = await _note(session, marks)
        for kind, run in groupby(fresh, key=lambda i: known[i].type):
            indexes = list(run)
            written, waited = await write_arrivals(session, runtime, _TAKES[kind][0], [arrivals[i] for i in indexes])
            results |= zip(indexes, written, strict=True)
            called_in += waited
        await _forget(session, [marks[i] for i in fresh if isinstance(results[i], DomainError)])
        settled = [(_about(events[i]), arrivals[i], results[i]) for i in sorted(results)]
        await record(session, runtime, settled, called_in)
    return [_said(results[i]) if i in results else REPEATED for i in range(len(events))]


def _arrive(who: Principal, event: Envelope | Unread) -> Arrival:
    if isinstance(event, Unread):
        return Arrival(who, event.raw, event.problem)
    resource, read = _TAKES[event.type]
    deletes = read is read_deletion
    try:
        granted(who, resource.name)
        return Arrival(who, event.document, read(resource, event.document, modified_at=event.time), deletes)
    except DomainError as refused:
        return Arrival(who, event.document, refused, deletes)


def _about(event: Envelope | Unread) -> str:
    """The resource that an event is about; one that cannot be read is counted among the events."""
    return "events" if isinstance(event, Unread) else _TAKES[event.type][0].name


def _said(result: Result) -> Said:
    return str(result.outcome) if isinstance(result, Written) else result


async def _note(session: AsyncSession, marks: Mapping[int, tuple[str, str]]) -> list[int]:
    """Remember these events, and which of them were not known before, in order; of two alike the first."""
    first = {marks[index]: index for index in sorted(marks, reverse=True)}
    noted = await session.execute(_NOTE, _columns(sorted(first)))
    return sorted(first[source, identity] for source, identity in noted)


async def _forget(session: AsyncSession, refused: Sequence[tuple[str, str]]) -> None:
    if refused:
        await session.execute(_FORGET, _columns(refused))


def _columns(marks: Collection[tuple[str, str]]) -> dict[str, list[str]]:
    return {"sources": [source for source, _ in marks], "ids": [identity for _, identity in marks]}
