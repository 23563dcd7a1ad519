"""Whom an adoption changes, how, and by which clauses: two courses of the same facts held side by side."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from operator import attrgetter

import numpy as np

from common.events.mtss import Tier
from mtss.rules.courses import Courses, Policies, follow
from mtss.rules.facts import TIERS, Facts, day_of
from mtss.rules.people import NO_PROPOSAL
from mtss.rules.standing import Standing, standing_of


@dataclass(frozen=True, slots=True)
class Changed:
    """What would change about one student as of the last closed day, and why."""

    student: int
    what: tuple[str, ...]
    """From which tier to which, such as ``universal_to_targeted``, or ``moved`` where only the day it began is another;
    ``proposed`` and ``no_longer_proposed``: what is put before a person."""
    tier_before: Tier
    tier_after: Tier
    since_before: date
    since_after: date
    begins: tuple[str, ...]
    """Clauses that would stand and do not; without any, the policies join what stands otherwise, or date it otherwise."""
    ends: tuple[str, ...]
    """Clauses that stand and would not."""


def what_changes(now: Courses, then: Courses) -> list[Changed]:
    """Each student about whom ``then`` says otherwise than ``now``, in their order."""
    was, will = standing_of(now), standing_of(then)
    tiers = (was.tier != will.tier) | (was.since != will.since)
    differ = was.decided & (tiers | (was.proposal != will.proposal))
    return [_changed(student, (now, was), (then, will)) for student in np.flatnonzero(differ).tolist()]


def what_changes_by(
    facts: Facts, now: Policies, then: Callable[[int], Policies], first_on: int
) -> tuple[int, list[Changed]]:
    """How many students have a tier ``now``, and whom ``then`` changes, policies that begin on a day.

    Where that is after a student's last closed day, as if they began on that day: schools close at different times. Who closed last on the
    same day is followed together, so the work is that of the students, however many such days there are.
    """
    standing, found = standing_of(follow(facts, now)), list[Changed]()
    begins = np.minimum(standing.through, first_on)
    for first_day in np.unique(begins[standing.decided]).tolist():
        whose = np.flatnonzero(standing.decided & (begins == first_day)).astype(np.int32)
        mine = facts.of_those(whose)
        changes = what_changes(follow(mine, now), follow(mine, then(first_day)))
        found += [replace(each, student=int(whose[each.student])) for each in changes]
    return int(standing.decided.sum()), sorted(found, key=attrgetter("student"))


def _changed(student: int, now: tuple[Courses, Standing], then: tuple[Courses, Standing]) -> Changed:
    (tier_before, since_before), (tier_after, since_after) = (
        (TIERS[of.tier[student]], day_of(of.since[student])) for _, of in (now, then)
    )
    stood, will_stand = (_standing_clauses(courses, student) for courses, _ in (now, then))
    return Changed(
        student,
        tuple(_what(now[1], then[1], student)),
        tier_before,
        tier_after,
        since_before,
        since_after,
        begins=tuple(name for name in will_stand if name not in stood),
        ends=tuple(name for name in stood if name not in will_stand),
    )


def _what(was: Standing, will: Standing, student: int) -> Iterator[str]:
    before, after = (TIERS[of.tier[student]] for of in (was, will))
    if before is not after:
        yield f"{before}_to_{after}"
    elif was.since[student] != will.since[student]:
        yield "moved"
    if was.proposal[student] != will.proposal[student]:
        yield "no_longer_proposed" if will.proposal[student] == NO_PROPOSAL else "proposed"


def _standing_clauses(courses: Courses, student: int) -> list[str]:
    last = np.flatnonzero(courses.timeline.on_course[:, student])[-1]
    return [name for name, stand in courses.as_of(student).clauses.items() if stand.stands[last, student]]
