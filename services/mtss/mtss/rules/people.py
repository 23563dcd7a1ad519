"""Where a student stands once people have spoken: what the policy assigns, what they accepted, and what they overrode.

A policy assigns and ends a tier by itself, or proposes that to a person. A ruling counts from its own day on, above what the
facts of that day say. An override stands above all that until the last day that it names, and ends with the first day of the
student's course after it. While a support runs that a person has begun, no tier ends by itself: its end is proposed, whatever the
policy says. Nothing here asks for the time: the same facts and rulings say the same, in whatever order they came.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from mtss.rules.facts import (
    ACCEPTED,
    DECLINED,
    INTENSIVE,
    NEVER,
    OVERRIDDEN,
    SUPPORT_BEGUN,
    SUPPORT_ENDED,
    TARGETED,
    UNIVERSAL,
    WITHDRAWN,
    Flags,
    Ints,
    Rulings,
)
from mtss.rules.policy import Policy

NO_PROPOSAL = -1


@dataclass(frozen=True, slots=True)
class Ruling:
    """One ruling about a student, as numbers."""

    number: int
    kind: int
    tier: int
    day: int
    until: int = NEVER


@dataclass(frozen=True, slots=True)
class Days:
    """The days of one student's course, and what the facts call for on each of them."""

    days: Ints
    targeted: Flags
    intensive: Flags
    policies: Sequence[tuple[int, Policy]]
    """Each with the first day on which it counts; the first counted ever."""
    newest: Callable[[int], int]
    """For a tier the last day on which a clause began that it rests on and that stands now."""

    def policy_on(self, day: int) -> Policy:
        """The policy that counts on a day."""
        return next((policy for first, policy in reversed(self.policies) if first <= day), self.policies[0][1])


@dataclass(frozen=True, slots=True)
class Stand:
    """A tier with the day it began and the ruling by which it did (0: by the facts), and what is put before a person."""

    tier: int
    since: int
    ruling: int
    overridden: bool
    beneath: int
    """The tier without the override: what the policy says, and what was accepted of it."""
    until: int = NEVER
    """The last day of the override."""
    supported: bool = False
    """Whether a support runs, so that no tier ends by itself."""
    proposal: int = NO_PROPOSAL
    """The tier that is proposed, or ``NO_PROPOSAL``."""
    proposal_since: int = NEVER


def rulings_of(rulings: Rulings, student: int) -> list[Ruling]:
    """A student's rulings, in the order in which they were made."""
    mine = np.flatnonzero(rulings.student == student)
    columns = (rulings.number, rulings.kind, rulings.tier, rulings.day, rulings.until)
    found = [Ruling(*row) for row in zip(*(column[mine].tolist() for column in columns), strict=True)]
    return sorted(found, key=lambda each: each.number)


def stand_of(student: Days, rulings: Sequence[Ruling]) -> Stand:
    """Where a student stands after the last day of the course, and after every ruling."""
    walk = _Walk(since=int(student.days[0]))
    for ruling, row in _events(student, rulings):
        walk.go(student, ruling, row)
    override = walk.override
    tier, since, number = (override.tier, override.day, override.number) if override else walk.beneath
    proposal, proposal_since = next(_proposals(student, rulings, walk), (NO_PROPOSAL, NEVER))
    return Stand(
        tier=tier,
        since=max(since, int(student.days[0])),
        ruling=number,
        overridden=override is not None,
        beneath=walk.level,
        until=override.until if override else NEVER,
        supported=walk.supports > 0,
        proposal=proposal,
        proposal_since=proposal_since,
    )


def tiers_of(student: Days, rulings: Sequence[Ruling]) -> Ints:
    """The tier at the end of each day of the course, by the rulings up to that day."""
    walk, tiers = _Walk(since=int(student.days[0])), np.zeros(len(student.days), np.int32)
    for ruling, row in _events(student, rulings):
        walk.go(student, ruling, row)
        first = row if ruling is None else int(np.searchsorted(student.days, ruling.day))
        tiers[first:] = walk.override.tier if walk.override else walk.level
    return tiers


def by_policy(level: int, targeted: bool, intensive: bool, policy: Policy, supported: bool) -> int:
    """The tier after a day on which the facts call for these, of one who stood at ``level`` before; a running support keeps it."""
    if intensive and policy.intensive.entry == "assigned":
        return INTENSIVE
    if level == INTENSIVE and (intensive or supported or policy.intensive.exit == "proposed"):
        return INTENSIVE
    if targeted:
        return TARGETED if level > UNIVERSAL or policy.targeted.entry == "assigned" else UNIVERSAL
    return TARGETED if level > UNIVERSAL and (supported or policy.targeted.exit == "proposed") else UNIVERSAL


