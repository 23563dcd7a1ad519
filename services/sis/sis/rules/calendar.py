"""School calendars: descriptors of days, and the calendar file."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import TypeVar

from sis.rules.members import BrokenRule, InvalidMember
from sis.rules.separators import wrong_separator
from sis.rules.values import code_value, day, school_id, year

T = TypeVar("T")

_COLUMNS = ("school_id", "date", "instructional")
_OPTIONAL = "school_year"
_YES_NO = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

SchoolYear = tuple[str, int]
"""A school and the year in which a school year ends."""


@dataclass(frozen=True)
class CalendarPolicy:
    """Which code values of a calendar event make a day instructional, which others are known, and how much a file may take away."""

    instructional: Sequence[str]
    other: Sequence[str]
    most_lost_percent: int

    @cached_property
    def known(self) -> frozenset[str]:
        """Every code value that may stand in a calendar."""
        return frozenset((*self.instructional, *self.other))

    def is_instructional(self, descriptors: Iterable[str]) -> bool:
        """Whether any event of a day makes it count."""
        return any(code_value(descriptor).lower() in self.instructional for descriptor in descriptors)

    def takes_too_much(self, before: Collection[date], after: Collection[date]) -> bool:
        """Whether a school year with the days ``after`` lacks more of those ``before`` than a file may take away unasked."""
        return 100 * len(set(before) - set(after)) > self.most_lost_percent * len(before)


@dataclass(frozen=True, slots=True)
class Rejected:
    """One line of a file that was left out, and the school and year that it names as far as they can be read."""

    line: int
    column: str
    rule: str
    school: str | None = None
    year: int | None = None
    cells: Mapping[str, str] = field(default_factory=dict, compare=False)
    """What the line says, by column; empty where that cannot be told."""


@dataclass(frozen=True, slots=True)
class CalendarFile:
    """The instructional days that a file names for each whole school year, ascending, and the lines left out."""

    years: Mapping[SchoolYear, tuple[date, ...]]
    incomplete: Mapping[SchoolYear, int]
    """School years of which a line may have been left out, and how many lines of them were read."""
    rejected: Sequence[Rejected]
    first_lines: Mapping[str, int]
    """The line on which each school is named first."""
    lines: Mapping[SchoolYear, int]
    """How many lines were read of each school year."""


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    school: str
    on: date
    instructional: bool
    year: int | None


def read_calendar(body: bytes) -> CalendarFile:
    """The calendar in ``school_id,date,instructional[,school_year]``; of two lines for one day the later one counts.

    Without ``school_year`` a line belongs to the year of the school's last day in the file. A school year of which a
    line was left out is not among the years: to set it would take the days of that line away. A line whose school
    cannot be read may be of any school.

    Raises:
        InvalidMember: it is not UTF-8, or the header is another one.
    """
    lines, rejected = _lines(_decoded(body))
    years, counts = _by_year(lines)
    lost = {(one.school, one.year) for one in rejected}
    incomplete = {
        (school, year): count
        for (school, year), count in counts.items()
        if lost & {(school, year), (school, None), (None, year), (None, None)}
    }
    whole = {key: days for key, days in years.items() if key not in incomplete}
    return CalendarFile(whole, incomplete, rejected, {line.school: line.number for line in reversed(lines)}, counts)


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body[: error.start].count(b"\n") + 1
        raise InvalidMember(field=f"line {line}", rule="must be UTF-8") from None


def _lines(text: str) -> tuple[list[_Line], list[Rejected]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines: list[_Line] = []
    rejected: list[Rejected] = []
    header: list[str] = []
    values: list[str] = []
    while True:
        try:
            values = next(reader)
            if not header:
                header = _header(values)
            elif any(value.strip() for value in values):
                lines.append(_line(reader.line_num, header, values))
        except StopIteration:
            _header(header)
            return lines, rejected
        except csv.Error:
            rejected.append(Rejected(reader.line_num, "", "must be well-formed CSV"))
        except _BadColumn as bad:
            whole = len(values) == len(header)
            of = dict(zip(header, map(str.strip, values), strict=True)) if whole else {}
            school, in_year = _readable(of.get("school_id"), school_id), _readable(of.get(_OPTIONAL), _year)
            rejected.append(Rejected(reader.line_num, bad.column, bad.rule, school, in_year, of))


def _header(names: Sequence[str]) -> list[str]:
    header = [name.strip().lower() for name in names]
    if not set(_COLUMNS) <= set(header) <= {*_COLUMNS, _OPTIONAL} or len(header) != len(set(header)):
        rule = f"must be {','.join(_COLUMNS)} and may add {_OPTIONAL}"
        raise InvalidMember(field="line 1", rule=wrong_separator(header) or rule)
    return header


class _BadColumn(Exception):
    def __init__(self, column: str, rule: str) -> None:
        super().__init__(rule)
        self.column, self.rule = column, rule


def _line(number: int, header: list[str], values: list[str]) -> _Line:
    if len(values) != len(header):
        raise _BadColumn("", f"must have {len(header)} columns")
    cells = {name: value.strip() for name, value in zip(header, values, strict=True)}
    return _Line(
        number=number,
        school=_cell(cells, "school_id", school_id),
        on=date.fromisoformat(_cell(cells, "date", day)),
        instructional=_cell(cells, "instructional", _yes_no),
        year=_cell(cells, _OPTIONAL, _year) if cells.get(_OPTIONAL) else None,
    )


def _cell(cells: Mapping[str, str], column: str, read: Callable[[str], T]) -> T:
    try:
        return read(cells[column])
    except BrokenRule as broken:
        raise _BadColumn(column, str(broken)) from None


def _readable(value: str | None, read: Callable[[str], T]) -> T | None:
    try:
        return None if value is None else read(value)
    except BrokenRule:
        return None


def _yes_no(value: str) -> bool:
    if value.lower() not in _YES_NO:
        raise BrokenRule("must be true or false")
    return _YES_NO[value.lower()]


def _year(value: str) -> int:
    return year(value)


def _by_year(lines: Sequence[_Line]) -> tuple[dict[SchoolYear, tuple[date, ...]], Counter[SchoolYear]]:
    last: dict[str, date] = {}
    for line in lines:
        last[line.school] = max(line.on, last.get(line.school, line.on))
    days: dict[SchoolYear, dict[date, bool]] = {}
    lines_of: Counter[SchoolYear] = Counter()
    for line in lines:
        key = line.school, line.year or last[line.school].year
        days.setdefault(key, {})[line.on] = line.instructional
        lines_of[key] += 1
    return {key: tuple(sorted(on for on, counts in of.items() if counts)) for key, of in days.items()}, lines_of
