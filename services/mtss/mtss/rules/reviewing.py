"""What people who review are bound to: by when something is due, how long an override may last, and what comes and goes."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from common.errors import Invalid
from common.events.mtss import Tier
from mtss.rules.facts import TIERS


def due_on(school_days: Sequence[date], begun_on: date, within: int) -> date | None:
    """The ``within``-th instructional day after ``begun_on``; ``None`` as long as no calendar has one.

    ``school_days`` ascend.
    """
    place = bisect_right(school_days, begun_on) + within - 1
    return school_days[place] if place < len(school_days) else None


def followed_up_by(
    school_days: Sequence[date], since: date, last: date | None, first_within: int, again_within: int
) -> date | None:
    """By when somebody is to ask a student how they are, if they are to be asked since a day and were last asked on another."""
    if last is None or last < since:
        return due_on(school_days, since, first_within)
    return due_on(school_days, last, again_within)


def check_ahead(field: str, school_days: Sequence[date], today: date, day: date, most: int) -> None:
    """Nothing, if what begins today may last through ``day``: an override, or a support until it is reviewed.

    Raises:
        Invalid: that is no instructional day after today, or more than ``most`` of them away.
    """
    ahead = [day for day in school_days if day > today][:most]
    if day not in ahead:
        raise Invalid(field=field, rule=f"must be one of the next {most} instructional days of the student's school")


def ends_soon(school_days: Sequence[date], today: date, until: date, within: int) -> bool:
    """Whether fewer than ``within`` instructional days lie between today and ``until``."""
    return sum(today < day <= until for day in school_days) < within


@dataclass(frozen=True, slots=True)
class Line:
    """What one decision says of the way up and down: a tier after another, from a day on."""

    tier: Tier | None
    tier_before: Tier | None
    effective_on: date


@dataclass(frozen=True, slots=True)
class Flapping:
    """How often a tier of more support began, and how often one ended."""

    ups: int
    downs: int


def flapping(lines: Iterable[Line], since: date) -> Flapping:
    """How often the tier went up and down by decisions that took effect on ``since`` or later."""
    steps = [
        TIERS.index(each.tier) - TIERS.index(each.tier_before)
        for each in lines
        if each.tier is not None and each.tier_before is not None and each.effective_on >= since
    ]
    return Flapping(sum(step > 0 for step in steps), sum(step < 0 for step in steps))
