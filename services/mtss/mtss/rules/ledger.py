"""The ledger: when what the course says now calls for a new decision, and what to call its cause."""

from dataclasses import dataclass
from datetime import date

from common.events.mtss import Cause, Tier


@dataclass(frozen=True, slots=True)
class Said:
    """A tier and the day it began: what the last decision said, or what the course says. ``None``: no tier at all."""

    tier: Tier | None
    since: date | None


NOTHING = Said(None, None)


def cause_of(last: Said, now: Said) -> Cause | None:
    """Why ``now`` must be decided after ``last``, or ``None`` if that decision still says it.

    A tier that ends after it began has *exited*; if the day it began is gone as well, it was *withdrawn*. A targeted
    tier that began before the universal one we spoke of, and a tier that only began on another day, are *corrected*.
    """
    if now == last or (now.tier is None and last.tier is None):
        return None
    if now.tier is None:
        return Cause.CORRECTED
    if last.tier is None:
        return Cause.ENTERED if now.tier is Tier.TARGETED else Cause.ENROLLED
    return _change(last.tier, now.tier, _later(last.since, now.since))


def _change(before: Tier, tier: Tier, days_later: int) -> Cause:
    if tier is before:
        return Cause.CORRECTED
    if tier is Tier.TARGETED:
        return Cause.ENTERED if days_later >= 0 else Cause.CORRECTED
    return Cause.EXITED if days_later > 0 else Cause.WITHDRAWN


def _later(before: date | None, now: date | None) -> int:
    return (now - before).days if before and now else 0
