"""What came of a rehearsal: who stood where on which day, kept as the rare days on which something changed."""

from dataclasses import dataclass

import numpy as np

from mtss.rules.facts import Ints
from mtss.rules.rehearsal.district import Bytes

TARGETED, CANDIDATE, UNKNOWN = 1, 2, 4
"""A state is their sum: targeted support is called for; intensive is to be put before a person; it hangs on what is unknown."""
STATES = 8


@dataclass(frozen=True, slots=True)
class Changes:
    """Days on which the state of a student became another; columns of equal length, by student and then row."""

    student: Ints
    row: Ints
    before: Bytes
    after: Bytes


@dataclass(frozen=True, slots=True)
class Episodes:
    """Times from an entry day to an exit day, both belonging to the new state; columns of equal length, by student and row."""

    student: Ints
    entry: Ints
    """The row of the first day on which it stood."""
    exit: Ints
    """The row of the first day on which it did not; as many as there are rows if that never came."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What reports are made of."""

    days: Ints
    """The day of each row, counted from 1970-01-01."""
    schools: tuple[str, ...]
    students: int
    counts: Ints
    """How many students a school has in each state at the end of each day; rows x schools x ``STATES``.

    Whoever is enrolled counts; before a student's first closed day the state is 0, and after the last one it stands.
    """
    changes: Changes
    states: Bytes | None
    """The state of each student at the end of each day, rows x students, if it was asked for."""

    def caseload(self, state: int) -> Ints:
        """How many students of each school are in ``state`` (such as ``TARGETED``) each day; rows x schools."""
        has = np.arange(STATES) & state > 0
        caseload: Ints = self.counts[:, :, has].sum(axis=2, dtype=np.int32)
        return caseload

    def episodes(self, state: int) -> Episodes:
        """Every time that a student was in ``state``."""
        changes = self.changes
        began = changes.after & ~changes.before & state > 0
        ended = changes.before & ~changes.after & state > 0
        which = np.flatnonzero(began | ended)
        entry = which[began[which]]
        # By student and row, a beginning and its end alternate; what follows the last beginning is another student's.
        follower = np.append(which, 0)[np.searchsorted(which, entry) + 1]
        over = ended[follower] & (changes.student[follower] == changes.student[entry]) & (follower > entry)
        until = np.where(over, changes.row[follower], np.int32(len(self.days)))
        return Episodes(changes.student[entry], changes.row[entry], until)

    def returns(self, state: int) -> Ints:
        """How many times each student came back to ``state`` after leaving it."""
        times: Ints = np.bincount(self.episodes(state).student, minlength=self.students).astype(np.int32)
        return np.maximum(times - 1, 0)
