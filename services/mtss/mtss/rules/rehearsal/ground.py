"""What is so of some students on the day at hand: where they are, what their school recorded, what the policy says otherwise."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mtss.rules.facts import Flags
from mtss.rules.policy.document import Clause, Policy, Variant, scale_of
from mtss.rules.rehearsal.district import MOST_MISSED, NOT_THERE, OPEN_DAY, Bytes, District
from mtss.rules.timeline import Small

Places: TypeAlias = NDArray[np.intp]
Who: TypeAlias = Places | None
"""The places of some of the students at hand; ``None`` for all of them."""


@dataclass(frozen=True, slots=True)
class Tables:
    """What one policy says of one district, worked out once for all its students."""

    variants: tuple[Variant, ...]
    variant: Small
    """Which variant counts, from 1, and 0 for none; (schools + 1) x (grades + 1), the last of each being nowhere."""
    exempt: Flags
    """For each grade whether nothing is asked in it; the last is nowhere."""
    years: tuple[tuple[int, ...], ...]
    """For each row the school years that it is a day of; none on a day without school."""


def tables_of(district: District, policy: Policy) -> Tables:
    """What ``policy`` says otherwise, and which years there are."""
    table: Small = np.zeros((len(district.schools) + 1, len(district.grades) + 1), np.int16)
    variants: list[Variant] = []
    for school, grade, variant in _variants(district, policy):
        if variant not in variants:
            variants.append(variant)
        table[school, grade] = variants.index(variant) + 1
    exempt = np.array([*(grade in policy.exempt_grades for grade in district.grades), False])
    return Tables(
        tuple(variants), table, exempt, tuple(tuple(np.unique(row[row > 0]).tolist()) for row in district.year)
    )


def _variants(district: District, policy: Policy) -> Iterator[tuple[int, int, Variant]]:
    if policy.variants:
        for school, school_id in enumerate(district.schools):
            for grade, name in enumerate(district.grades):
                variant = policy.variant_of(name, school_id)
                if variant is not None:
                    yield school, grade, variant


class ByRow:
    """Columns of the students from ``first`` to before ``end``, by row; a student is named by the place among these."""

    def __init__(self, of: Any, names: Sequence[str], rows: int, first: int, end: int) -> None:
        mine = slice(*np.searchsorted(of.student, (first, end)).tolist())
        order = np.argsort(of.row[mine], kind="stable")
        self.row = of.row[mine][order]
        self.student: Places = (of.student[mine][order] - first).astype(np.intp)
        self.columns = [getattr(of, name)[mine][order] for name in names]
        self._starts = np.searchsorted(self.row, np.arange(rows + 1)).tolist()

    def at(self, row: int) -> slice:
        """Which of them are of this row."""
        return slice(self._starts[row], self._starts[row + 1])


class Ground:
    """The students from ``first`` to before ``end``, on one day after the other."""

    def __init__(self, district: District, tables: Tables, first: int, end: int) -> None:
        self.district, self.tables = district, tables
        self.first, self.end, self.size, self.rows = first, end, end - first, len(district.days)
        self.row, self.of_year, self.rules_moved = -1, list[tuple[int, Flags]](), False
        self.known, self.there, self.on_course = (np.zeros(self.size, np.bool_) for _ in range(3))
        self.asked = np.ones(self.size, np.bool_) if tables.exempt.any() else None
        self.school: Places = np.full(self.size, len(district.schools), np.intp)
        self.moved, self.came_from = np.zeros((2, 0), np.intp)
        self._stays = ByRow(district.stays, ("school", "grade"), self.rows, first, end)
        self._numbers: list[Number] = []

    @property
    def is_school_day(self) -> bool:
        """Whether any school has an instructional day."""
        return bool(self.of_year)

    def missed(self, counts: str) -> Bytes:
        """What was recorded of today, as in ``District.missed``."""
        return self.district.missed[counts][self.row, self.first : self.end]

    def number(self, clause: Clause, path: str) -> "Number":
        """A number of a clause, which follows those who move."""
        number = Number(clause, path, self)
        self._numbers += [number] * number.varies
        return number

    def turn(self, row: int) -> None:
        """Let it be the day of ``row``."""
        self.row = row
        self._move(self._stays.at(row))
        recorded, years, year = self.missed("all"), self.tables.years[row], self.district.year[row]
        np.less_equal(recorded, MOST_MISSED, out=self.known)
        np.less(recorded, NOT_THERE, out=self.there)
        np.less_equal(recorded, OPEN_DAY, out=self.on_course)
        self.of_year = [(each, self.there if len(years) == 1 else year[self.school] == each) for each in years]

    def _move(self, which: slice) -> None:
        self.moved = self._stays.student[which]
        self.rules_moved = bool(len(self.moved)) and (self.asked is not None or bool(self._numbers))
        if not len(self.moved):
            return
        school, grade = (each[which] for each in self._stays.columns)
        self.came_from = self.school[self.moved]
        self.school[self.moved] = school
        if self.asked is not None:
            self.asked[self.moved] = ~self.tables.exempt[grade]
        for each in self._numbers:
            each.move(self.moved, self.tables.variant[school, grade])


class Number:
    """One number of a policy, for all students at hand or for each: in units or in parts, so that it is whole."""

    def __init__(self, clause: Clause, path: str, ground: Ground) -> None:
        usual, full = clause[path], f"clauses.{clause.name}.{path}"
        values = [usual, *(each.number_at(full, usual) for each in ground.tables.variants)]
        self.scale = scale_of(values)
        self.values = tuple(int(each * self.scale) for each in values)
        self.varies = len(set(self.values)) > 1
        self._table = np.array(self.values, np.uint32)
        self._each = np.full(ground.size if self.varies else 0, self.values[0], np.uint32)

    def at(self, who: Who) -> Any:
        """One for each of them, or one for all."""
        if not self.varies:
            return self.values[0]
        return self._each if who is None else self._each[who]

    def move(self, places: Places, variant: Small) -> None:
        """What counts for students who moved."""
        self._each[places] = self._table[variant]
