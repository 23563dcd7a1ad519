"""What waits for a document that has not come: the list for those who can help."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from fastapi import Query
from pydantic import BaseModel

from common.access import require
from common.app import Router
from common.auth import Principal
from common.db import Session
from common.errors import Invalid
from common.paging import Cursor, Limit, Page, decode_cursor, encode_cursor
from sis.models import WaitingRow
from sis.policy import WAITING
from sis.waiting import names_of

router = Router("sis", tags=["arrivals"])

_ROWS = WaitingRow.metadata.tables["sis_waiting"]


class Waiting(BaseModel):
    """A row that waits, by the id of the document it will be, and the resources of which it needs documents."""

    id: UUID
    resource: str
    waits_for: list[str]
    since: datetime
    source: str


@router.get("/v1/waiting")
async def list_waiting(
    session: Session,
    who: Annotated[Principal, require("sis", "district", reads=["non_personal"], purpose="records")],
    limit: Limit = 100,
    cursor: Cursor = None,
    all: Annotated[bool, Query(description="Also those that wait for less than a day.")] = False,  # noqa: A002 (its name in the address)
) -> Page[Waiting]:
    """Rows that wait for more than 24 hours for a document they refer to, oldest first; a SIS sees its own."""
    conditions = [~_ROWS.c.taken_back]
    if who.role == "sis":
        conditions.append(_ROWS.c.source == who.subject)
    if not all:
        conditions.append(_ROWS.c.since < sa.func.clock_timestamp() - timedelta(hours=WAITING.listed_after_hours))
    if cursor:
        conditions.append(sa.tuple_(_ROWS.c.since, _ROWS.c.id) > sa.tuple_(*_place(cursor)))
    chosen = sa.select(_ROWS).where(*conditions).order_by(_ROWS.c.since, _ROWS.c.id).limit(limit)
    rows = (await session.execute(chosen)).all()
    items = [
        Waiting(id=row.id, resource=row.resource, waits_for=names_of(row.awaited), since=row.since, source=row.source)
        for row in rows
    ]
    return Page(
        items=items, next=encode_cursor(rows[-1].since.isoformat(), str(rows[-1].id)) if len(rows) == limit else None
    )


def _place(cursor: str) -> tuple[datetime, UUID]:
    since, identity = decode_cursor(cursor, 2)
    try:
        return datetime.fromisoformat(since), UUID(identity)
    except ValueError:
        raise Invalid(field="cursor", rule="must be the next of an earlier page") from None
