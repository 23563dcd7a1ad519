"""The calendar file: which days count, for each school and school year."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Annotated

import sqlalchemy as sa
from fastapi import Query, Request
from pydantic import BaseModel

from common.access import require
from common.app import Router
from common.auth import Principal
from common.db import Session, transaction_time
from common.events import SchoolCalendarSet
from common.idempotency import ONCE
from common.runtime import Runtime, RuntimeOf
from sis import facts
from sis.arrivals.intake import Tally, count
from sis.arrivals.rejected import Refusal, keep
from sis.clients.bounds import bound, granted
from sis.consequences import calendar_fact
from sis.facts import Fact, FactKey, say
from sis.policy import CALENDAR
from sis.resources import key_text
from sis.routes.answers import body_of
from sis.rules.calendar import CalendarFile, Rejected, SchoolYear, read_calendar
from sis.rules.members import InvalidMember

router = Router("sis", tags=["calendar"])

_DAYS = "instructional_days"
_FILE = "calendar.csv"
"""Stands for the resource where lines of the calendar file are counted and kept."""

_SCHOOLS = sa.text(
    "SELECT school_id FROM sis_document WHERE resource = 'schools' AND NOT deleted AND key = ANY(CAST(:keys AS text[]))"
)


class RejectedLine(BaseModel):
    """A line that was left out, and why."""

    line: int
    column: str
    rule: str


class SchoolYearLeft(BaseModel):
    """A school year that stays as it was, because a line of it was rejected, and how many other lines name it."""

    school_id: str
    school_year: int
    lines: int


class CalendarTaken(BaseModel):
    """How many schools and instructional days the file set, the lines it was read without, and what stays as it was."""

    schools: int
    days: int
    rejected: list[RejectedLine]
    left: list[SchoolYearLeft]


@router.post(
    "/v1/calendars",
    dependencies=[ONCE],
    openapi_extra=body_of("text/csv", "school_id,date,instructional\n255901001,2026-08-24,true\n"),
)
async def record_calendar(
    request: Request,
    session: Session,
    runtime: RuntimeOf,
    who: Annotated[Principal, require("sis", reads=["non_personal"], purpose="records")],
    replace: Annotated[bool, Query(description="Also school years that lose a large part of their days.")] = False,
) -> CalendarTaken:
    """Set the instructional days of every school year that the file names; days it does not name do not count.

    Without the column ``school_year`` all lines of a school are one school year, that of its last day. A line that
    cannot be read, or names a school not known here or not the client's, is left out and listed. A school year of which a line could not
    be read stays as it was and is listed, for the day of that line would be lost; a line whose school cannot be read
    may be of any school. One that would lose more than a fifth of its instructional days (the policy says how much) stays
    as it was as well, for a truncated file would; ``replace=true`` sets it all the same.
    """
    granted(who, "calendarDates")
    file = read_calendar(await request.body())
    known = await _known({school for school, _ in (*file.years, *file.incomplete)}, session)
    known = known & who.schools if bound(who) else known
    years = {key: days for key, days in file.years.items() if key[0] in known}
    changed, shrinking = await _set(session, years, replace=replace)
    unknown = [
        Rejected(line, "school_id", "must be a school known here", school, cells={"school_id": school})
        for school, line in file.first_lines.items()
        if school not in known
    ]
    every = [*file.rejected, *unknown, *(_too_short(file, key) for key in shrinking)]
    years = {key: days for key, days in years.items() if key not in shrinking}
    left = {**file.incomplete, **{key: file.lines[key] - 1 for key in shrinking}}
    await _record(session, runtime, who.subject, {key: file.lines[key] for key in years}, changed, every)
    rejected = [RejectedLine(line=one.line, column=one.column, rule=one.rule) for one in every]
    return CalendarTaken(
        schools=len({school for school, _ in years}),
        days=sum(map(len, years.values())),
        rejected=sorted(rejected, key=lambda one: one.line),
        left=[
            SchoolYearLeft(school_id=school, school_year=year, lines=lines)
            for (school, year), lines in left.items()
            if school in known
        ],
    )


async def _known(schools: set[str], session: Session) -> set[str]:
    keys = [key_text(iter([school])) for school in schools]
    return set((await session.execute(_SCHOOLS, {"keys": keys})).scalars())


async def _set(
    session: Session, years: Mapping[SchoolYear, tuple[date, ...]], *, replace: bool
) -> tuple[set[SchoolYear], list[SchoolYear]]:
    """Let the years stand so; those that are others now, and those left as they were, for they would lose too many days."""
    shrinking: list[SchoolYear] = []

    async def resolve(standing: facts.Standing) -> Mapping[FactKey, Fact]:
        before = {key: tuple(map(date.fromisoformat, standing[key].state[_DAYS])) for key in years if key in standing}
        some = [key for key, days in before.items() if not replace and CALENDAR.takes_too_much(days, years[key])]
        shrinking.extend(some)
        return {key: calendar_fact(key, days) for key, days in years.items() if key not in some}

    said = await say(session, await transaction_time(session), SchoolCalendarSet, years.keys(), resolve)
    return {(event.school_id, event.school_year) for event in said}, shrinking


def _too_short(file: CalendarFile, school_year: SchoolYear) -> Rejected:
    school, year = school_year
    rule = f"must leave a school year {100 - CALENDAR.most_lost_percent} percent of its instructional days, or come with replace=true"
    cells = {"school_id": school, "school_year": str(year)}
    return Rejected(file.first_lines[school], "date", rule, school, year, cells)


async def _record(
    session: Session,
    runtime: Runtime,
    source: str,
    lines: Mapping[SchoolYear, int],
    changed: set[SchoolYear],
    rejected: Sequence[Rejected],
) -> None:
    """Count the lines of the file, and keep those that were left out; a year that was set closes those of it."""
    tally = Tally(rejected=len(rejected))
    for year, count_ in lines.items():
        tally.add("accepted" if year in changed else "unchanged", count_)
    await keep(session, runtime.vault, [_refusal(source, one) for one in rejected])
    await count(session, runtime, {(source, _FILE): tally}, [(_FILE, key) for year in lines for key in _keys(*year)])


def _refusal(source: str, line: Rejected) -> Refusal:
    problem = InvalidMember(field=line.column, rule=line.rule)
    keys = list(_keys(line.school, line.year)) if line.school else [None]
    return Refusal(_FILE, source, dict(line.cells), problem, problem, deletes=False, key=keys[-1])


def _keys(school: str, year: int | None) -> Iterator[str]:
    """Under which keys lines of a school year may stand: the school's, and with the year."""
    yield key_text([school])
    if year is not None:
        yield key_text([school, year])
