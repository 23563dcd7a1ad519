"""One student's course, and each clause of it with its evidence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

import numpy as np

from common.events.mtss import Tier
from mtss.rules import sentences
from mtss.rules.clauses import FINE, LOW
from mtss.rules.courses import Courses
from mtss.rules.facts import Facts, day_of
from mtss.rules.policy import Policy
from mtss.rules.timeline import IMPLIED, OPEN

ATTENDANCE, ADULT_SUPPORT, REFERRALS = "attendance", "adult_support", "referrals"
CLAUSES = (ATTENDANCE, ADULT_SUPPORT, REFERRALS)


@dataclass(frozen=True, slots=True)
class Clause:
    """One ground for support: whether it stands (``None``: unknown), on what evidence, and what would change that."""

    clause: str
    holds: bool | None
    since: date | None
    evidence: dict[str, Any]
    at_entry: dict[str, Any] | None
    in_words: str
    what_would_change_it: str

    def document(self) -> dict[str, Any]:
        """The clause as JSON would hold it, but for dates."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(frozen=True, slots=True)
class CourseDay:
    """One instructional day of one student: the tier, and each clause as true, false or unknown."""

    on: date
    school_id: str
    school_year: int
    closed: bool
    implied: bool
    tier: Tier
    intensive_candidate: bool
    clauses: dict[str, bool | None]


