"""From a notice to a message: at most one reaches a household, and what nobody can know goes to a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.errors import SisterUnavailable
from common.failpoints import failpoint
from common.inbox import database_was_set_back
from common.runtime import Runtime
from notifications.families import Family, ask_family, still_stands
from notifications.gate import Gate, gate_of, why_shut
from notifications.ledger import Matter, add_task, doubt_everything, hold_for_person, withdraw
from notifications.letters import address_lines
from notifications.loops.attempts import Ready, begin_e_mail, call_abandoned_uncertain, end_attempt, queue_letter
from notifications.loops.planning import (
    TOLD,
    not_before,
    notices_of,
    plans_for,
    told_recently,
    words_for,
    write_plan,
)
from notifications.mail import MailServer, hand_over
from notifications.models import Fact, Notice, Occasion
from notifications.policy import POLICY
from notifications.rules.caps import broken_until, most_a_day
from notifications.rules.recipients import Plan
from notifications.rules.timing import quiet_until, too_old
from notifications.texts import TEXTS

log = structlog.get_logger(__name__)

_AT_ONCE = 50
_CHANNELS = ("letter", "email")
_ONE_AT_A_TIME = 0x7465_6C6C  # any number: attempts begin one after the other, whichever worker begins them

_LOCK = sa.text("SELECT pg_advisory_xact_lock(:key)")
_LAST_CALLS = sa.text(
    """
    SELECT NOT reached, ended_at FROM notifications_attempt WHERE channel = 'email' AND ended_at IS NOT NULL
    ORDER BY fence DESC LIMIT :limit
    """
)
_SENDING_DAYS = sa.text(
    """
    SELECT count(*) FROM notifications_notice WHERE told_on < :today AND state = ANY(:told)
    GROUP BY told_on ORDER BY told_on DESC LIMIT :days
    """
)
_TODAY = sa.text("SELECT count(*) FROM notifications_notice WHERE told_on = :today AND state = ANY(:told)")
_CAP_ANSWERS = sa.text(
    """
    SELECT coalesce(bool_or(resolved_at IS NULL), false), coalesce(bool_or(about = :today AND resolved_at IS NOT NULL), false)
    FROM notifications_task WHERE kind = 'cap'
    """
)


class _Pass(Enum):
    """Whether this pass goes on to the next notice."""

    GOES_ON = auto()
    ENDS = auto()


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the sister services said just before an attempt; ``None`` where they do not know."""

    matter: Matter
    family: Family | None
    decision_id: UUID | None
    stands: bool | None


async def send_due(runtime: Runtime) -> None:
    """Tell every household whose time has come, if sending is on."""
    await call_abandoned_uncertain(runtime)
    if await _shut(runtime) or not await _due(runtime, _CHANNELS):
        return
    gate = await gate_of(runtime)
    for notice_id in await _due(runtime, [channel for channel in _CHANNELS if gate.why_waits(channel) is None]):
        if await _tell(runtime, notice_id, gate) is _Pass.ENDS:
            return


async def _shut(runtime: Runtime) -> bool:
    """Whether nothing may go out whichever server it is, or a person was asked and has not answered."""
    async with runtime.transaction() as session:
        if await database_was_set_back(session):
            await doubt_everything(session)
        if await why_shut(session, runtime):
            return True
        waits, _ = (await session.execute(_CAP_ANSWERS, {"today": str(runtime.today())})).one()
        return bool(waits)


async def _due(runtime: Runtime, open_channels: Sequence[str]) -> list[UUID]:
    """Notices whose time has come, oldest first, that go through one of the channels; no e-mail while the mail server is left alone."""
    async with runtime.transaction() as session:
        calls = (await session.execute(_LAST_CALLS, {"limit": POLICY.breaker_failures})).all()
        until = broken_until([failed for failed, _ in calls], calls[0][1] if calls else None, POLICY)
        at: datetime = (await session.execute(sa.text("SELECT now()"))).scalar_one()
        alone = until is not None and at < until
        channels = [channel for channel in open_channels if channel != "email" or not alone]
        rows = await session.execute(
            sa.select(col(Notice.id))
            .where(
                col(Notice.state) == "pending",
                col(Notice.not_before) <= runtime.now(),
                col(Notice.channel).in_(channels),
            )
            .order_by(col(Notice.not_before), col(Notice.id))
            .limit(_AT_ONCE)
        )
        return list(rows.scalars())


async def _tell(runtime: Runtime, notice_id: UUID, gate: Gate) -> _Pass:
    """Ask everything again, commit the attempt, and only then speak to the mail server."""
    try:
        asked = await _ask_again(runtime, notice_id)
    except SisterUnavailable as away:
        log.warning("families wait for an answer", error="SisterUnavailable", reason=away.detail)
        return _Pass.ENDS
    if asked.stands is False:
        await _withdraw(runtime, asked)
        return _Pass.GOES_ON
    begun = await _begin(runtime, notice_id, asked, gate.server)
    if not isinstance(begun, Ready):
        return begun
    answer = await hand_over(
        begun.mail, begun.server, only_catcher=gate.only_catcher, seconds=float(POLICY.call_seconds)
    )
    failpoint("sender-after-send")
    await end_attempt(runtime, begun, answer)
    return _Pass.GOES_ON if answer.reached else _Pass.ENDS


