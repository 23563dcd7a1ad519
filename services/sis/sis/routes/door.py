"""The Ed-Fi door: one upsert, read and delete over the table of resources."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse

from common.access import require, visible_to
from common.app import Router
from common.auth import Principal
from common.db import Session
from common.errors import NotFound
from common.json import parse
from common.runtime import RuntimeOf
from sis.documents import write
from sis.models import Document
from sis.resources import Resource, key_text, resource_named
from sis.routes.answers import ATTENDANCE_EXAMPLE, STATUS, Identified, body_of, written
from sis.rows import read_deletion, read_row
from sis.rules.members import InvalidMember, code_value
from sis.together import write_together

router = Router("sis", tags=["Ed-Fi"])

_DOCUMENTS = Document.metadata.tables["sis_document"]
_PAGING = frozenset(("offset", "limit", "totalCount"))


@router.post(
    "/data/v3/ed-fi/{resource}",
    status_code=201,
    dependencies=[require("sis")],
    response_model=Identified,
    responses={200: {"model": Identified, "description": "It was known: updated, the same as before, or older."}},
    openapi_extra=body_of("application/json", ATTENDANCE_EXAMPLE),
)
async def record_document(resource: str, request: Request, runtime: RuntimeOf) -> Response:
    """Take in one document: 201 if it is new, 200 if its natural key is known; 409 if it refers to what is not."""
    of = resource_named(resource)
    row = read_row(of, parse(await request.body()))
    result = written(await write_together(runtime, of, row))
    location = f"/sis/data/v3/ed-fi/{resource}/{result.id}"
    return JSONResponse({"id": str(result.id)}, STATUS[result.outcome], {"Location": location})


@router.get("/data/v3/ed-fi/{resource}")
async def list_documents(
    resource: str,
    request: Request,
    response: Response,
    session: Session,
    who: Annotated[Principal, require("sis", "district")],
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    limit: Annotated[int, Query(ge=0, le=500)] = 25,
    totalCount: Annotated[bool, Query(description="Answer with the header Total-Count.")] = False,  # noqa: N803 (Ed-Fi's name)
) -> list[dict[str, Any]]:
    """Documents by members of the natural key under their leaf names, such as ``studentUniqueId``; all without one.

    Sealed members, such as a contact's name and address, are never answered here.
    """
    of = resource_named(resource)
    wanted = {name: value for name, value in request.query_params.items() if name not in _PAGING}
    chosen = sa.select(_DOCUMENTS).where(*_filters(of, wanted), visible_to(who, _DOCUMENTS.c.school_id))
    if totalCount:
        count = await session.execute(sa.select(sa.func.count()).select_from(chosen.subquery()))
        response.headers["Total-Count"] = str(count.scalar_one())
    rows = await session.execute(chosen.order_by(_DOCUMENTS.c.id).offset(offset).limit(limit))
    return [_shown(row) for row in rows]


@router.get("/data/v3/ed-fi/{resource}/{document_id}")
async def read_document(
    resource: str, document_id: UUID, session: Session, who: Annotated[Principal, require("sis", "district")]
) -> dict[str, Any]:
    """One document; sealed members are never answered here."""
    found = await _document(session, resource_named(resource), document_id, who)
    return _shown(found)


@router.delete("/data/v3/ed-fi/{resource}/{document_id}", status_code=204, response_class=Response)
async def delete_document(
    resource: str,
    document_id: UUID,
    session: Session,
    runtime: RuntimeOf,
    who: Annotated[Principal, require("sis")],
) -> None:
    """Take one document away; 409 while others refer to it."""
    of = resource_named(resource)
    found = await _document(session, of, document_id, who)
    written((await write(session, runtime.vault, of, [read_deletion(of, found.body)]))[0])


async def _document(session: Session, resource: Resource, document_id: UUID, who: Principal) -> sa.Row[Any]:
    mine = (_DOCUMENTS.c.resource == resource.name, _DOCUMENTS.c.id == document_id, ~_DOCUMENTS.c.deleted)
    rows = await session.execute(sa.select(_DOCUMENTS).where(*mine, visible_to(who, _DOCUMENTS.c.school_id)))
    found = rows.one_or_none()
    if found is None:
        raise NotFound(what="document")
    return found


def _shown(row: sa.Row[Any]) -> dict[str, Any]:
    changed = row.source_modified_at or row.known_at
    return {"id": str(row.id), **row.body, "_etag": str(row.revision), "_lastModifiedDate": changed.isoformat()}


def _filters(resource: Resource, wanted: Mapping[str, str]) -> list[sa.ColumnElement[bool]]:
    filters = [_DOCUMENTS.c.resource == resource.name, ~_DOCUMENTS.c.deleted]
    for name, value in wanted.items():
        if name not in resource.leaves:
            raise InvalidMember(field=name, rule="is not part of the natural key")
        if "\x00" in value:
            raise InvalidMember(field=name, rule="must not hold control characters")
        filters += _filter(resource, resource.leaves[name], value)
    return filters


def _filter(resource: Resource, path: str, value: str) -> list[sa.ColumnElement[bool]]:
    """Where the member at ``path`` has this value; first by what an index knows, then exactly."""
    if len(resource.identity) == 1:
        return [_DOCUMENTS.c.key == key_text(iter([value]))]
    member = _DOCUMENTS.c.body[tuple(path.split("."))].astext
    if path in resource.codes:
        return [sa.func.lower(sa.func.substring(member, "[^#]*$")) == code_value(value).lower()]
    narrower = []
    if path == resource.school:
        narrower.append(_DOCUMENTS.c.school_id == value)
    if path == "studentReference.studentUniqueId":
        student = sa.select(_DOCUMENTS.c.id).where(
            _DOCUMENTS.c.resource == "students", _DOCUMENTS.c.key == key_text(iter([value]))
        )
        narrower.append(_DOCUMENTS.c.refs.contains(sa.func.array(student.scalar_subquery())))
    return [*narrower, member == value]
