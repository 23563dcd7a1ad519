"""What would change a clause and a tier: the least of what may still happen in this school year.

Nothing is guessed. Facts are supposed to go on, and the rules that decide follow them: first with every coming school day
attended, then once for each clause with just as much missed, referred or scored as should be enough. That counts only if the
clause, or the tier, then is on some day what it is neither now nor on that day without it. What people decided stands as long as
they said, and what the policy leaves to them changes no tier: they are supposed to decide nothing further.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property, partial
from typing import Any, TypeAlias

import numpy as np

from mtss.rules.courses import Courses, Policies, follow
from mtss.rules.facts import DATED, Facts, Ints, day_of, joined, picked
from mtss.rules.policy import Policy
from mtss.rules.signals import SIGNALS
from mtss.rules.signals.kinds import Going, Supposed
from mtss.rules.standing import tiers_over
from mtss.rules.timeline import Coming

PASSING = "school_days"


@dataclass(frozen=True, slots=True)
class Least:
    """The least that is enough, and the school day from which on it shows."""

    amount: float
    on: date

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"amount": self.amount, "on": self.on.isoformat()}


@dataclass(frozen=True, slots=True)
class Change:
    """What would change one clause.

    ``by``: ``school_days`` in a row, all attended; days ``missing`` or ``tardies`` from the next school day on; ``referrals``, ``help_requests``
    or days of ``exclusions`` on the next school day; ``surveys`` that name an adult, or none; so many ``courses_not_passed``; or a ``score_of`` so much. ``None``: not within this school year, which has so many school days left.
    """

    by: str
    clause: Least | None
    tier: Least | None
    school_days_left: int

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "by": self.by,
            "clause": self.clause and self.clause.document(),
            "tier": self.tier and self.tier.document(),
            "school_days_left": self.school_days_left,
        }


Changes: TypeAlias = Mapping[str, Change]
"""By clause."""


@dataclass(frozen=True)
class _Onwards:
    """Courses that go on, with the tier on each day."""

    courses: Courses

    @cached_property
    def tiers(self) -> Ints:
        return tiers_over(self.courses)

    def stands(self, policy: Policy, clause: str | None) -> Any:
        """On which day which student's clause stands; without a clause, which tier counts."""
        return self.tiers if clause is None else self.courses.under(policy).clauses[clause].stands


@dataclass(frozen=True, slots=True)
class _Student:
    """Where one student stands on the last closed day, and how that goes on if nothing happens."""

    place: int
    policy: Policy
    courses: Courses
    row: int
    coming: Ints
    """The rows of the coming school days."""
    days: Ints
    """Those days."""
    stands: Mapping[str | None, tuple[Any, Any]]
    """Whether each clause stands, and by ``None`` which tier, now and on each coming day."""


@dataclass(frozen=True, slots=True)
class _Try:
    student: _Student
    clause: str
    supposed: Supposed


_Tried: TypeAlias = dict[str, tuple[int, Supposed]]
"""By clause what was supposed, and the place of that among all tries."""


def what_may_change(facts: Facts, courses: Courses, policies: Policies, places: Sequence[int]) -> dict[int, Changes]:
    """For each of the students at ``places`` who has a tier what would change each clause of the policy that counts.

    ``courses`` are what ``policies`` say of ``facts``. Who is one of a thousand costs what one costs: it is two further courses
    for all of them together.
    """
    mine = [place for place in places if courses.timeline.on_course[:, place].any()]
    whose = np.array(mine, np.int32)
    rows = np.array([np.flatnonzero(courses.timeline.on_course[:, place])[-1] for place in mine], np.intp)
    coming = Coming(courses.timeline.days[rows], courses.timeline.year[rows, whose].astype(np.int32))
    known = _up_to(facts.of_those(whose), coming.last)
    if not mine:
        return {}
    onwards = _Onwards(follow(known, policies, coming))
    policy_of = [courses.as_of(place).policy for place in mine]
    students = [_student(onwards, policy_of[at], coming, at) for at in range(len(mine))]
    tries = [each for student in students for each in _tries(student, known)]
    found = _Onwards(_tried(known, policies, coming, tries))
    tried: list[_Tried] = [{} for _ in students]
    for at, each in enumerate(tries):
        tried[each.student.place][each.clause] = at, each.supposed
    return {mine[student.place]: dict(_changes(student, tried[student.place], found)) for student in students}


