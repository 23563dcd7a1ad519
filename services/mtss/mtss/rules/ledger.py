"""The ledger: when what is so now calls for a new decision, and what to call its cause."""

from dataclasses import dataclass
from datetime import date

from common.events.mtss import Cause, Tier
from mtss.rules.facts import TIERS


@dataclass(frozen=True, slots=True)
class Said:
    """A tier and the day it began: what the last decision said, or what is so now. ``None``: no tier at all."""

    tier: Tier | None
    since: date | None
    ruling: int = 0
    """The number of the ruling by which it began, where a person decided; 0 where the facts did."""
    overridden: bool = False
    """Whether that ruling is an override."""


NOTHING = Said(None, None)


@dataclass(frozen=True, slots=True)
class Held:
    """An override that stands: whatever the facts say, through its last day."""

    until: date
    beneath: Tier
    """The tier without it."""


def cause_of(last: Said, now: Said) -> Cause | None:
    """Why ``now`` must be decided after ``last``, or ``None`` if that decision still says it.

    A ruling after the last one is a person's decision: *accepted* or *overridden*; once an override is over, the policy is
    *resumed*. Otherwise it is the facts: a tier that ends after it began has *exited*; if the day it began is gone as well,
    it was *withdrawn*. A higher tier that began before the lower one we spoke of, and a tier that only began on another day,
    are *corrected*.
    """
    if now == last or (now.tier is None and last.tier is None):
        return None
    if now.tier is None:
        return Cause.CORRECTED
    if now.ruling > last.ruling:
        return Cause.OVERRIDDEN if now.overridden else Cause.ACCEPTED
    if last.overridden and now.ruling < last.ruling:
        return Cause.RESUMED
    if last.tier is None:
        return Cause.ENROLLED if now.tier is Tier.UNIVERSAL else Cause.ENTERED
    return _change(TIERS.index(now.tier) - TIERS.index(last.tier), _later(last.since, now.since))


def _change(higher: int, days_later: int) -> Cause:
    if higher == 0:
        return Cause.CORRECTED
    if higher > 0:
        return Cause.ENTERED if days_later >= 0 else Cause.CORRECTED
    return Cause.EXITED if days_later > 0 else Cause.WITHDRAWN


def _later(before: date | None, now: date | None) -> int:
    return (now - before).days if before and now else 0
