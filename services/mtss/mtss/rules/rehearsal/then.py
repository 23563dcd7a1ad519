"""What was known then: each day judged by the facts as they were known at its end, whichever kind they are of.

Mostly what is known of a day at its end is what is known of it now. Where it is not, something became known later of an earlier
day; before each such moment the student's facts are read as they were then, and are one more column, so that a policy runs over
all of them at once. A day on which the school had not closed the day yet ended with what its last closed day said: the school
where the student was then known to be.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from mtss.rules.facts import NEVER, Flags, Ints, _Columns
from mtss.rules.policy.document import Policy
from mtss.rules.rehearsal.district import Bytes, District
from mtss.rules.rehearsal.ground import Ground, Places, tables_of
from mtss.rules.rehearsal.kernel import run
from mtss.rules.rehearsal.outcome import STATES, Changes, Outcome
from mtss.rules.timeline import Small, rows_at


@dataclass(frozen=True, slots=True)
class Moments(_Columns):
    """Days on which something became known of a day before, by student and then day."""

    student: Ints
    day: Ints


@dataclass(frozen=True, slots=True)
class Closings(_Columns):
    """On which day it became known that a school had closed a day: by the places of the schools of now, nowhere, and former ones."""

    school: Ints
    day: Ints
    known: Ints


@dataclass(frozen=True, slots=True)
class Known:
    """When what is known became known, by days; students and schools are named by their places."""

    since: Ints
    """For each student the first day on which they were known to be enrolled."""
    moments: Moments
    closings: Closings
    late_days: int
    """A day closed so many days after it, or later, came with a load of the past, and so did what its school closed with it of days
    before: by them nobody decided, so they are as known now."""
    former: tuple[str, ...] = ()
    """Schools where nobody is known now to have been, and somebody was before."""


class AsKnownThen:
    """A district in which policies run over what was known at the end of each day.

    ``before``: at each of the moments its student as known before it, each a column; in parts, in their order.
    """

    def __init__(self, district: District, known: Known, before: Sequence[District]) -> None:
        self._district, self.known, self._before = district, known, before
        self._nowhere = len(district.schools)
        closed = self._closed()
        self._late = self._loaded(closed)
        self._source = self._last_closed(closed)
        self._first, self._end = self._between()
        self._schools_before = self._known_at()

    def run(self, policy: Policy) -> Outcome:
        """What ``policy`` would have said at the end of each day."""
        district = self._district
        now, before = _states(district, policy), self._states_before(policy)
        ground = Ground(district, tables_of(district, policy), 0, district.students)
        counts = np.zeros((ground.rows, len(district.schools) + 1, STATES), np.int32)
        then = np.zeros_like(now)
        for row in range(ground.rows):
            ground.turn(row)
            self._end_day(then[row], row, now, before, ground.school)
            found = np.bincount(ground.school * STATES + then[row], minlength=counts[row].size)
            counts[row] = found.reshape(counts[row].shape)
        return _outcome(district, counts[:, :-1], then)

    def _end_day(self, states: Bytes, row: int, now: Bytes, before: Bytes, school: Places) -> None:
        source, late = self._source[row, school], self._late[row, school]
        states[:] = now[row]
        behind = np.flatnonzero(source != row)
        states[behind] = now[source[behind], behind]
        states[(source < 0) | (~late & (self.known.since > self._district.days[row]))] = 0
        self._as_before(states, row, before)

    def _as_before(self, states: Bytes, row: int, before: Bytes) -> None:
        """Who was known otherwise on that day."""
        column = np.flatnonzero((self._first <= row) & (row < self._end))
        column = column[~self._late[row, self._schools_before[row, column]]]
        source = self._source[row, self._schools_before[row, column]]
        states[self.known.moments.student[column]] = before[source, column]

    def _closed(self) -> Ints:
        """For each row and school the day on which it was known to be closed; nowhere and the former schools come last."""
        closings, days = self.known.closings, self._district.days
        rows, found = rows_at(days, closings.day)
        schools = self._nowhere + 1 + len(self.known.former)
        closed: Ints = np.full((len(days), schools), NEVER, np.int32)
        closed[rows[found], closings.school[found]] = closings.known[found]
        return closed

    def _loaded(self, closed: Ints) -> Flags:
        """For each row and school whether the day came with a load of the past."""
        days = self._district.days
        late: Flags = (closed < NEVER) & (closed - self.known.late_days >= days[:, None])
        for school in np.flatnonzero(late.any(axis=0)):
            known = closed[:, school]
            late[:, school] |= np.isin(known, known[late[:, school]]) & (known > days)
        return late

    def _last_closed(self, closed: Ints) -> Ints:
        """For each row and school the row of the last day known by then to be closed, and -1 before the first."""
        days, rows = self._district.days, np.arange(len(self._district.days), dtype=np.int32)
        day, school = np.nonzero(closed < NEVER)
        known = np.searchsorted(days, np.maximum(closed[day, school], days[day]))
        soon = known < len(days)
        last: Ints = np.full(closed.shape, -1, np.int32)
        np.maximum.at(last, (known[soon], school[soon]), day[soon])
        np.maximum.accumulate(last, axis=0, out=last)
        last[:, self._nowhere] = rows  # what was said stands
        return np.where(self._late, rows[:, None], last)

    def _between(self) -> tuple[Ints, Ints]:
        """For each column the first row of which it is true, and the first of which it is not."""
        moments = self.known.moments
        end = np.searchsorted(self._district.days, moments.day).astype(np.int32)
        first = np.zeros(len(end), np.int32)
        same = moments.student[1:] == moments.student[:-1]
        first[1:][same] = end[:-1][same]
        return np.maximum(first, np.searchsorted(self._district.days, self.known.since[moments.student])), end

    def _known_at(self) -> Small:
        """For each row and column the school where its student was then known to be."""
        days, nowhere = self._district.days, self._nowhere
        names = *self._district.schools, None, *self.known.former
        places = {school: place for place, school in enumerate(names)}
        parts = [np.zeros((len(days), 0), np.int16)]
        for part in self._before:
            ours = np.array([*(places[each] for each in part.schools), nowhere], np.int16)
            rows = np.maximum(np.searchsorted(part.days, days, side="right") - 1, 0)
            wanted = np.arange(part.students) * len(part.days) + rows[:, None]
            starts = part.stays.student.astype(np.int64) * len(part.days) + part.stays.row
            parts.append(ours[part.stays.school[np.searchsorted(starts, wanted, side="right") - 1]])
        return np.concatenate(parts, axis=1)

    def _states_before(self, policy: Policy) -> Bytes:
        """The states of all columns at the end of each of our rows; below the first of theirs it is 0, and the last row says so too."""
        days = self._district.days
        parts = [np.zeros((len(days) + 1, 0), np.uint8)]
        for part in self._before:
            states = np.concatenate([_states(part, policy), np.zeros((1, part.students), np.uint8)])
            rows = np.searchsorted(part.days, days, side="right") - 1
            parts.append(np.concatenate([states[rows], states[-1:]]))
        return np.concatenate(parts, axis=1)


def _states(district: District, policy: Policy) -> Bytes:
    return cast(Bytes, run(district, policy, states=True).states)


def _outcome(district: District, counts: Ints, states: Bytes) -> Outcome:
    return Outcome(
        days=district.days,
        schools=district.schools,
        students=district.students,
        counts=counts,
        changes=_changes(states),
        states=states,
    )


def _changes(states: Bytes) -> Changes:
    last = np.zeros(states.shape[1], np.uint8)
    row, student = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
    for at, now in enumerate(states):
        student.append(np.flatnonzero(now != last).astype(np.int32))
        row.append(np.full(len(student[-1]), at, np.int32))
        last = now
    rows, students = np.concatenate(row), np.concatenate(student)
    order = np.lexsort((rows, students))
    rows, students = rows[order], students[order]
    return Changes(students, rows, states[rows - 1, students] * (rows > 0), states[rows, students])
