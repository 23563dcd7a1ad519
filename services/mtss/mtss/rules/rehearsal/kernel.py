"""The rehearsal kernel: a policy over every recorded day of a district, day by day with hysteresis.

Students go through it in groups small enough that all that is carried from day to day stays in the processor's cache;
groups run beside each other, for numpy lets go of the interpreter while it computes.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import partial

import numpy as np

from mtss.rules.facts import Flags, Ints
from mtss.rules.policy.document import Clause, Policy, PolicyInvalid
from mtss.rules.rehearsal.district import Bytes, District, heard_by
from mtss.rules.rehearsal.ground import Ground, Places, Tables, tables_of
from mtss.rules.rehearsal.outcome import CANDIDATE, STATES, UNKNOWN, Changes, Outcome
from mtss.rules.rehearsal.steps import Clauses, Holds
from mtss.rules.signals import SIGNALS

_AT_ONCE = 65_536
"""Students in a group: some twenty columns of one or two bytes each stay in a cache of two megabytes."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What came of one group."""

    counts: Ints
    changes: Changes


def run(days: District, policy: Policy, *, threads: int = 2, states: bool = False, at_once: int = _AT_ONCE) -> Outcome:
    """What ``policy`` would have said of every student on every day; ``states`` keeps all of it, a byte a student and day.

    Raises:
        PolicyInvalid: a clause cannot be rehearsed, or not with what this district holds.
    """
    for clause in policy.clauses.values():
        _require_runnable(days, clause)
    kept = np.zeros((len(days.days), days.students), np.uint8) if states else None
    one = partial(_group, days, policy, tables_of(days, policy), kept, at_once)
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(one, range(0, max(days.students, 1), at_once)))
    return Outcome(
        days=days.days,
        schools=days.schools,
        students=days.students,
        counts=_summed([part.counts for part in parts], days),
        changes=_joined([part.changes for part in parts]),
        states=kept,
    )


def _require_runnable(district: District, clause: Clause) -> None:
    at, texts = f"clauses.{clause.name}", clause.texts
    if texts.get("window", "").endswith("_days") and "window_days" not in clause.numbers:
        raise PolicyInvalid(field=f"{at}.window_days", rule="is missing")
    if texts.get("counts", "all") not in district.missed:
        raise PolicyInvalid(field=f"{at}.counts", rule="is not among the days that were given")
    if SIGNALS[clause.signal].recorded and heard_by(clause) not in district.happened:
        raise PolicyInvalid(field=f"{at}.signal", rule="hears what is not among what was given")


def _group(days: District, policy: Policy, tables: Tables, kept: Bytes | None, at_once: int, first: int) -> _Part:
    ground = Ground(days, tables, first, min(first + at_once, days.students))
    clauses, tiers = Clauses(ground, policy.clauses), _Tiers(ground, policy)
    for row in range(ground.rows):
        ground.turn(row)
        clauses.turn()
        tiers.turn(clauses)
        if kept is not None:
            kept[row, first : ground.end] = tiers.state
    return tiers.part()


class _Tiers:
    """The state of each student, what became of it, and how many there are of each at each school."""

    def __init__(self, ground: Ground, policy: Policy) -> None:
        self._ground = ground
        self.state: Bytes = np.zeros(ground.size, np.uint8)
        self._now, self._changed = np.zeros(ground.size, np.uint8), np.zeros(ground.size, np.bool_)
        self._targeted, self._intensive = (
            Holds(each.when, ground.size) for each in (policy.targeted, policy.intensive)
        )
        self._asking = {name for name in policy.targeted.when.clauses() if policy.clauses[name].when_unknown == "ask"}
        self._counts = np.zeros((ground.rows, len(ground.district.schools) + 1, STATES), np.int32)
        self._changes: list[tuple[int, Places, Bytes, Bytes]] = []

    def turn(self, clauses: Clauses) -> None:
        """Change what changes today. Only days on a student's course change anything."""
        self._count_who_moved()
        if not self._ground.is_school_day:
            return
        now, changed = self._now, self._changed
        stands = {name: each.stands for name, each in clauses.each.items()}
        targeted = self._targeted.among(stands)
        np.multiply(self._intensive.among(stands).view(np.uint8), CANDIDATE, out=now)
        np.bitwise_or(now, targeted.view(np.uint8), out=now)
        if self._asking:
            now |= self._unknown(clauses, targeted)
        np.not_equal(now, self.state, out=changed)
        np.bitwise_and(changed, self._ground.on_course, out=changed)
        self._change(np.flatnonzero(changed))

    def _unknown(self, clauses: Clauses, targeted: Flags) -> Bytes:
        """Whose support hangs on clauses of which nothing is known, one of them asking a person then."""
        holds = targeted.copy()
        mute = {name: ~(each.stands | each.measure.tells()) for name, each in clauses.each.items()}
        may = self._targeted.among({name: each.stands | mute[name] for name, each in clauses.each.items()})
        asked = np.logical_or.reduce([mute[name] for name in sorted(self._asking)])
        unknown: Bytes = (may & ~holds & asked).astype(np.uint8) * np.uint8(UNKNOWN)
        return unknown

    def _change(self, places: Places) -> None:
        if len(places):
            before, after = self.state[places], self._now[places]
            self.state[places] = after
            self._changes.append((self._ground.row, places, before, after))
            school = self._ground.school[places]
            self._count(school, before, school, after)

    def _count_who_moved(self) -> None:
        moved = self._ground.moved
        if len(moved):
            self._count(self._ground.came_from, self.state[moved], self._ground.school[moved], self.state[moved])

    def _count(self, from_school: Places, before: Bytes, to_school: Places, after: Bytes) -> None:
        counts = self._counts[self._ground.row].reshape(-1)
        counts -= np.bincount(from_school * STATES + before, minlength=counts.size)
        counts += np.bincount(to_school * STATES + after, minlength=counts.size)

    def part(self) -> _Part:
        """All of it, by student and then row."""
        student = np.concatenate([np.zeros(0, np.intp), *(places for _, places, _, _ in self._changes)])
        row = np.repeat([row for row, *_ in self._changes], [len(places) for _, places, _, _ in self._changes])
        before, after = (
            np.concatenate([np.zeros(0, np.uint8), *(each[at] for each in self._changes)]) for at in (2, 3)
        )
        order = np.argsort(student, kind="stable")
        student = (student[order] + self._ground.first).astype(np.int32)
        return _Part(self._counts, Changes(student, row.astype(np.int32)[order], before[order], after[order]))


def _summed(counts: Sequence[Ints], days: District) -> Ints:
    """Changes of counts become counts; who is nowhere is left out."""
    total = np.zeros((len(days.days), len(days.schools) + 1, STATES), np.int32)
    for each in counts:
        total += each
    return np.cumsum(total[:, :-1], axis=0, dtype=np.int32)


def _joined(changes: Sequence[Changes]) -> Changes:
    return Changes(*(np.concatenate([getattr(each, column.name) for each in changes]) for column in fields(Changes)))