async def _ask_again(runtime: Runtime, notice_id: UUID) -> _Asked:
    async with runtime.transaction() as session:
        notice = await session.get_one(Notice, notice_id)
        fact = await session.get_one(Fact, (notice.student_id, notice.purpose, notice.ground))
    matter = Matter(notice.student_id, notice.purpose, notice.ground)
    family = await ask_family(runtime, notice.student_id, notice.school_id)
    if fact.decision_id is None or not fact.stands:
        return _Asked(matter, family, fact.decision_id, stands=fact.stands)
    return _Asked(matter, family, fact.decision_id, stands=await still_stands(runtime, fact.decision_id))


async def _begin(runtime: Runtime, notice_id: UUID, asked: _Asked, server: MailServer | None) -> Ready | _Pass:
    async with runtime.transaction() as session:
        await session.execute(_LOCK, {"key": _ONE_AT_A_TIME})
        notice = await session.get_one(Notice, notice_id)
        occasion = await session.get_one(Occasion, notice.occasion_id, with_for_update=True)
        await session.refresh(notice, with_for_update=True)
        if notice.state != "pending":
            return _Pass.GOES_ON
        if await why_shut(session, runtime):
            return _Pass.ENDS
        if asked.family is None or asked.stands is None:
            notice.not_before = _put_off(runtime)
        else:
            chosen = await _still_due(session, runtime, occasion, notice, asked.family)
            if chosen is not None:
                return await _tell_now(session, runtime, notice, chosen, asked.family, server)
        return _Pass.GOES_ON


async def _tell_now(
    session: AsyncSession, runtime: Runtime, notice: Notice, chosen: Plan, family: Family, server: MailServer | None
) -> Ready | _Pass:
    if chosen.email is not None and server is None:  # what was to be a letter has become an e-mail, which waits
        return _Pass.GOES_ON
    if await _cap_reached(session, runtime):
        return _Pass.ENDS
    message = TEXTS.message(
        notice.purpose, words_for(chosen), student=family.student_first_name, school=family.school_name
    )
    notice.told_on = runtime.today()
    if chosen.email is not None and server is not None:
        return await begin_e_mail(session, runtime, notice, message, chosen.email, server)
    if chosen.address is not None:
        await queue_letter(session, runtime, notice, message, address_lines(chosen.addressee, chosen.address))
    return _Pass.GOES_ON


def _put_off(runtime: Runtime) -> datetime:
    return runtime.now() + timedelta(minutes=POLICY.ask_again_minutes)


async def _withdraw(runtime: Runtime, asked: _Asked) -> None:
    """Cancel what no longer stands, and remember that, so that a later decision for it opens it anew.

    If a later decision was heard meanwhile, nothing is cancelled: the next pass asks about that one.
    """
    matter = asked.matter
    statement = sa.update(Fact).where(
        col(Fact.student_id) == matter.student_id,
        col(Fact.purpose) == matter.purpose,
        col(Fact.ground) == matter.ground,
        col(Fact.decision_id).is_not_distinct_from(asked.decision_id),
    )
    async with runtime.transaction() as session:
        fallen = await session.execute(statement.values(stands=False).returning(col(Fact.ground)))
        if fallen.first() is not None:
            await withdraw(session, [matter])


async def _still_due(
    session: AsyncSession, runtime: Runtime, occasion: Occasion, notice: Notice, family: Family
) -> Plan | None:
    """The plan as it is now, or ``None`` once the notice was put off, held or cancelled."""
    first = await not_before(session, runtime, occasion)
    if occasion.state == "cancelled":
        notice.state, notice.reason = "cancelled", "withdrawn"
    elif too_old(notice.effective_on, runtime.today(), POLICY):
        await hold_for_person(session, notice, "too_old")
    elif first is None or first > runtime.now():
        notice.not_before = first or _put_off(runtime)
    else:
        return await _route_now(session, runtime, occasion, notice, family)
    return None


async def _route_now(
    session: AsyncSession, runtime: Runtime, occasion: Occasion, notice: Notice, family: Family
) -> Plan | None:
    plans = await plans_for(session, runtime, family, occasion.id)
    mine = [each for each in plans if each.members & set(notice.household)]
    chosen = next((each for each in mine if notice.recipient in each.members), mine[0] if mine else None)
    if chosen is None or chosen.channel is None:
        notice.state, notice.reason = "held", chosen.reason if chosen else "no_guardian"
        occasion.state, occasion.ask_at = "open", None
        return None
    if await _household_told(session, notice, chosen):
        notice.state, notice.reason = "cancelled", "household_told"
        return None
    if await told_recently(session, runtime, occasion, chosen):
        await hold_for_person(session, notice, "told_recently")
        return None
    write_plan(notice, chosen, runtime.now())
    quiet = quiet_until(chosen.channel, runtime.now(), runtime.settings.zone, POLICY)
    notice.not_before = quiet or notice.not_before
    return None if quiet else chosen


async def _household_told(session: AsyncSession, notice: Notice, chosen: Plan) -> bool:
    others = [each for each in await notices_of(session, notice.occasion_id) if each.id != notice.id]
    return any(each.state in TOLD and chosen.members & set(each.household) for each in others)


async def _cap_reached(session: AsyncSession, runtime: Runtime) -> bool:
    """Whether a person must be asked before anybody else is told today; if so, the question is put."""
    today = runtime.today()
    waits, lifted = (await session.execute(_CAP_ANSWERS, {"today": str(today)})).one()
    if waits or lifted:
        return bool(waits)
    days = {"today": today, "told": list(TOLD), "days": POLICY.cap_sending_days}
    earlier = (await session.execute(_SENDING_DAYS, days)).scalars().all()
    told: int = (await session.execute(_TODAY, {"today": today, "told": list(TOLD)})).scalar_one()
    if told < most_a_day(earlier, POLICY):
        return False
    await add_task(session, "cap", today)
    return True
