"""Several rows of one student, school and day become one fact."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from common.events import AttendanceKind


@dataclass(frozen=True, slots=True)
class AttendanceRow:
    """One row: its kind, and the hundredths of a day it gives or ``None``."""

    kind: AttendanceKind
    hundredths: int | None


@dataclass(frozen=True, slots=True)
class AttendanceDay:
    """What all rows of a day come to."""

    kind: AttendanceKind
    hundredths_absent: int


@dataclass(frozen=True)
class AttendancePolicy:
    """How code values are read and how rows of one day are weighed."""

    categories: Mapping[str, str]
    without_duration: Mapping[str, int]
    never_missed: Iterable[str]
    strongest_first: Iterable[str]

    def kind(self, code: str) -> AttendanceKind | None:
        """The kind that a code value means, in any case; ``None`` of one that means nothing here any more."""
        kind = self.categories.get(code.lower())
        return None if kind is None else AttendanceKind(kind)

    def missed(self, row: AttendanceRow) -> int:
        """Hundredths of the day that ``row`` alone says were missed."""
        if row.kind in self._never_missed:
            return 0
        return self.without_duration[row.kind] if row.hundredths is None else row.hundredths

    def resolve(self, rows: Iterable[AttendanceRow]) -> AttendanceDay | None:
        """The largest fraction wins; at equal fractions the stronger kind, unexcused first. ``None`` without rows.

        Neither the order of rows nor a repeated row changes the answer.
        """
        weighed = [(self.missed(row), -self._rank[row.kind], row.kind) for row in rows]
        if not weighed:
            return None
        missed, _, kind = max(weighed)
        return AttendanceDay(kind=kind, hundredths_absent=missed)

    @cached_property
    def _rank(self) -> dict[AttendanceKind, int]:
        return {AttendanceKind(kind): rank for rank, kind in enumerate(self.strongest_first)}

    @cached_property
    def _never_missed(self) -> frozenset[str]:
        return frozenset(self.never_missed)
