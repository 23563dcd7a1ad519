"""The sources' own counts, beside ours."""

import csv
import io
from collections.abc import Mapping
from datetime import date
from operator import attrgetter
from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import BaseModel

from common.access import require
from common.app import Router
from common.auth import Principal
from common.db import Session
from common.json import parse
from common.paging import Cursor, Limit, Page, last_of, next_of
from sis.arrivals.reconciliation import (
    ENROLMENT,
    EVER,
    EVERYWHERE,
    START,
    Chosen,
    Compared,
    Key,
    OfAnother,
    compare,
    of_others,
    tell,
)
from sis.clients.bounds import check_school, granted
from sis.resources import RESOURCES
from sis.routes.answers import body_of, own
from sis.rules.members import BrokenRule, InvalidMember, Member, read_shape, takes
from sis.rules.separators import wrong_separator
from sis.rules.values import day, school_id, text

router = Router("sis", tags=["sources"])

Teller = Annotated[Principal, require("sis", "district", reads=["non_personal"], purpose="operations")]
_COLUMNS = ("resource", "school_id", "day", "count")
_MOST = 10**12
_EXAMPLE = {"resource": ENROLMENT, "school_id": "255901001", "day": "2027-01-29", "count": 612}


@takes("integer", minimum=0, maximum=_MOST)
def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise BrokenRule(f"must be a whole number from 0 to {_MOST}")
    return value


_SHAPE = {
    "resource": Member(text(100), required=True),
    "school_id": Member(school_id),
    "day": Member(day),
    "count": Member(_count, required=True),
}


class CountsTold(BaseModel):
    """How many counts were taken in."""

    counts: int


class Difference(BaseModel):
    """One count of the source beside ours, for a school or all (null), on a day or ever (null).

    ``theirs`` is null where the source counts other schools on that day and leaves this one out. ``difference`` is ours
    less theirs.
    """

    resource: str
    school_id: str | None
    day: date | None
    theirs: int | None
    ours: int
    difference: int


class SchoolOfAnother(BaseModel):
    """A school whose rows of the resource another source pushes; a SIS is not told which (null), nor its name if it has one."""

    resource: str
    school_id: str
    source: str | None
    name: str | None


class Differences(Page[Difference]):
    """A page of counts that differ, and the schools that are not compared because they are another source's."""

    of_others: list[SchoolOfAnother]


_BODIES = body_of("application/json", {"items": [_EXAMPLE]})
_BODIES["requestBody"]["content"]["text/csv"] = {
    "example": f"{','.join(_COLUMNS)}\n{','.join(map(str, _EXAMPLE.values()))}\n"
}


@router.put("/v1/sources/{source}/counts", openapi_extra=_BODIES)
async def tell_counts(source: str, request: Request, session: Session, who: Teller) -> CountsTold:
    """Say how many rows the source holds, by resource, school and day; counts that are not named stay as they were.

    Without a school it is all schools, without a day all days. For ``studentSchoolAssociations`` a day asks who is
    enrolled on it; for other resources it asks for rows of that day.
    """
    own(who, source)
    body = await request.body()
    counts = _from_csv(body) if "csv" in request.headers.get("content-type", "") else _from_json(parse(body))
    for resource, school, _ in counts:
        check_school(who, school)
        granted(who, resource)
    await tell(session, source, counts)
    return CountsTold(counts=len(counts))


@router.get("/v1/sources/{source}/reconciliation")
async def list_differences(
    source: str,
    session: Session,
    who: Teller,
    limit: Limit = 100,
    cursor: Cursor = None,
    resource: Annotated[str | None, Query(max_length=100)] = None,
    school: Annotated[str | None, Query(max_length=40)] = None,
    first: date = date.min,
    last: date = EVER,
    every: Annotated[bool, Query(description="Also counts that agree.")] = False,
) -> Differences:
    """The source's counts beside ours by resource, school and day; only those that differ.

    A client that is bound to schools names one of them. A school is another source's where that one pushes the resource,
    and is bound to the school or tells counts of it, and this one neither is bound to it nor ever told any.
    """
    own(who, source)
    check_school(who, school)
    chosen = Chosen(resource, school, first, last)
    after = (source, *last_of(cursor, str, str, date)) if cursor is not None else START
    found = await compare(session, source, chosen, after=after, limit=limit + 1, every=every)
    return Differences(
        items=[_difference(one) for one in found[:limit]],
        next=next_of(found, limit, attrgetter("resource"), attrgetter("school_id"), attrgetter("day")),
        of_others=[_of_another(one, who) for one in await of_others(session, source, chosen)],
    )


def _of_another(one: OfAnother, who: Principal) -> SchoolOfAnother:
    told = {"source": one.whose, "name": one.name} if who.role == "district" else {"source": None, "name": None}
    return SchoolOfAnother(resource=one.resource, school_id=one.school_id, **told)


def _difference(one: Compared) -> Difference:
    return Difference(
        resource=one.resource,
        school_id=one.school_id or None,
        day=None if one.day == EVER else one.day,
        theirs=one.theirs,
        ours=one.ours,
        difference=one.ours - (one.theirs or 0),
    )


def _from_json(document: Any) -> dict[Key, int]:
    items = document.get("items") if isinstance(document, dict) else None
    if not isinstance(items, list):
        raise InvalidMember(field="$.items", rule="must be a list")
    counts: dict[Key, int] = {}
    for index, item in enumerate(items):
        _add(counts, item, f"$.items[{index}]")
    return counts


def _from_csv(body: bytes) -> dict[Key, int]:
    try:
        lines = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error):
        raise InvalidMember(field="body", rule="must be well-formed CSV in UTF-8") from None
    header = [name.strip().lower() for name in lines[0]] if lines else []
    if sorted(header) != sorted(_COLUMNS):
        raise InvalidMember(field="line 1", rule=wrong_separator(header) or f"must be {','.join(_COLUMNS)}")
    counts: dict[Key, int] = {}
    for number, values in enumerate(lines[1:], 2):
        cells = {name: value.strip() for name, value in zip(header, values, strict=False) if value.strip()}
        if cells:
            _add(counts, cells | {"count": _whole(cells.get("count"))}, f"line {number}")
    return counts


def _whole(cell: str | None) -> int | str | None:
    return int(cell) if cell and cell.isascii() and cell.isdigit() and len(cell) < 20 else cell


def _add(counts: dict[Key, int], item: Any, at: str) -> None:
    read = read_shape(_SHAPE, item, at)
    _check(read, at)
    on = date.fromisoformat(read["day"]) if "day" in read else EVER
    key = (read["resource"], read.get("school_id", EVERYWHERE), on)
    if key in counts:
        raise InvalidMember(field=at, rule="must not name a resource, school and day that stand above")
    counts[key] = read["count"]


def _check(read: Mapping[str, Any], at: str) -> None:
    resource = RESOURCES.get(read["resource"])
    if resource is None:
        raise InvalidMember(field=f"{at}.resource", rule="must be a resource that is taken here")
    if "school_id" in read and resource.school is None:
        raise InvalidMember(field=f"{at}.school_id", rule="must be empty: this resource is of no school")
    if "day" in read and resource.on is None:
        raise InvalidMember(field=f"{at}.day", rule="must be empty: this resource is of no day")
