"""Each month that is over, once: what its decisions came to by group is kept as told, and ratios that call for a person wait."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.ids import new_id
from common.runtime import Runtime
from common.telemetry import record_alert
from mtss.equity import groups_of_students
from mtss.models import policy_in_force
from mtss.models.monthly import Equity, EquityAlert, Span, first_decided_on, happened, keep
from mtss.numbers import LEAST
from mtss.rules.monthly import Inequity, by_group, inequities
from mtss.rules.rehearsal.who import SCHOOL, groups_of

log = structlog.get_logger(__name__)


async def tell_equity(runtime: Runtime) -> None:
    """Tell what every month came to that is over and was not told of, in their order.

    Raises:
        SisterUnavailable: sis does not tell groups; the month is told of later.
    """
    while span := await _next(runtime):
        await _tell(runtime, span)


async def _next(runtime: Runtime) -> Span | None:
    """The first month not told of, from that of the first decision on, if it is over."""
    zone = runtime.settings.zone
    async with runtime.transaction() as session:
        last = await session.scalar(sa.select(sa.func.max(col(Equity.month))))
        day = _after(last) if last else await first_decided_on(session, zone.key)
    span = span_of(day, zone) if day else None
    return span if span and span.next <= runtime.today() else None


def span_of(day: date, zone: ZoneInfo) -> Span:
    """The month of a day."""
    first = day.replace(day=1)
    following = _after(first)
    return Span(first, following, *(datetime(each.year, each.month, 1, tzinfo=zone) for each in (first, following)))


def _after(first: date) -> date:
    """The first day of the month after the one that begins with ``first``."""
    return (first + timedelta(days=31)).replace(day=1)


async def _tell(runtime: Runtime, span: Span) -> None:
    async with runtime.transaction() as session:
        policy = await policy_in_force(session, span.next - timedelta(days=1))
        students, schools, month = await happened(session, span, runtime.settings.zone.key, policy)
    groups = {**await groups_of_students(runtime, students), SCHOOL: groups_of(schools)}
    report, threshold = by_group(month, groups, LEAST), float(policy.review["equity_alert"].value)
    async with runtime.transaction() as session:
        if not await keep(session, span.first, len(students), {"minimum": asdict(LEAST), "measures": report}):
            return  # another process was faster
        raised = await _raise(session, span.first, inequities(month, groups, threshold, LEAST), threshold)
    for _ in range(raised):
        record_alert(runtime.name, state="inequity")
    if raised:
        log.warning("an alert", service=runtime.name, reason="inequity", count=raised)


async def _raise(session: AsyncSession, month: date, found: Sequence[Inequity], threshold: float) -> int:
    """How many of these were not waiting for a person already."""
    raised = 0
    for each in found:
        said = asdict(each) | {"id": new_id(), "month": month, "threshold": threshold}
        said |= {"group_name": said.pop("group")} | (said.pop("ratio") or {})
        statement = insert(EquityAlert).values(said).on_conflict_do_nothing().returning(col(EquityAlert.id))
        raised += (await session.execute(statement)).one_or_none() is not None
    return raised
