"""The Ed-Fi door: upsert, replace, read and delete one document, over the table of resources."""

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from fastapi import Header, Request, Response
from fastapi.responses import JSONResponse

from common.app import Router
from common.auth import Principal
from common.db import Session
from common.idempotency import repeatable
from common.runtime import Runtime, RuntimeOf
from sis.arrivals.intake import Arrival, arrive, take_in
from sis.arrivals.reconciliation import Believed, believe
from sis.clients.bounds import granted, only_own, visible
from sis.preconditions import KeyChange, check_expected, etag_of, names
from sis.queries import DOCUMENTS, shown, tell_of
from sis.resources import Resource
from sis.routes.answers import ATTENDANCE_EXAMPLE, Identified, body_of, identified, status_of, written
from sis.routes.fields import Pusher, Reader
from sis.rows import Row, read_row
from sis.rules.documents import Content
from sis.rules.members import InvalidMember
from sis.together import write_together
from sis.waiting import WaitingDocument, find_waiting

router = Router("ed-fi", tags=["Ed-Fi"])

IfMatch = Annotated[str | None, Header(alias="If-Match", description="The etag that the document must still have.")]
IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match", description="The etag that is already known.")]


@router.post(
    "/{resource}",
    status_code=201,
    response_model=Identified,
    responses={200: {"model": Identified, "description": "It was known: updated, the same as before, or older."}},
    openapi_extra=body_of("application/json", ATTENDANCE_EXAMPLE),
)
@repeatable("a document is known by its natural key")
async def record_document(
    resource: str,
    request: Request,
    runtime: RuntimeOf,
    who: Pusher,
    believed: Believed = None,
) -> Response:
    """Take in one document: 201 if it is new, 200 if its natural key is known.

    Where it refers to what is not known it waits for that, and is answered the same; 409 where nothing may wait. It is
    taken as the whole; only who sends back what was read here, with its ``id`` or ``_etag``, leaves sealed members that
    the body does not name as they are.
    """
    of = granted(who, resource)
    arrival = arrive(who, of, await request.body(), read_row)
    came_of = await write_together(runtime, of, arrival)
    await believe(runtime, who.subject, of, believed)
    result = written(came_of)
    # As it was asked, with or without a school year, under the address that clients know.
    location = f"{runtime.settings.public_url}{request.scope['path'].rstrip('/')}/{result.id}"
    headers = {"Location": location, "ETag": etag_of(result.revision)}
    return JSONResponse(identified(result), status_of(result), headers)


@router.get("/{resource}/{document_id}", responses={304: {"description": "It still has the etag that is known."}})
async def read_document(
    resource: str,
    document_id: UUID,
    response: Response,
    session: Session,
    runtime: RuntimeOf,
    who: Reader,
    known: IfNoneMatch = None,
) -> Any:
    """One document; sealed members are never answered here. ``_waiting`` says since when it waits, and for which resources."""
    of = granted(who, resource)
    found = await _document(session, runtime, of, document_id, who)
    if not isinstance(found, WaitingDocument):
        tell_of([found])
    response.headers["ETag"] = etag_of(found.revision)
    if known is not None and names(known, found.revision):
        return Response(status_code=304, headers={"ETag": etag_of(found.revision)})
    return dict(of.shown(shown(found))) | (found.waiting if isinstance(found, WaitingDocument) else {})


@router.put(
    "/{resource}/{document_id}",
    status_code=204,
    response_class=Response,
    openapi_extra=body_of("application/json", ATTENDANCE_EXAMPLE),
)
async def replace_document(
    resource: str,
    document_id: UUID,
    request: Request,
    runtime: RuntimeOf,
    who: Pusher,
    expected: IfMatch = None,
) -> Response:
    """Let one document say something else; what identifies it must stay.

    Sealed members that the body does not name stay as they are: who reads a document and sends it back never saw them.
    To take one away, send it as null.
    """
    of = granted(who, resource)
    arrival = arrive(who, of, await request.body(), _reading(document_id))
    async with runtime.transaction() as session:
        if isinstance(arrival.row, Row):
            found = await _document(session, runtime, of, document_id, who, held=True)
            check_expected(expected, found.revision)
            if arrival.row.key != found.key:
                raise KeyChange
        (result,) = await take_in(session, runtime, of, [arrival])
    # Only now: what is refused has been noted.
    return Response(status_code=204, headers={"ETag": etag_of(written(result).revision)})


@router.delete(
    "/{resource}/{document_id}",
    status_code=204,
    response_class=Response,
)
async def delete_document(
    resource: str,
    document_id: UUID,
    runtime: RuntimeOf,
    who: Pusher,
    expected: IfMatch = None,
) -> None:
    """Take one document away; 409 while others refer to it."""
    of = granted(who, resource)
    async with runtime.transaction() as session:
        found = await _document(session, runtime, of, document_id, who, held=True)
        check_expected(expected, found.revision)
        gone = Row(found.key, Content(found.body, {}, None, deleted=True), (), None, None)
        (result,) = await take_in(session, runtime, of, [Arrival(who, dict(of.shown(found.body)), gone, deletes=True)])
    written(result)


def _reading(document_id: UUID) -> Callable[[Resource, Any], Row]:
    """Reads the document of this id: who names it, in the address or in the body, has read it here."""

    def read(resource: Resource, document: Any) -> Row:
        if isinstance(document, dict):
            document = {"id": str(document_id), **document}
        row = read_row(resource, document)
        if str(document["id"]).replace("-", "").lower() != document_id.hex:
            raise InvalidMember(field="$.id", rule="must be the id in the address")
        return row

    return read


async def _document(
    session: Session, runtime: Runtime, resource: Resource, document_id: UUID, who: Principal, *, held: bool = False
) -> Any:
    """The document, or the row that waits to be it; ``held``: nobody else changes it until this transaction ends."""
    mine = (DOCUMENTS.c.resource == resource.name, DOCUMENTS.c.id == document_id, ~DOCUMENTS.c.deleted)
    chosen = sa.select(DOCUMENTS).where(*mine, visible(who, resource))
    # Who only refers to it need not wait for us, so that nobody waits in a circle.
    found = (await session.execute(chosen.with_for_update(key_share=True) if held else chosen)).one_or_none()
    return (
        found
        if found is not None
        else await find_waiting(session, runtime.vault, resource, document_id, source=only_own(who))
    )