def _student(onwards: _Onwards, policy: Policy, coming: Coming, place: int) -> _Student:
    timeline, last = onwards.courses.timeline, coming.last[place]
    rows = np.flatnonzero(timeline.known[:, place] & (timeline.days > last)).astype(np.int32)
    row, stands = int(np.searchsorted(timeline.days, last)), {}
    for clause in (None, *policy.clauses):
        column = onwards.stands(policy, clause)[:, place]
        stands[clause] = column[row], column[rows]
    return _Student(place, policy, onwards.courses, row, rows, timeline.days[rows], stands)


def _up_to(facts: Facts, last: Ints) -> Facts:
    """What is dated later says nothing yet, but for what people have decided by now."""

    def kept(columns: Any) -> Any:
        return picked(columns, columns.day <= last[columns.student])

    rulings = replace(facts.rulings, day=np.minimum(facts.rulings.day, last[facts.rulings.student]))
    return replace(facts, rulings=rulings, **{name: kept(getattr(facts, name)) for name in DATED})


def _tries(student: _Student, facts: Facts) -> Iterator[_Try]:
    for name, usual in student.policy.clauses.items():
        supposed = SIGNALS[usual.signal].suppose(_going(student, facts, name))
        if supposed is not None:
            yield _Try(student, name, supposed)


def _going(student: _Student, facts: Facts, name: str) -> Going:
    courses, place, coming = student.courses.under(student.policy), student.place, student.coming
    measure, timeline = courses.clauses[name].measure, courses.timeline
    return Going(
        clause=courses.counting(name, student.row, place),
        facts=facts,
        stands=bool(student.stands[name][0]),
        days=student.days,
        school=timeline.school[coming, place].astype(np.int32),
        now=(measure.amount[student.row, place], None if measure.of is None else measure.of[student.row, place]),
        running=0.0 if measure.running is None else float(measure.running[student.row, place]),
        amount=measure.amount[coming, place],
        of=None if measure.of is None else measure.of[coming, place],
        telling=measure.telling[coming, place],
    )


def _tried(facts: Facts, policies: Policies, coming: Coming, tries: Sequence[_Try]) -> Courses:
    """The courses of all tries, each being a student."""
    whose = np.array([each.student.place for each in tries], np.int32)
    with_all = facts.of_those(whose)
    for name in DATED:
        columns = getattr(with_all, name)
        rows = [(at, *row) for at, each in enumerate(tries) for row in each.supposed.facts.get(name, ())]
        if rows:
            with_all = replace(with_all, **{name: joined(columns, type(columns).of(*zip(*rows, strict=True)))})
    return follow(with_all, policies, Coming(coming.last[whose], coming.year[whose]))


def _changes(student: _Student, tried: _Tried, found: _Onwards) -> Iterator[tuple[str, Change]]:
    left = len(student.coming)
    least = partial(_least, student, found, np.searchsorted(found.courses.timeline.days, student.days))
    days_pass = least(None, None)
    for name in student.policy.clauses:
        if name not in tried:
            yield name, Change(PASSING, least(name, None), days_pass, left)
            continue
        at, supposed = tried[name]
        alike = [each for each in tried.values() if (each[1].by, each[1].of) == (supposed.by, supposed.of)]
        tiers = (least(None, each) for each in sorted(alike, key=lambda each: each[1].further))
        yield name, Change(supposed.by, least(name, (at, supposed)), next(filter(None, tiers), None), left)


def _least(
    student: _Student, found: _Onwards, rows: Any, clause: str | None, tried: tuple[int, Supposed] | None
) -> Least | None:
    now, without = student.stands[clause]
    changed = without != now
    if tried is not None:
        changed = ~changed & (found.stands(student.policy, clause)[rows, tried[0]] != now)
    if not changed.any():
        return None
    first = int(changed.argmax())
    return Least(float(tried[1].least) if tried else first + 1, day_of(student.days[first]))
