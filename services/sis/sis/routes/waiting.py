"""What waits for a document that has not come: the list for those who can help."""

from datetime import datetime, timedelta
from operator import attrgetter
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from fastapi import Query
from pydantic import BaseModel

from common.access import require
from common.app import Router
from common.auth import Principal
from common.db import Session
from common.paging import Cursor, Limit, Page, keyset, next_of
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
    chosen = keyset(sa.select(_ROWS).where(*conditions), (_ROWS.c.since, _ROWS.c.id), cursor, limit)
    rows = (await session.execute(chosen)).all()
    items = [
        Waiting(id=row.id, resource=row.resource, waits_for=names_of(row.awaited), since=row.since, source=row.source)
        for row in rows[:limit]
    ]
    return Page(items=items, next=next_of(rows, limit, attrgetter("since"), attrgetter("id")))
