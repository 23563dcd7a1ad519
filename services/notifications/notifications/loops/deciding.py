"""From an occasion to notices: recipients, channel and language, decided in one transaction with the reasons."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.errors import SisterUnavailable
from common.runtime import Runtime
from notifications.families import Family, ask_family
from notifications.ledger import Matter, add_task, call_uncertain, hold_for_person, notice_identity
from notifications.loops.planning import not_before, notices_of, plans_for, told_recently, write_plan
from notifications.models import Notice, Occasion
from notifications.policy import POLICY
from notifications.rules.recipients import Plan

log = structlog.get_logger(__name__)

_AT_ONCE = 50
_UNCHANGING = frozenset({"told_recently", "too_old"})
_IDLE = frozenset({"held", "cancelled"})

_TOO_OLD = sa.text(
    """
    UPDATE notifications_occasion SET state = 'held', reason = 'too_old'
    WHERE state = 'open' AND effective_on < :oldest
    RETURNING id, student_id, school_id, heard_at::date - effective_on <= :days AS in_time
    """
)
_TOO_OLD_NOTICES = sa.text(
    """
    UPDATE notifications_notice SET state = 'held', reason = 'too_old'
    WHERE state = 'pending' AND effective_on < :oldest
    RETURNING id, student_id, school_id, occasion_id
    """
)


async def decide_recipients(runtime: Runtime) -> None:
    """Decide for every open occasion who is told. Sis away: wait; nothing is guessed."""
    await _hold_too_old(runtime)
    for occasion_id, student_id, school_id in await _open(runtime):
        try:
            family = await ask_family(runtime, student_id, school_id)
        except SisterUnavailable as away:
            log.warning("families wait for an answer", error="SisterUnavailable", reason=away.detail)
            return
        await _decide(runtime, occasion_id, family)


async def _hold_too_old(runtime: Runtime) -> None:
    """Hold back what took effect too long ago. Whoever would have been told in time is left to a person."""
    oldest = runtime.today() - timedelta(days=POLICY.too_old_days)
    async with runtime.transaction() as session:
        occasions = (await session.execute(_TOO_OLD, {"oldest": oldest, "days": POLICY.too_old_days})).all()
        notices = (await session.execute(_TOO_OLD_NOTICES, {"oldest": oldest})).all()
        late = {row.occasion_id: row for row in notices} | {row.id: row for row in occasions if row.in_time}
        for occasion_id, row in late.items():
            await add_task(session, "too_old", occasion_id, student=row.student_id, school=row.school_id)


async def _open(runtime: Runtime) -> list[tuple[UUID, UUID, str]]:
    async with runtime.transaction() as session:
        rows = await session.execute(
            sa.select(col(Occasion.id), col(Occasion.student_id), col(Occasion.school_id))
            .where(
                col(Occasion.state) == "open",
                sa.or_(col(Occasion.ask_at).is_(None), col(Occasion.ask_at) <= runtime.now()),
            )
            .order_by(col(Occasion.heard_at))
            .limit(_AT_ONCE)
        )
        return [(occasion_id, student_id, school_id) for occasion_id, student_id, school_id in rows]


async def _decide(runtime: Runtime, occasion_id: UUID, family: Family | None) -> None:
    async with runtime.transaction() as session:
        occasion = await session.get_one(Occasion, occasion_id, with_for_update=True)
        if occasion.state != "open":
            return
        first = await not_before(session, runtime, occasion)
        plans = await plans_for(session, runtime, family, occasion_id) if family else []
        if family is None or first is None or not plans:
            occasion.reason = _why_nobody(family, first)
            occasion.ask_at = _later(runtime)
            return
        before = await notices_of(session, occasion.id)
        notices = [await _note(session, runtime, occasion, chosen, first, before) for chosen in plans]
        _drop_stale(before, notices)
        _settle(occasion, notices, runtime)


def _why_nobody(family: Family | None, first: datetime | None) -> str:
    if family is None:
        return "contacts_unknown"
    return "calendar_unknown" if first is None else "no_guardian"


def _settle(occasion: Occasion, notices: Iterable[Notice], runtime: Runtime) -> None:
    """Close the occasion, unless somebody is held back for a reason that may pass: then look again later."""
    waits = any(notice.state == "held" and notice.reason not in _UNCHANGING for notice in notices)
    occasion.state, occasion.reason = ("open" if waits else "settled"), ""
    occasion.ask_at = _later(runtime) if waits else None
    occasion.doubtful = occasion.doubtful and waits


def _later(runtime: Runtime) -> datetime:
    return runtime.now() + timedelta(minutes=POLICY.ask_again_minutes)


def _drop_stale(before: Sequence[Notice], now: Sequence[Notice]) -> None:
    """Cancel what was held back for households that have joined or left another meanwhile."""
    for notice in before:
        if notice.state == "held" and notice not in now:
            notice.state, notice.reason = "cancelled", "household_changed"


async def _note(
    session: AsyncSession,
    runtime: Runtime,
    occasion: Occasion,
    chosen: Plan,
    first: datetime,
    before: Sequence[Notice],
) -> Notice:
    """The notice to one household: one that is under way, else its own brought up to date, else a new one."""
    for notice in before:
        if notice.state not in _IDLE and chosen.members & set(notice.household):
            return notice
    notice = next((each for each in before if each.recipient == chosen.recipient), None) or _blank(occasion, chosen)
    session.add(notice)
    write_plan(notice, chosen, runtime.now())
    notice.not_before = first
    notice.state, notice.reason = ("pending", "") if chosen.channel else ("held", chosen.reason)
    if chosen.channel and await told_recently(session, runtime, occasion, chosen):
        await hold_for_person(session, notice, "told_recently")
    elif chosen.channel and occasion.doubtful:
        await call_uncertain(session, notice, "after_restore")
    return notice


def _blank(occasion: Occasion, chosen: Plan) -> Notice:
    matter = Matter(occasion.student_id, occasion.purpose, occasion.ground)
    return Notice(
        id=notice_identity(matter, occasion.effective_on, chosen.recipient),
        occasion_id=occasion.id,
        student_id=occasion.student_id,
        school_id=occasion.school_id,
        purpose=occasion.purpose,
        ground=occasion.ground,
        effective_on=occasion.effective_on,
        recipient=chosen.recipient,
    )
