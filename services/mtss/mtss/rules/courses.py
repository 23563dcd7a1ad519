"""Courses: the tier of every student on every instructional day, and why. Computed from the facts, never stored."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mtss.rules.clauses import Reading, Stand
from mtss.rules.facts import Facts, Flags, Ints
from mtss.rules.policy import TRUE, UNKNOWN, Policy, Truth
from mtss.rules.timeline import Small, Timeline, numbered, timeline_of


@dataclass(frozen=True, slots=True)
class Courses:
    """Day by day, for many students. Days not on a student's course say nothing about that student."""

    timeline: Timeline
    clauses: Mapping[str, Stand]
    targeted: Flags
    """Targeted support is called for; otherwise the tier is universal."""
    candidate: Flags
    """Intensive support is to be put before a person."""
    unknown: Flags
    """Whether targeted support is called for hangs on clauses of which nothing is known, and which ask a person then."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where courses have led: one entry a student, as of the student's last closed day."""

    decided: Flags
    """Whether there is such a day. The other columns mean nothing without it."""
    school: Small
    targeted: Flags
    since: Ints
    candidate: Flags
    candidate_since: Ints


def follow(facts: Facts, policy: Policy) -> Courses:
    """The course of every student: a pure function of what is known now."""
    timeline = timeline_of(facts, policy)
    reading = Reading(policy, facts, timeline)
    clauses = {name: reading.stand(clause) for name, clause in policy.clauses.items()}
    truth = {name: stand.truth() for name, stand in clauses.items()}
    targeted = policy.targeted.when.truth(truth)
    return Courses(
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
        school=courses.timeline.school[at],
        targeted=courses.targeted[at],
        since=_since(courses, courses.targeted, courses.targeted[at]),
        candidate=courses.candidate[at],
        candidate_since=_since(courses, courses.candidate, courses.candidate[at]),
    )


def _since(courses: Courses, flag: Flags, now: Flags) -> Ints:
    """The first day on course after the last one on which ``flag`` was not as it is ``now``."""
    on_course = courses.timeline.on_course
    otherwise = numbered(on_course & (flag != now)).max(axis=0)
    first = (numbered(on_course) > otherwise).argmax(axis=0)
    days: Ints = courses.timeline.days[first]
    return days
