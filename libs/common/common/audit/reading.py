"""The audit log read back: by whoever a district lets read it, and each reading is in it too."""

from datetime import date, datetime, time
from operator import attrgetter
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from fastapi import APIRouter, Query
from sqlalchemy.dialects.postgresql import ARRAY

from common.access import require
from common.audit.chain import Entry
from common.auth import READ_AUDIT
from common.db import Session
from common.paging import Cursor, Limit, Page, keyset, next_of
from common.policy import AUDIT_SEALED
from common.runtime import RuntimeOf
from common.strict import Router

_AUDIT = sa.table(
    "audit",
    *(sa.column(name) for name in Entry.model_fields if name not in ("number", "at", "students")),
    sa.column("number", sa.BigInteger),
    sa.column("at", sa.DateTime(timezone=True)),
    sa.column("students", ARRAY(sa.Uuid)),
)
_LATE = _AUDIT.c.at < sa.func.clock_timestamp() - AUDIT_SEALED
_UNSEALED = sa.select(sa.func.count(), sa.func.count().filter(_LATE)).where(_AUDIT.c.number.is_(None))


class AuditPage(Page[Entry]):
    """Some entries in the order in which they were sealed, how many rows wait to be, and how many for too long."""

    unsealed: int
    late: int


def audit_router(name: str) -> APIRouter:
    """The route by which every service shows its audit log."""
    router = Router(name, tags=["operations"])
    auditor = require(
        "district", permission=READ_AUDIT, second_factor=True, reads=["access_record"], purpose="administration"
    )

    @router.get("/v1/audit", dependencies=[auditor])
    async def read_audit(
        session: Session,
        runtime: RuntimeOf,
        subject: Annotated[str | None, Query(max_length=255, description="Who.")] = None,
        student: Annotated[UUID | None, Query(description="About whom.")] = None,
        since: Annotated[date | None, Query(description="From this day on.")] = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> AuditPage:
        """Who changed something or read something sensitive, about whom, and when; rows not sealed yet are only counted."""
        asked = sa.select(_AUDIT).where(_AUDIT.c.number.is_not(None))
        if subject is not None:
            asked = asked.where(_AUDIT.c.subject == subject)
        if student is not None:
            asked = asked.where(_AUDIT.c.students.contains([student]))
        if since is not None:
            asked = asked.where(_AUDIT.c.at >= datetime.combine(since, time(), runtime.settings.zone))
        rows = (await session.execute(keyset(asked, _AUDIT.c.number, cursor, limit))).all()
        items = [Entry.model_validate(row, from_attributes=True) for row in rows[:limit]]
        unsealed, late = (await session.execute(_UNSEALED)).one()
        return AuditPage(items=items, next=next_of(rows, limit, attrgetter("number")), unsealed=unsealed, late=late)

    return router
