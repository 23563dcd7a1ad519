"""The calendar file: which days count, for each school and school year."""

from collections.abc import Mapping
from datetime import date

import sqlalchemy as sa
from fastapi import Request
from pydantic import BaseModel

from common.access import require
from common.app import Router
from common.db import Session, transaction_time
from common.events import SchoolCalendarSet
from sis import facts
from sis.consequences import calendar_fact
from sis.facts import Fact, FactKey, say
from sis.resources import key_text
from sis.routes.answers import body_of
from sis.rules.calendar import SchoolYear, read_calendar

router = Router("sis", tags=["calendar"], dependencies=[require("sis")])

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
    openapi_extra=body_of("text/csv", "school_id,date,instructional\n255901001,2026-08-24,true\n"),
)
async def record_calendar(request: Request, session: Session) -> CalendarTaken:
    """Set the instructional days of every school year that the file names; days it does not name do not count.

    Without the column ``school_year`` all lines of a school are one school year, that of its last day. A line that
    cannot be read, or names a school not known here, is left out and listed. A school year of which a line could not
    be read stays as it was and is listed, for the day of that line would be lost; a line whose school cannot be read
    may be of any school.
    """
    file = read_calendar(await request.body())
    known = await _known({school for school, _ in (*file.years, *file.incomplete)}, session)
    years = {key: days for key, days in file.years.items() if key[0] in known}
    await _set(session, years)
    unknown = [
        RejectedLine(line=line, column="school_id", rule="must be a school known here")
        for school, line in file.first_lines.items()
        if school not in known
    ]
    rejected = [RejectedLine(line=one.line, column=one.column, rule=one.rule) for one in file.rejected]
    return CalendarTaken(
        schools=len({school for school, _ in years}),
        days=sum(map(len, years.values())),
        rejected=sorted(rejected + unknown, key=lambda one: one.line),
        left=[
            SchoolYearLeft(school_id=school, school_year=year, lines=lines)
            for (school, year), lines in file.incomplete.items()
            if school in known
        ],
    )


async def _known(schools: set[str], session: Session) -> set[str]:
    keys = [key_text(iter([school])) for school in schools]
    return set((await session.execute(_SCHOOLS, {"keys": keys})).scalars())


async def _set(session: Session, years: Mapping[SchoolYear, tuple[date, ...]]) -> None:
    shall: dict[FactKey, Fact] = {key: calendar_fact(key, days) for key, days in years.items()}

    async def resolve(_: facts.Standing) -> Mapping[FactKey, Fact]:
        return shall

    await say(session, await transaction_time(session), SchoolCalendarSet, shall.keys(), resolve)
