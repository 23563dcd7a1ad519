"""When a family is told, and when it is too late to tell it."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from notifications.rules.policy import Policy

TIER = "tier"
_SATURDAY = 5


def opens(*, stands: bool, changed: bool, known_to_stand: bool | None) -> bool:
    """Whether what was heard is something new to tell.

    Args:
        stands: it is so now.
        changed: whoever says it says that it became so.
        known_to_stand: what we had heard before; ``None`` if nothing. If we had heard that it is not so, it became so,
            even if the event that said it was lost or came late.
    """
    return stands and (changed or known_to_stand is False)


def too_old(effective_on: date, today: date, policy: Policy) -> bool:
    """Whether it took effect so long ago that no message tells it, counted from that day, not from when we heard."""
    return (today - effective_on).days > policy.too_old_days


def earliest(
    purpose: str,
    effective_on: date,
    heard_at: datetime,
    instructional_days: Iterable[date],
    zone: ZoneInfo,
    policy: Policy,
) -> datetime:
    """The first moment at which it may be told.

    A tier waits for the morning of the school's first instructional day after ``effective_on``; where the calendar has
    none left, of the next weekday. Everything else may be told at once.
    """
    if purpose != TIER:
        return heard_at
    later = [day for day in instructional_days if day > effective_on]
    morning = min(later, default=None) or _next_weekday(effective_on)
    return datetime.combine(morning, policy.tier_notice_at, zone)


def quiet_until(channel: str, at: datetime, zone: ZoneInfo, policy: Policy) -> datetime | None:
    """The end of the quiet hours if ``channel`` rings and ``at`` lies within them, else ``None``."""
    local = at.astimezone(zone)
    evening, morning = local.time() >= policy.quiet_from, local.time() < policy.quiet_until
    if channel not in policy.channels_that_ring or not (evening or morning):
        return None
    day = local.date() + timedelta(days=1) if evening else local.date()
    return datetime.combine(day, policy.quiet_until, zone)


def _next_weekday(day: date) -> date:
    following = day + timedelta(days=1)
    while following.weekday() >= _SATURDAY:
        following += timedelta(days=1)
    return following
