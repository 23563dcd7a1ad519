"""Courses: the tier of every student on every instructional day, and why. Computed from the facts, never stored."""

from dataclasses import dataclass

import numpy as np

from mtss.rules.clauses import LOW, Attendance, Marks, adult_support_of, attendance_of, referrals_of
from mtss.rules.facts import Facts, Flags, Ints
from mtss.rules.policy import Policy
from mtss.rules.timeline import Small, Timeline, numbered, timeline_of


@dataclass(frozen=True, slots=True)
class Courses:
    """Day by day, for many students. Days not on a student's course say nothing about that student."""

    timeline: Timeline
    attendance: Attendance
    adult_support: Marks
    referrals: Small
    targeted: Flags
    """At least one clause stands; otherwise the tier is universal."""
    candidate: Flags
    """Intensive support is to be put before a person: several clauses stand, or one that is severe."""


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
    timeline = timeline_of(facts)
    attendance = attendance_of(timeline, policy.attendance)
    adult_support = adult_support_of(timeline, facts.scores, policy.adult_support)
    referrals = referrals_of(timeline, facts)
    low, referred = adult_support == LOW, referrals >= policy.referrals.entry
    signals = attendance.stands.astype(np.int8) + low + referred
    severe = attendance.severe | (referrals >= policy.referrals.severe)
    return Courses(
        timeline=timeline,
        attendance=attendance,
        adult_support=adult_support,
        referrals=referrals,
        targeted=signals > 0,
        candidate=severe | (signals >= policy.intensive.independent_signals),
    )


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
