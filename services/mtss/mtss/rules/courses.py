"""Courses: the tier that facts and policy call for, of every student on every instructional day, and why. Never stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from mtss.rules.clauses import Reading, Stand
from mtss.rules.facts import NO_RULINGS, Facts, Flags, Rulings
from mtss.rules.policy import TRUE, Clause, Policy
from mtss.rules.timeline import Coming, Timeline, timeline_of, under

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
    first_day: int = EVER
    before: "Courses | None" = None
    """What was said under the policies before: of days before the first day the same."""
    rulings: Rulings = NO_RULINGS
    """What people decided about these students: no day of a course says otherwise for it."""

    def as_of(self, student: int) -> "Courses":
        """The same under the policy that counts on a student's last day; under the first for one who has none."""
        days, found = self.timeline.days[self.timeline.on_course[:, student]], self
        while found.before is not None and (not len(days) or days[-1] < found.first_day):
            found = found.before
        return found

    def under(self, policy: Policy) -> "Courses":
        """The same under one of the policies."""
        found = self
        while found.policy is not policy and found.before is not None:
            found = found.before
        return found

    def counting(self, clause: str, row: int, student: int) -> Clause:
        """A clause with the numbers that count for a student on a day."""
        usual, timeline = self.policy.clauses[clause], self.timeline
        variant = 0 if timeline.variant is None else int(timeline.variant[row, student])
        return timeline.variants[variant - 1].of(usual) if variant else usual


def follow(facts: Facts, policies: Policies, coming: Coming | None = None) -> Courses:
    """The course of every student: a pure function of what is known now.

    Each day's tier is what the policy says that counts on that day, and each policy looks at the whole past: a clause that
    has long held stands on the first day on which its policy counts. ``coming``: days that are supposed to come belong to it.
    """
    timeline = timeline_of(facts, policies[0][1], coming)
    last = _course(policies[0][1], facts, timeline)
    for first_day, policy in policies[1:]:
        if first_day > timeline.days[-1]:
            break
        before = last
        last = replace(_course(policy, facts, under(timeline, facts, policy)), first_day=first_day, before=before)
        for now, was in ((last.targeted, before.targeted), (last.candidate, before.candidate)):
            row = int(np.searchsorted(timeline.days, first_day))
            now[:row] = was[:row]
    return last


def _course(policy: Policy, facts: Facts, timeline: Timeline) -> Courses:
    reading = Reading(policy, facts, timeline)
    clauses = {name: reading.stand(clause) for name, clause in policy.clauses.items()}
    truth = {name: stand.truth() for name, stand in clauses.items()}
    return Courses(
        policy=policy,
        timeline=timeline,
        clauses=clauses,
        targeted=policy.targeted.when.truth(truth) == TRUE,
        candidate=policy.intensive.when.truth(truth) == TRUE,
        rulings=facts.rulings,
    )
