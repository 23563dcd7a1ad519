"""What whoever operates a service may ask it: how it stands, what is parked, what to say again."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from common import parking
from common.access import require
from common.db import Session
from common.described import refusing
from common.errors import DomainError
from common.events import Event
from common.idempotency import repeatable
from common.migrations import pending
from common.outbox import BATCH, publish_standing
from common.paging import Cursor, Limit, Page, last_of, next_of
from common.policy import ANSWERS_KEPT
from common.routing import EventRouter
from common.runtime import Runtime, RuntimeOf
from common.strict import Router
from common.telemetry import record_standing

RETENTION = timedelta(days=60)
"""How long inbox ids and published outbox rows are kept: twice as long as a topic keeps its events."""

_WAITING = sa.text(
    """
    SELECT count(*), extract(epoch FROM clock_timestamp() - min(created_at))
    FROM outbox WHERE published_at IS NULL
    """
)
_PARKED = sa.text("SELECT count(*) FROM inbox_parked WHERE discarded_at IS NULL")
_FORGET = (
    (sa.text("DELETE FROM inbox WHERE received_at < now() - CAST(:kept AS interval)"), RETENTION),
    (sa.text("DELETE FROM outbox WHERE published_at < now() - CAST(:kept AS interval)"), RETENTION),
    (sa.text("DELETE FROM answer WHERE given_at < now() - CAST(:kept AS interval)"), ANSWERS_KEPT),
)


class NothingToResend(DomainError):
    """The service {service} keeps no facts that others follow: there is nothing to say again."""

    status = 404


class Status(BaseModel):
    """How a service stands."""

    service: str
    migrations: str
    unpublished: int
    oldest_unpublished_seconds: float | None
    lag: int | None = None
    parked: int


class ParkedEvent(BaseModel):
    """An event that could not be handled, or waits behind one. Never its content."""

    id: UUID
    type: str
    error: str
    parked_at: datetime


class Done(BaseModel):
    """How many events it was."""

    events: int


async def measure(runtime: Runtime) -> None:
    """Note in the metrics what waits to be said, how far behind this service hears, and what is parked."""
    async with runtime.transaction() as session:
        _, oldest = (await session.execute(_WAITING)).one()
        parked = (await session.execute(_PARKED)).scalar_one()
    record_standing(runtime.name, lag=runtime.lag, oldest_unpublished_seconds=_seconds(oldest), parked=parked)


async def forget_old_events(runtime: Runtime) -> None:
    """Delete inbox ids, published outbox rows and kept answers past their retention."""
    async with runtime.transaction() as session:
        for statement, kept in _FORGET:
            await session.execute(statement, {"kept": kept})


def operations_router(name: str, events: EventRouter) -> APIRouter:
    """The routes that every service has for its operators."""
    router = Router(name, tags=["operations"])
    operators = [require("district", reads=["non_personal"], purpose="operations")]

    @router.get("/v1/status", dependencies=operators)
    async def read_status(session: Session, runtime: RuntimeOf) -> Status:
        """How this service stands: migrations, what waits to be said, how far behind it hears, what is parked."""
        waiting, oldest = (await session.execute(_WAITING)).one()
        behind = await (await session.connection()).run_sync(pending, name)
        return Status(
            service=name,
            migrations="behind" if behind else "current",
            unpublished=waiting,
            oldest_unpublished_seconds=_seconds(oldest),
            lag=runtime.lag,
            parked=(await session.execute(_PARKED)).scalar_one(),
        )

    @router.get("/v1/events/parked", dependencies=operators)
    async def list_parked(session: Session, limit: Limit = 100, cursor: Cursor = None) -> Page[ParkedEvent]:
        """Parked events, oldest first."""
        (after,) = last_of(cursor, int) if cursor is not None else (0,)
        rows = await parking.list_parked(session, after=after, limit=limit + 1)
        items = [
            ParkedEvent(id=row.id, type=row.type, error=row.error, parked_at=row.parked_at) for row in rows[:limit]
        ]
        return Page(items=items, next=next_of(rows, limit, attrgetter("position")))

    @router.post("/v1/events/parked/{event_id}/replay", dependencies=operators)
    @repeatable("an event is parked once, and handled once")
    async def replay_parked(event_id: UUID, request: Request) -> Done:
        """Handle a parked event again, and those parked behind it."""
        return Done(events=await request.app.state.inbox.replay(event_id))

    @router.post(
        "/v1/events/parked/{event_id}/discard",
        dependencies=[require("district", second_factor=True, reads=["non_personal"], purpose="operations")],
    )
    @repeatable("an event is given up once")
    async def discard_parked(event_id: UUID, session: Session) -> Done:
        """Give up a parked event; it stays on record. Those behind it are handled by a replay of one of them."""
        await parking.discard(session, event_id)
        return Done(events=1)

    @router.post("/v1/events/resend", dependencies=operators, responses=refusing(NothingToResend))
    @repeatable("who knows a fact already does nothing")
    async def resend_standing(
        session: Session, dry_run: Annotated[bool, Query(description="Only count.")] = False
    ) -> Done:
        """Say again every fact of this service as it stands; who knows it already does nothing."""
        if events.standing_source is None:
            raise NothingToResend(service=name)
        return Done(events=await _resend(session, events.standing_source(session), dry_run=dry_run))

    return router


def _seconds(age: Any) -> float | None:
    return None if age is None else max(0.0, round(float(age), 3))


async def _resend(session: AsyncSession, standing: AsyncIterator[Event], *, dry_run: bool) -> int:
    waiting: list[Event] = []
    count = 0
    async for event in standing:
        count += 1
        waiting.append(event)
        if len(waiting) == BATCH:
            await _say(session, waiting, dry_run=dry_run)
            waiting = []
    await _say(session, waiting, dry_run=dry_run)
    return count


async def _say(session: AsyncSession, events: list[Event], *, dry_run: bool) -> None:
    if not dry_run:
        await publish_standing(session, events)