@dataclass(slots=True)
class _Walk:
    """A student's tier from day to day."""

    since: int
    level: int = UNIVERSAL
    by: int = 0
    override: Ruling | None = None
    supports: int = 0
    """How many run."""
    resumed: int = field(default=int(np.iinfo(np.int32).min))
    """The day on which the last override was over."""

    @property
    def beneath(self) -> tuple[int, int, int]:
        return self.level, max(self.since, self.resumed), self.by

    def go(self, student: Days, ruling: Ruling | None, row: int) -> None:
        """Past a ruling, or past a day."""
        if ruling is not None:
            self.rule(ruling)
        else:
            day = int(student.days[row])
            called = student.targeted[row], student.intensive[row]
            self.follow(day, by_policy(self.level, *called, student.policy_on(day), self.supports > 0))

    def follow(self, day: int, level: int) -> None:
        if self.override and day > self.override.until:
            self.override, self.resumed = None, day
        if level != self.level:
            self.level, self.since, self.by = level, day, 0

    def rule(self, ruling: Ruling) -> None:
        if ruling.kind == OVERRIDDEN:
            self.override = ruling
        if ruling.kind in (ACCEPTED, WITHDRAWN) and self.override:
            self.override, self.resumed = None, ruling.day
        self.supports += (ruling.kind == SUPPORT_BEGUN) - (ruling.kind == SUPPORT_ENDED)
        # The tier in which a support begins stays too if what was heard later says that there was no ground for it.
        if ruling.kind == ACCEPTED or (ruling.kind == SUPPORT_BEGUN and ruling.tier > self.level):
            self.level, self.since, self.by = ruling.tier, ruling.day, ruling.number


def _events(student: Days, rulings: Sequence[Ruling]) -> Iterator[tuple[Ruling | None, int]]:
    """Rulings, and the rows on which anything may change, by day; a ruling comes after the row of its own day."""
    called = student.targeted.astype(np.int8) + 2 * student.intensive
    days = [each for ruling in rulings for each in (ruling.day + 1, min(ruling.until, NEVER - 1) + 1)]
    rows = {0, *(np.flatnonzero(np.diff(called)) + 1).tolist()}
    rows |= set(np.searchsorted(student.days, [*days, *(first for first, _ in student.policies)]).tolist())
    events = [(int(student.days[row]), 0, row, None) for row in rows if row < len(student.days)]
    told = [(ruling.day, ruling.number, 0, ruling) for ruling in rulings]
    yield from ((ruling, row) for _, _, row, ruling in sorted([*events, *told], key=lambda each: each[:3]))


# What is put before a person


def _proposals(student: Days, rulings: Sequence[Ruling], walk: _Walk) -> Iterator[tuple[int, int]]:
    """What the facts call for and the policy leaves to a person, unless one has just said no; the highest tier first."""
    targeted, intensive = bool(student.targeted[-1]), bool(student.intensive[-1])
    policy = student.policy_on(int(student.days[-1]))
    if by_policy(walk.level, targeted, intensive, policy, walk.supports > 0) != walk.level:
        return  # with the next day it happens by itself
    for tier, called in _called_for(student, walk.level):
        since, enters = _since(student.days, called), tier > walk.level
        newest = max(since, student.newest(tier)) if enters else since
        if walk.override and (newest <= walk.override.day or not enters or tier <= walk.override.tier):
            continue
        declined = [each.day for each in rulings if each.kind == DECLINED and each.tier == tier]
        if not declined or newest > declined[-1] or not rests(student.days, declined[-1], policy):
            yield tier, since


def _called_for(student: Days, level: int) -> Iterator[tuple[int, Flags]]:
    """Other tiers than the present one that the facts call for, with the days on which they do."""
    targeted, intensive = student.targeted, student.intensive
    if intensive[-1] and level < INTENSIVE:
        yield INTENSIVE, intensive
    if targeted[-1] and level < TARGETED:
        yield TARGETED, targeted
    if level == INTENSIVE and not intensive[-1]:
        yield (TARGETED if targeted[-1] else UNIVERSAL), ~intensive
    if level == TARGETED and not (targeted[-1] or intensive[-1]):
        yield UNIVERSAL, ~targeted


def _since(days: Ints, called: Flags) -> int:
    """The first of the days in a row, up to the last, on which it was called for."""
    return int(days[np.flatnonzero(~called).max(initial=-1) + 1])


def rests(days: Ints, declined: int, policy: Policy) -> bool:
    """Whether so few days have passed since it was declined, or somebody looked, that nobody is asked again."""
    return int(np.count_nonzero(days > declined)) < policy.review["declined_rests"].value
