"""One student's course, and each clause of it with its evidence."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any, NamedTuple, Protocol

import numpy as np

from common.events.mtss import Tier
from mtss.rules import sentences
from mtss.rules.coming import Changes
from mtss.rules.courses import Courses
from mtss.rules.facts import Facts, day_of
from mtss.rules.ledger import Held
from mtss.rules.policy import Clause, Policy
from mtss.rules.signals import SIGNALS, Moment
from mtss.rules.timeline import IMPLIED, OPEN


@dataclass(frozen=True, slots=True)
class Found:
    """One ground for support without words: what can be made again from facts alone."""

    clause: Clause
    """With the numbers that counted."""
    holds: bool | None
    since: date | None
    evidence: dict[str, Any]
    at_entry: dict[str, Any] | None
    change: dict[str, Any] | None

    def document(self) -> dict[str, Any]:
        """As JSON holds those members that :func:`mtss.rules.differences` compares."""
        return {
            "clause": self.clause.name,
            "holds": self.holds,
            "since": self.since and self.since.isoformat(),
            "evidence": self.evidence,
            "at_entry": self.at_entry,
            "change": self.change,
        }


@dataclass(frozen=True, slots=True)
class ClauseAt:
    """One ground for support: whether it stands (``None``: unknown), on what evidence, and what would change that."""

    clause: str
    holds: bool | None
    since: date | None
    evidence: dict[str, Any]
    at_entry: dict[str, Any] | None
    in_words: str
    what_would_change_it: str
    change: dict[str, Any] | None = None
    """The least that would change it and the tier, as :class:`mtss.rules.Change` has it; ``None`` where that was not asked."""

    numbers: dict[str, float] = field(default_factory=dict)
    """The numbers of the policy that counted."""

    known: bool | None = None
    """Whether anything was known of it on that day: one that stands goes on standing on days of which nothing is."""

    def document(self) -> dict[str, Any]:
        """The clause as JSON would hold it, but for dates."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


def documents(clauses: Sequence[ClauseAt]) -> list[dict[str, Any]]:
    """Clauses as JSON holds them."""
    found: list[dict[str, Any]] = json.loads(json.dumps([each.document() for each in clauses], default=date.isoformat))
    return found


class Coverage(NamedTuple):
    """Of how many clauses something was known, and how many there are."""

    clauses_known: int
    clauses_in_all: int


def coverage_of(clauses: Sequence[Mapping[str, Any]]) -> Coverage:
    """How much was known, by clauses as :func:`documents` has them."""
    return Coverage(sum(map(_is_known, clauses)), len(clauses))


def _is_known(clause: Mapping[str, Any]) -> bool:
    """Of decisions of before it was kept, as far as it shows in what they say."""
    known = clause.get("known")
    return clause["holds"] is not None if known is None else bool(known)


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
    student: int
    rows: Any
    changes: Changes = field(default_factory=dict)
    """What would change each clause of the last day, where that was asked."""

    @property
    def policy(self) -> Policy:
        """The policy whose clauses are shown."""
        return self.courses.policy

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
            clauses={clause: self.holds(clause, place) for clause in self.policy.clauses},
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
        stand = self.courses.clauses[clause]
        if stand.stands[at]:
            return True
        return False if stand.measure.telling[at] else None

    def clauses(self, place: int = -1) -> tuple[ClauseAt, ...]:
        """Every clause with its evidence as of a day; the last closed one unless told otherwise."""
        return tuple(self._clause(clause, place % len(self)) for clause in self.policy.clauses)

    def found(self, place: int = -1) -> tuple[Found, ...]:
        """The same without words."""
        return tuple(self._found(clause, place % len(self)) for clause in self.policy.clauses)

    def _clause(self, clause: str, place: int) -> ClauseAt:
        found = self._found(clause, place)
        gives = sentences.gives_support(self.policy, clause)
        seen = sentences.Seen(found.clause, found.holds, found.evidence, found.change, gives)
        return ClauseAt(
            clause=clause,
            holds=found.holds,
            since=found.since,
            evidence=found.evidence,
            at_entry=found.at_entry,
            in_words=sentences.in_words(seen),
            what_would_change_it=sentences.what_would_change_it(seen),
            change=found.change,
            numbers={path: float(number.value) for path, number in found.clause.numbers.items()},
            known=bool(self.courses.clauses[clause].measure.telling[self.rows[place], self.student]),
        )

    def _found(self, clause: str, place: int) -> Found:
        of, holds = self.courses.counting(clause, self.rows[place], self.student), self.holds(clause, place)
        since = self._since(clause, place) if holds else place
        asked = self.changes.get(clause) if place == len(self) - 1 else None
        return Found(
            clause=of,
            holds=holds,
            since=self.on(since) if holds else None,
            evidence=self._evidence(clause, place),
            at_entry=self._evidence(clause, since) if holds and since != place else None,
            change=asked.document() if asked else None,
        )

    def _since(self, clause: str, place: int) -> int:
        """The first of the days in a row, up to this one, on which a clause stands."""
        stands = self.courses.clauses[clause].stands[self.rows[: place + 1], self.student]
        return int(np.flatnonzero(~stands).max(initial=-1)) + 1

    def _evidence(self, clause: str, place: int) -> dict[str, Any]:
        of, stand, row = (
            self.courses.counting(clause, self.rows[place], self.student),
            self.courses.clauses[clause],
            self.rows[place],
        )
        leaving = int(stand.days_leaving[row, self.student])
        moment = Moment(of, self.facts, self.courses.timeline, stand.measure, leaving, row, self.student)
        return SIGNALS[of.signal].evidence(moment)


def course_of(facts: Facts, courses: Courses, student: int, changes: Changes | None = None) -> Course:
    """The course of one of the students that ``courses`` follow; in the words of the policy that counts on its last day."""
    rows = np.flatnonzero(courses.timeline.on_course[:, student])
    return Course(facts, courses.as_of(student), student, rows, changes or {})


class Changing(Protocol):
    """A clause, as far as what would change it goes."""

    @property
    def clause(self) -> str:
        """Its name."""

    @property
    def holds(self) -> bool | None:
        """Whether it stands."""

    @property
    def what_would_change_it(self) -> str:
        """The sentence."""


def what_would_change(
    tier: Tier | None,
    clauses: Sequence[Changing],
    policy: Policy,
    held: Held | None = None,
    *,
    supported: bool = False,
    partly: bool = False,
) -> str:
    """What would change a tier: the end of each clause that extra support rests on; without such support the beginning of any.

    ``held``: the override that says this tier; what follows it is what would change the tier beneath. ``supported``: a
    support runs, so that the end is put before a person. ``partly``: ``clauses`` are not all of them, so nothing is said of how many the tier rests on.
    """
    by_facts = held.beneath if held else tier
    grounds = set(policy.support_of(by_facts).when.clauses())
    mine = [each for each in clauses if each.clause in grounds and (by_facts is Tier.UNIVERSAL or each.holds)]
    changes = [clause.what_would_change_it for clause in mine]
    if partly:
        return sentences.of_tier(Tier.UNIVERSAL, changes, held, asks=False)
    return sentences.of_tier(by_facts, changes, held, asks=asks_a_person(policy, by_facts, supported))


def asks_a_person(policy: Policy, tier: Tier | None, supported: bool = False) -> bool:
    """Whether what would change ``tier`` is put before a person, as its end always is while a support runs."""
    if tier is None:
        return False
    if tier is Tier.UNIVERSAL:
        return policy.targeted.entry == "proposed"
    return supported or policy.support_of(tier).exit == "proposed"
