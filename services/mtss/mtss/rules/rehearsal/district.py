"""A district's recorded days in the shape that a rehearsal runs over: one byte a student and day, and rare things apart.

Rows are days, ascending; a day on which only a survey was answered has a row too. A million students over 180 days are 180 MB.
It knows no policy, so that many can run over it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mtss.rules.facts import Flags, Floats, Ints
from mtss.rules.policy.document import Clause
from mtss.rules.timeline import Small, Timeline, rows_at

Bytes: TypeAlias = NDArray[np.uint8]

MOST_MISSED = 100
"""Up to here a byte is hundredths of a day missed, on a day that the school closed."""
OPEN_DAY, OFF_COURSE, NOT_THERE = 253, 254, 255
"""An instructional day not closed; one before the student's first closed day or after the last; a day not enrolled or without school."""
Heard: TypeAlias = tuple[Any, ...]
"""What clauses have in common that hear the same of what happens to students, whatever their windows and numbers."""


@dataclass(frozen=True, slots=True)
class Stays:
    """Where a student is from a row on: columns of equal length, by student and then row. Before the first: nowhere."""

    student: Ints
    row: Ints
    school: Ints
    """Its place in ``District.schools``; one more than the last for nowhere."""
    grade: Ints
    """Its place in ``District.grades``; one more than the last for none."""


@dataclass(frozen=True, slots=True)
class Happened:
    """Things that happened to students, by student and then row; ``value`` is what was measured, or how much it was."""

    student: Ints
    row: Ints
    value: Floats
    of: Ints | None = None
    """Of how many, where it is a part."""


@dataclass(frozen=True, slots=True)
class District:
    """All that a rehearsal reads."""

    days: Ints
    """The day of each row, counted from 1970-01-01."""
    schools: tuple[str, ...]
    grades: tuple[str, ...]
    missed: Mapping[str, Bytes]
    """By what is counted (``all``, ``unexcused``, ``excused``): hundredths of days missed, or one of the codes; rows x students."""
    year: Small
    """The school year of each instructional day, else 0; rows x (schools + 1), the last being nowhere."""
    begins: Mapping[int, Ints]
    """For each school year the row of its first day at any school of each student; as many as there are rows if none."""
    stays: Stays
    happened: Mapping[Heard, Happened]
    """All else, by who hears it."""

    @property
    def students(self) -> int:
        """How many students."""
        return int(self.missed["all"].shape[1])


def heard_by(clause: Clause) -> Heard:
    """What ``clause`` hears."""
    texts = ((name, text) for name, text in clause.texts.items() if name != "window")
    return (clause.signal, *sorted(texts), *((name, said.codes) for name, said in sorted(clause.lists.items())))


def happened(
    timeline: Timeline, of: Any, values: Any = None, which: Flags | None = None, of_how_many: Ints | None = None
) -> Happened:
    """What facts ``of`` single days say; without ``values`` each of them is one. ``which`` says that not all of them count."""
    rows, counts = rows_at(timeline.days, of.day)
    if which is not None:
        counts &= which
    rows, students = rows[counts], of.student[counts]
    value = np.ones(len(rows)) if values is None else values[counts].astype(np.float64)
    order = np.lexsort((value, rows, students))
    part_of = None if of_how_many is None else of_how_many[counts][order]
    return Happened(students[order], rows[order], value[order], part_of)


def happened_on(days: Flags) -> Happened:
    """One on each of these days; rows x students."""
    student, row = (each.astype(np.int32) for each in np.nonzero(days.T))
    return Happened(student, row, np.ones(len(row)))