@dataclass(frozen=True, slots=True)
class Course:
    """One student's days within the courses of many. Days are named by their place, the last closed one being the last."""

    facts: Facts
    courses: Courses
    policy: Policy
    student: int
    rows: Any

    def __len__(self) -> int:
        return len(self.rows)

    def days(self) -> Iterator[CourseDay]:
        """Every instructional day from the first closed one to the last, ascending."""
        return map(self.day, range(len(self)))

    def day(self, place: int) -> CourseDay:
        """What is said of one day."""
        row, timeline = self.rows[place], self.courses.timeline
        closing = timeline.closing[row, self.student]
        return CourseDay(
            on=self.on(place),
            school_id=self.school(place),
            school_year=int(timeline.year[row, self.student]),
            closed=bool(closing != OPEN),
            implied=bool(closing == IMPLIED),
            tier=Tier.TARGETED if self.courses.targeted[row, self.student] else Tier.UNIVERSAL,
            intensive_candidate=bool(self.courses.candidate[row, self.student]),
            clauses={clause: self.holds(clause, place) for clause in CLAUSES},
        )

    def on(self, place: int) -> date:
        """The date of a day."""
        return day_of(self.courses.timeline.days[self.rows[place]])

    def school(self, place: int = -1) -> str:
        """The school that counts on a day."""
        return self.facts.schools[int(self.courses.timeline.school[self.rows[place], self.student])]

    def holds(self, clause: str, place: int) -> bool | None:
        """Whether a clause stands on a day; ``None`` where that is unknown."""
        at = self.rows[place], self.student
        if clause == REFERRALS:
            return bool(self.courses.referrals[at] >= self.policy.referrals.entry)
        if clause == ADULT_SUPPORT:
            return {LOW: True, FINE: False}.get(int(self.courses.adult_support[at]))
        attendance = self.courses.attendance
        if attendance.stands[at]:
            return True
        telling = (
            self.courses.timeline.known[at] and attendance.days_enrolled[at] >= self.policy.attendance.minimum_days
        )
        return False if telling else None

    def clauses(self, place: int = -1) -> tuple[Clause, ...]:
        """Every clause with its evidence as of a day; the last closed one unless told otherwise."""
        return tuple(self._clause(clause, place % len(self)) for clause in CLAUSES)

    def _clause(self, clause: str, place: int) -> Clause:
        holds = self.holds(clause, place)
        since = self._since(clause, place) if holds else place
        evidence = self._evidence(clause, place)
        said = sentences.SAYS[clause](holds, evidence, self.policy)
        return Clause(
            clause=clause,
            holds=holds,
            since=self.on(since) if holds else None,
            evidence=evidence,
            at_entry=self._evidence(clause, since) if holds and since != place else None,
            in_words=said.in_words,
            what_would_change_it=said.what_would_change_it,
        )

    def _since(self, clause: str, place: int) -> int:
        """The first of the days in a row, up to this one, on which a clause stands."""
        column = self.rows[: place + 1], self.student
        if clause == ATTENDANCE:
            stands = self.courses.attendance.stands[column]
        elif clause == ADULT_SUPPORT:
            stands = self.courses.adult_support[column] == LOW
        else:
            stands = self.courses.referrals[column] >= self.policy.referrals.entry
        return int(np.flatnonzero(~stands).max(initial=-1)) + 1

    def _evidence(self, clause: str, place: int) -> dict[str, Any]:
        evidence = {ATTENDANCE: self._absence, ADULT_SUPPORT: self._score, REFERRALS: self._referrals}[clause]
        return evidence(place)

    def _absence(self, place: int) -> dict[str, Any]:
        row, policy = self.rows[place], self.policy.attendance
        attendance, timeline = self.courses.attendance, self.courses.timeline
        absent = int(attendance.hundredths_absent[row, self.student])
        enrolled = int(attendance.days_enrolled[row, self.student])
        year = timeline.year[row, self.student]
        implied = timeline.closing[: row + 1, self.student][timeline.year[: row + 1, self.student] == year] == IMPLIED
        return {
            "days_absent": absent / 100,
            "days_enrolled": enrolled,
            "days_implied": int(np.count_nonzero(implied)),
            "through": self.on(place).isoformat(),
            "school_year": int(year),
            "band": band(absent, enrolled, self.policy),
            "days_in_a_row_below_exit": min(int(attendance.days_below[row, self.student]), policy.exit_days),
        }

    def _score(self, place: int) -> dict[str, Any]:
        scores, row = self.facts.scores, self.rows[place]
        mine = (scores.student == self.student) & (scores.day <= self.courses.timeline.days[row])
        complete = mine & (scores.prorated == 0)
        heard = np.flatnonzero(complete if complete.any() else mine)
        if not len(heard):
            return {"mean": None, "items_answered": 0}
        last = heard[np.lexsort((-scores.mean[heard], scores.day[heard]))[-1]]
        return {
            "mean": float(scores.mean[last]),
            "items_answered": int(scores.answered[last]),
            "items": int(scores.items[last]),
            "prorated": bool(scores.prorated[last]),
            "answered_on": day_of(scores.day[last]).isoformat(),
        }

    def _referrals(self, place: int) -> dict[str, Any]:
        at = self.rows[place], self.student
        return {
            "referrals": int(self.courses.referrals[at]),
            "school_year": int(self.courses.timeline.year[at]),
            "through": self.on(place).isoformat(),
        }


def course_of(facts: Facts, courses: Courses, policy: Policy, student: int) -> Course:
    """The course of one of the students that ``courses`` follow."""
    return Course(facts, courses, policy, student, np.flatnonzero(courses.timeline.on_course[:, student]))


def what_would_change(tier: Tier | None, clauses: Sequence[Clause]) -> str:
    """What would change a tier: for targeted, the end of each clause that stands; else the beginning of any."""
    return sentences.of_tier(
        tier, [clause.what_would_change_it for clause in clauses if tier is not Tier.TARGETED or clause.holds]
    )


def band(hundredths_absent: int, days_enrolled: int, policy: Policy) -> str | None:
    """The band of days missed: ``none``, ``watch``, ``targeted`` or ``intensive``; ``None`` before the minimum days."""
    attendance = policy.attendance
    if days_enrolled < attendance.minimum_days:
        return None
    reached = (
        ("intensive", attendance.severe_percent),
        ("targeted", attendance.entry_percent),
        ("watch", attendance.watch_percent),
    )
    return next((name for name, percent in reached if hundredths_absent >= percent * days_enrolled), "none")
