"""Days of exclusion: which actions a referral stands on, what they proposed, and what was served.

Days are counted in hundredths, so that sums are exact.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from common.events.sis import plain


@dataclass(frozen=True, slots=True)
class Policy:
    """What the district decides: see ``policy.toml``. ``exclusions`` are in the form of :func:`plain`."""

    version: str
    exclusions: frozenset[str]
    late_after_days: int

    def excludes(self, descriptors: Iterable[str]) -> bool:
        """Whether one of an action's descriptors is an exclusion."""
        return any(plain(descriptor) in self.exclusions for descriptor in descriptors)

    def late(self, *, on: date, heard_on: date) -> bool:
        """Whether an action of the day ``on``, first heard on ``heard_on``, comes too late to open a referral by itself."""
        return (heard_on - on).days >= self.late_after_days


@dataclass(frozen=True, slots=True)
class Exclusion:
    """One action on one student that is, or was, an exclusion."""

    id: UUID
    incident_ids: frozenset[UUID]
    hundredths_proposed: int
    """As the first version said that we saw as an exclusion: later versions do not move it."""
    hundredths_served: int | None
    late: bool
    stands: bool
    """Neither taken back nor changed into something that is no exclusion."""
    referral_id: UUID | None = None
    """The referral it counts in; an action that names several incidents counts once."""


def frozen(before: int | None, *, proposed: int, excludes: bool) -> int | None:
    """The days an action proposes: those of the first version that is an exclusion; ``None`` until there is one."""
    return proposed if before is None and excludes else before


def free_for(incident_id: UUID, exclusions: Iterable[Exclusion], *, late_too: bool) -> tuple[Exclusion, ...]:
    """The standing exclusions that name the incident and count nowhere yet.

    ``late_too``: also those heard late, as where a facilitator opened the referral by hand.
    """
    return tuple(
        action
        for action in exclusions
        if action.stands
        and action.referral_id is None
        and incident_id in action.incident_ids
        and (late_too or not action.late)
    )


def kept_by(referral_id: UUID, incident_id: UUID, exclusions: Iterable[Exclusion]) -> tuple[Exclusion, ...]:
    """Of the exclusions that count in a referral, those that still stand and still name its incident."""
    return tuple(
        action
        for action in exclusions
        if action.stands and action.referral_id == referral_id and incident_id in action.incident_ids
    )


def hundredths_proposed(exclusions: Sequence[Exclusion]) -> int:
    """The sum of what they proposed, each action once."""
    return sum({action.id: action.hundredths_proposed for action in exclusions}.values())


def hundredths_served(exclusions: Sequence[Exclusion]) -> int:
    """The sum of what was served of those that stand, each action once; what nobody recorded counts as not served."""
    return sum({action.id: action.hundredths_served or 0 for action in exclusions if action.stands}.values())


def hundredths_avoided(*, proposed: int, served: int) -> int:
    """Days of exclusion avoided, never negative.

    Source: domain, restorative practice: what the conduct matrix proposed, frozen before the offer, minus what was served.
    """
    return max(0, proposed - served)
