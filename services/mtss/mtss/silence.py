"""Schools of which nothing comes any more, so that a person must ask why."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID, uuid5

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import visible_numbers, visible_to
from common.auth import Principal
from mtss.models import Student, last_enrolment_is_open
from mtss.models.freshness import schools_heard
from mtss.ruling import days_within

_SILENCES = UUID("5f1d3c1e-0d5f-4d52-9f0c-7a1f5a0b6c11")


@dataclass(frozen=True, slots=True)
class Silence:
    """A school, the first instructional day that is not closed, and how many have passed."""

    school_id: str
    since: date
    school_days: int

    @property
    def id(self) -> UUID:
        """Of this silence: a later one of the same school has another."""
        return uuid5(_SILENCES, f"{self.since} {self.school_id}")


async def silences(
    session: AsyncSession, who: Principal, today: date, *which: sa.ColumnElement[bool]
) -> Sequence[Silence]:
    """The silences that wait for a person, of schools that ``who`` sees whole; of ``which`` students' schools, if given."""
    whole = visible_to(who, col(Student.student_id)), visible_numbers(who, col(Student.school_id))
    asked = sa.select(col(Student.school_id)).where(last_enrolment_is_open(today), *whole, *which).distinct()
    schools = [str(each) for each in await session.scalars(asked)]
    if not schools:
        return ()
    least = await days_within(session, "school_silent", today)
    return [
        Silence(each.school_id, each.silent_since, each.silent_days)
        for each in await schools_heard(session, schools, today)
        if each.silent_since is not None and each.silent_days >= least
    ]
