"""What both loops ask of the database: which ways are open to a family, and when it may be told."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.runtime import Runtime
from notifications import mailboxes
from notifications.families import Family
from notifications.models import Calendar, Notice, Occasion
from notifications.policy import POLICY
from notifications.rules.language import Wording, wording
from notifications.rules.recipients import Plan, plan
from notifications.rules.timing import TIER, earliest
from notifications.texts import TEXTS

TOLD = ("attempting", "accepted", "uncertain", "delivered")
"""States in which a message has, or may have, reached the household."""


async def plans_for(session: AsyncSession, runtime: Runtime, family: Family, occasion_id: UUID) -> list[Plan]:
    """The plans for a family, every opt-out honoured, and without mailboxes that were refused on this occasion."""
    of = await mailboxes.digests(session, runtime.vault)
    stopped = await mailboxes.opted_out(session, of, family.emails)
    refused = await mailboxes.refused(session, of, family.emails, occasion_id)
    return plan(family.contacts, opted_out=stopped, refused=refused, today=runtime.today(), policy=POLICY)


async def not_before(session: AsyncSession, runtime: Runtime, occasion: Occasion) -> datetime | None:
    """The first moment at which it may be told.

    ``None``: a tier of a school whose calendar has not been heard yet; then it waits.
    """
    rows = await session.execute(
        sa.select(col(Calendar.instructional_days)).where(col(Calendar.school_id) == occasion.school_id)
    )
    calendars = rows.scalars().all()
    if occasion.purpose == TIER and not calendars:
        return None
    days = [day for calendar in calendars for day in calendar]
    return earliest(occasion.purpose, occasion.effective_on, runtime.now(), days, runtime.settings.zone, POLICY)


async def notices_of(session: AsyncSession, occasion_id: UUID) -> Sequence[Notice]:
    """The notices under one occasion."""
    rows = await session.execute(sa.select(Notice).where(col(Notice.occasion_id) == occasion_id))
    return rows.scalars().all()


async def told_recently(session: AsyncSession, runtime: Runtime, occasion: Occasion, chosen: Plan) -> bool:
    """Whether anybody in the household was told the same of this student not long ago, on another occasion."""
    since = runtime.today() - timedelta(days=POLICY.same_again_days)
    rows = await session.execute(
        sa.select(col(Notice.household)).where(
            col(Notice.student_id) == occasion.student_id,
            col(Notice.purpose) == occasion.purpose,
            col(Notice.ground) == occasion.ground,
            col(Notice.occasion_id) != occasion.id,
            col(Notice.state).in_(TOLD),
            sa.or_(col(Notice.told_on) >= since, col(Notice.told_on).is_(None)),
        )
    )
    return any(chosen.members & set(household) for household in rows.scalars())


def words_for(chosen: Plan) -> Wording:
    """In which words the household is written to."""
    return wording(chosen.language, approved=TEXTS.languages.keys(), lines=TEXTS.interpreter.keys())


def write_plan(notice: Notice, chosen: Plan, at: datetime) -> None:
    """Store what was decided for a household, with the reasons."""
    words = words_for(chosen)
    notice.household = sorted(chosen.members)
    notice.channel, notice.decided_at = chosen.channel, at
    notice.language, notice.text_language, notice.fallback = words.home, words.text, words.fallback
    shared = "contacts who share an address, a mailbox or a number"
    notice.why = {
        "household": f"{len(chosen.household)} {shared}" if len(chosen.household) > 1 else "one contact",
        "channel": chosen.reason,
        "language": words.reason,
        "text": TEXTS.version(words),
        "policy": POLICY.version,
    }
