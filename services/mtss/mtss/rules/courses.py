"""Courses: the tier of every student on every instructional day, and why. Computed from the facts, never stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from common.events.mtss import Tier
from mtss.rules.clauses import Reading, Stand
from mtss.rules.facts import Facts, Flags, Ints, day_of
from mtss.rules.ledger import NOTHING, Said
from mtss.rules.policy import TRUE, UNKNOWN, Policy, Truth
from mtss.rules.timeline import Small, Timeline, numbered, timeline_of, under

Policies: TypeAlias = Sequence[tuple[int, Policy]]
"""Policies in the order in which they came into force, each with the first day on which it counts. The first counted ever."""
EVER = int(np.iinfo(np.int32).min)


def always(policy: Policy) -> Policies:
    """One policy that counts on every day."""
    return ((EVER, policy),)


@dataclass(frozen=True, slots=True)
class Courses:
    """Day by day, for many students. Days not on a student's course say nothing about that student."""

    policy: Policy
    """The last policy that counts on any of these days."""
    timeline: Timeline
    clauses: Mapping[str, Stand]
    targeted: Flags
    """Targeted support is called for; otherwise the tier is universal."""
    candidate: Flags
    """Intensive support is to be put before a person."""
    unknown: Flags
    """Whether targeted support is called for hangs on clauses of which nothing is known, and which ask a person then."""
    first_day: int = EVER
    before: "Courses | None" = None
    """What was said under the policies before: of days before the first day the same."""

    def as_of(self, student: int) -> "Courses":
        """The same under the policy that counts on a student's last day; under the first for one who has none."""
        days, found = self.timeline.days[self.timeline.on_course[:, student]], self
        while found.before is not None and (not len(days) or days[-1] < found.first_day):
            found = found.before
        return found


@dataclass(frozen=True, slots=True)
class Standing:
    """Where courses have led: one entry a student, as of the student's last closed day."""

    decided: Flags
    """Whether there is such a day. The other columns mean nothing without it."""
    through: Ints
    """That day."""
    school: Small
    targeted: Flags
    since: Ints
    candidate: Flags
    candidate_since: Ints


def follow(facts: Facts, policies: Policies) -> Courses:
    """The course of every student: a pure function of what is known now.

    Each day's tier is what the policy says that counts on that day, and each policy looks at the whole past: a clause that
    has long held stands on the first day on which its policy counts.
    """
    timeline = timeline_of(facts, policies[0][1])
    last = _course(policies[0][1], facts, timeline)
    for first_day, policy in policies[1:]:
        if first_day > timeline.days[-1]:
            break
        before = last
        last = replace(_course(policy, facts, under(timeline, facts, policy)), first_day=first_day, before=before)
        for now, was in (
            (last.targeted, before.targeted),
            (last.candidate, before.candidate),
            (last.unknown, before.unknown),
        ):
            row = int(np.searchsorted(timeline.days, first_day))
            now[:row] = was[:row]
    return last


def _course(policy: Policy, facts: Facts, timeline: Timeline) -> Courses:
    reading = Reading(policy, facts, timeline)
    clauses = {name: reading.stand(clause) for name, clause in policy.clauses.items()}
    truth = {name: stand.truth() for name, stand in clauses.items()}
    targeted = policy.targeted.when.truth(truth)
    return Courses(
        policy=policy,
        timeline=timeline,
        clauses=clauses,
        targeted=targeted == TRUE,
        candidate=policy.intensive.when.truth(truth) == TRUE,
        unknown=_asks(policy, truth, targeted),
    )


def _asks(policy: Policy, truth: Mapping[str, Truth], targeted: Truth) -> Flags:
    asking = [name for name in policy.targeted.when.clauses() if policy.clauses[name].when_unknown == "ask"]
    asks: Flags = np.zeros(targeted.shape, np.bool_)
    for name in asking:
        asks |= truth[name] == UNKNOWN
    asks &= targeted == UNKNOWN
    return asks


def standing_of(courses: Courses) -> Standing:
    """What each course says of the last closed day, and since when."""
    on_course, students = courses.timeline.on_course, courses.timeline.on_course.shape[1]
    last = numbered(on_course).max(axis=0)
    at = np.maximum(last - 1, 0), np.arange(students)
    return Standing(
        decided=last > 0,
        through=courses.timeline.days[at[0]],
        school=courses.timeline.school[at],
        targeted=courses.targeted[at],
        since=_since(courses, courses.targeted, courses.targeted[at]),
        candidate=courses.candidate[at],
        candidate_since=_since(courses, courses.candidate, courses.candidate[at]),
    )


def said_of(standing: Standing, student: int) -> Said:
    """What the course of one student says now, as the ledger compares it."""
    if not standing.decided[student]:
        return NOTHING
    tier = Tier.TARGETED if standing.targeted[student] else Tier.UNIVERSAL
    return Said(tier, day_of(standing.since[student]))


def _since(courses: Courses, flag: Flags, now: Flags) -> Ints:
    """The first day on course after the last one on which ``flag`` was not as it is ``now``."""
    on_course = courses.timeline.on_course
    otherwise = numbered(on_course & (flag != now)).max(axis=0)
    first = (numbered(on_course) > otherwise).argmax(axis=0)
    days: Ints = courses.timeline.days[first]
    return days
