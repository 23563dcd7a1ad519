"""The part of a district's recorded days that a report is about."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mtss.rules.facts import Facts, Flags, Ints, day_of
from mtss.rules.rehearsal.comparison import Comparison
from mtss.rules.rehearsal.district import District
from mtss.rules.rehearsal.ground import Tables
from mtss.rules.rehearsal.years import Years, years_of

_MONDAY = 3
"""1970-01-01 was a Thursday."""


@dataclass(frozen=True)
class Past:
    """Some school years of some schools, and how the years of their students ended."""

    district: District
    school_years: tuple[int, ...]
    schools: tuple[str, ...]
    years: Years

    @cached_property
    def columns(self) -> Ints:
        """The place of each of the schools in the district."""
        return np.array([self.district.schools.index(each) for each in self.schools], np.int32)

    @cached_property
    def school_days(self) -> Flags:
        """Which days are school days of which of the schools; rows x schools."""
        days: Flags = np.isin(self.district.year[:, self.columns], self.school_years)
        return days

    @cached_property
    def rows(self) -> Ints:
        """The rows that are school days of any."""
        return np.flatnonzero(self.school_days.any(axis=1)).astype(np.int32)

    @cached_property
    def number(self) -> Ints:
        """For each row, and for the end, how many school days of the district came before."""
        instructional = (self.district.year > 0).any(axis=1)
        return np.concatenate(([0], np.cumsum(instructional))).astype(np.int32)

    @cached_property
    def weeks(self) -> Ints:
        """The row of the last school day of each week."""
        weeks: Ints = self.rows[np.diff(self.mondays(self.rows), append=0) != 0]
        return weeks

    def mondays(self, rows: Ints) -> Ints:
        """The Monday of the week of each row, counted from 1970-01-01."""
        days = self.district.days[rows]
        mondays: Ints = days - (days + _MONDAY) % 7
        return mondays

    def date(self, row: int) -> str:
        """The date of a row, in ISO's form."""
        return day_of(self.district.days[row]).isoformat()


def past_of(
    district: District, tables: Tables, comparison: Comparison, school_years: Sequence[int], schools: Sequence[str]
) -> Past:
    """These school years and schools, or all that there are of each if none is named."""
    recorded = tuple(sorted(district.begins))
    years = tuple(year for year in recorded if year in school_years) if school_years else recorded
    named = tuple(each for each in district.schools if each in schools) if schools else district.schools
    return Past(district, years, named, years_of(district, tables, years, comparison.year_ends, comparison.first_days))


def still_running(facts: Facts) -> list[int]:
    """The school years that have school days after the last closed day of their school."""
    last = np.zeros(len(facts.schools), np.int32)
    np.maximum.at(last, facts.closed.school, facts.closed.day)
    years: list[int] = np.unique(facts.calendar.year[facts.calendar.day > last[facts.calendar.school]]).tolist()
    return years
