"""Lists of documents by natural key or change version, page after page; and what changed and is gone."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import Query, Request, Response
from pydantic import BaseModel

from common.app import Router
from common.auth import Principal
from common.db import Session
from common.runtime import Runtime, RuntimeOf
from sis.clients.bounds import granted, only_own
from sis.queries import Page, Paging, agrees, key_asked_for, partition, query_of, read_page, shown, tell_of
from sis.resources import Resource
from sis.routes.fields import Reader
from sis.rules.members import value_at
from sis.waiting import waiting_for_key

router = Router("ed-fi", tags=["Ed-Fi"])

Asked = Annotated[Paging, Query()]


class Partitions(BaseModel):
    """Where to begin, for several readers at once."""

    pageTokens: list[str]  # noqa: N815 (Ed-Fi's name)


class Deleted(BaseModel):
    """A document that is gone: its id, when it went, and its natural key by leaf names."""

    id: str
    changeVersion: int  # noqa: N815 (Ed-Fi's name)
    keyValues: dict[str, Any]  # noqa: N815 (Ed-Fi's name)


@router.get("/{resource}")
async def list_documents(
    resource: str,
    request: Request,
    response: Response,
    session: Session,
    runtime: RuntimeOf,
    who: Reader,
    paging: Asked,
) -> list[dict[str, Any]]:
    """Documents by members of the natural key under their leaf names, such as ``studentUniqueId``; all without one.

    Sealed members, such as a contact's name and address, are never answered here. A row that waits is in the
    list of who asks for all of its natural key, with ``_waiting``, and in the count of that list; in no other.
    """
    of = granted(who, resource)
    query = query_of(of, request.query_params, paging, who)
    page = await read_page(session, query, paging)
    waits = [] if page.rows or page.total else await _waiting(session, runtime, of, request.query_params, paging, who)
    if waits and paging.totalCount:
        page = replace(page, total=len(waits))
    found = [dict(of.shown(shown(row))) for row in _said(response, page)]
    return found or waits[paging.offset :][: paging.size]


@router.get("/{resource}/partitions")
async def list_partitions(
    resource: str,
    request: Request,
    session: Session,
    who: Reader,
    paging: Asked,
    number: Annotated[int, Query(ge=1, le=200)] = 5,
) -> Partitions:
    """Page tokens that split a list into parts about as large as each other."""
    query = query_of(granted(who, resource), request.query_params, paging, who)
    return Partitions(pageTokens=await partition(session, query, number))


@router.get("/{resource}/deletes")
async def list_deletes(
    resource: str, request: Request, response: Response, session: Session, who: Reader, paging: Asked
) -> list[Deleted]:
    """Documents that are gone, and when; one that was pushed again since is not among them."""
    of = granted(who, resource)
    query = query_of(of, request.query_params, paging, who, deleted=True)
    return [_deleted(of, row) for row in _said(response, await read_page(session, query, paging))]


@router.get("/{resource}/keyChanges")
async def list_key_changes(resource: str, response: Response, who: Reader, paging: Asked) -> list[Deleted]:
    """Nothing: what identifies a document never changes."""
    granted(who, resource)
    return list(_said(response, Page((), None, 0 if paging.totalCount else None)))


async def _waiting(
    session: Session,
    runtime: Runtime,
    resource: Resource,
    parameters: Mapping[str, str],
    paging: Paging,
    who: Principal,
) -> list[dict[str, Any]]:
    """The row that waits to be the document with the natural key asked for, if there is one."""
    key = key_asked_for(resource, parameters, paging)
    found = (
        await waiting_for_key(session, runtime.vault, resource, key, source=only_own(who)) if key is not None else None
    )
    document = dict(resource.shown(shown(found))) | found.waiting if found else {}
    return [document] if document and agrees(document, resource, parameters) else []


def _said(response: Response, page: Page) -> Any:
    tell_of(page.rows)
    if page.token is not None:
        response.headers["Next-Page-Token"] = page.token
    if page.total is not None:
        response.headers["Total-Count"] = str(page.total)
    return page.rows


def _deleted(resource: Resource, row: sa.Row[Any]) -> Deleted:
    values = {leaf: value_at(row.body, path) for leaf, path in resource.leaves.items()}
    known = {leaf: value for leaf, value in values.items() if value is not None}
    return Deleted(id=str(row.id), changeVersion=row.change_version, keyValues=dict(resource.shown(known)))
