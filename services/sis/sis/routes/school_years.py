"""School years, for clients that look one up before they refer to it: every year that the door takes. Nothing is stored."""

from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
import uuid_utils
from fastapi import Query, Response

from common.access import require
from common.app import Router
from common.auth import Principal
from common.db import Session
from common.errors import NotFound
from common.events import SchoolCalendarSet
from common.ids import id_named
from common.runtime import Today
from sis.queries import Paging
from sis.rules.values import YEARS

router = Router("ed-fi", tags=["Ed-Fi"])

Reader = Annotated[
    Principal, require("sis", "district", second_factor=True, reads=["non_personal"], purpose="operations")
]

_SPACE = uuid_utils.uuid5(uuid_utils.NAMESPACE_URL, "trellis:sis:school-year")
_CURRENT = sa.text(
    """
    SELECT min(CAST(state ->> 'school_year' AS int)) FROM sis_fact
    WHERE type = :calendar AND NOT deleted AND state -> 'instructional_days' ->> -1 >= :today
    """
)


@router.get("/schoolYearTypes")
async def list_school_years(
    response: Response,
    session: Session,
    today: Today,
    who: Reader,
    paging: Annotated[Paging, Query()],
    asked: Annotated[int | None, Query(alias="schoolYear")] = None,
) -> list[dict[str, Any]]:
    """School years by the year in which they end; the current one is the first of which a calendar has days to come."""
    found = [year for year in _ALL if asked in (None, year)]
    if paging.totalCount:
        response.headers["Total-Count"] = str(len(found))
    current = await _current(session, today)
    return [_shown(year, current) for year in found[paging.offset :][: paging.size]]


@router.get("/schoolYearTypes/{document_id}")
async def read_school_year(document_id: UUID, session: Session, today: Today, who: Reader) -> dict[str, Any]:
    """One school year."""
    year = next((year for year, identity in _ALL.items() if identity == document_id), None)
    if year is None:
        raise NotFound(what="document")
    return _shown(year, await _current(session, today))


async def _current(session: Session, today: Today) -> int | None:
    year: int | None = await session.scalar(_CURRENT, {"calendar": SchoolCalendarSet.type(), "today": str(today)})
    return year


def _shown(year: int, current: int | None) -> dict[str, Any]:
    description = f"{year - 1}-{year}"
    return {
        "id": str(_ALL[year]),
        "schoolYear": year,
        "currentSchoolYear": year == current,
        "schoolYearDescription": description,
    }


_ALL = {year: id_named(_SPACE, str(year)) for year in range(YEARS[0], YEARS[1] + 1)}
