"""What district IT sees: what arrived from each source, what did not and why."""

from datetime import date
from operator import attrgetter
from typing import Annotated
from uuid import UUID

from fastapi import Query, Response
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import BaseModel

from common.access import require
from common.app import Router
from common.auth import Principal
from common.db import Session
from common.errors import NotFound
from common.events import AlertKind
from common.idempotency import repeatable
from common.paging import Cursor, Limit, Page, last_of, next_of
from common.runtime import Now, RuntimeOf
from sis.arrivals.alerts import Alert, alerts_now
from sis.arrivals.overview import SourceResource, overview
from sis.arrivals.page import sources_page
from sis.arrivals.reconciliation import any_told, compare, of_others
from sis.arrivals.rejected import dismiss
from sis.arrivals.sheets import write_sheet
from sis.clients.bounds import bound
from sis.resources import resource_named
from sis.routes.answers import own
from sis.routes.fields import RowReader

router = Router("sis", tags=["sources"])

Reader = Annotated[Principal, require("district", "sis", reads=["non_personal"], purpose="operations")]
_ON_PAGE = 500
_COUNTED = ("calendar.csv", "events")
"""Stand where a resource does: the calendar file, and events of which it cannot be read what they are about."""
First = Annotated[date, Query(description="The first day that is counted.")]
Last = Annotated[date, Query(description="The last day that is counted.")]


class AlertSeen(BaseModel):
    """A school or a source that has been silent, or of which rows wait, since a day, and for how many school days."""

    kind: AlertKind
    source: str | None
    school_id: str | None
    name: str | None
    since: date
    age: int


class Sources(Page[SourceResource]):
    """A page of sources and resources, and what is to be looked after."""

    alerts: list[AlertSeen]


@router.get("/v1/sources")
async def list_sources(
    session: Session,
    runtime: RuntimeOf,
    who: Reader,
    limit: Limit = 100,
    cursor: Cursor = None,
    first: First = date.min,
    last: Last = date.max,
) -> Sources:
    """What arrived from each source, by resource; a SIS sees its own."""
    mine = None if who.role == "district" else who.subject
    source, resource = last_of(cursor, str, str) if cursor is not None else ("", "")
    lines = await overview(session, source=mine, first=first, last=last, after=(source, resource), limit=limit + 1)
    alerts = await alerts_now(session, runtime, source=mine)
    return Sources(
        items=[_line(line, who) for line in lines[:limit]],
        next=next_of(lines, limit, attrgetter("source"), attrgetter("resource")),
        alerts=[_seen(alert) for alert in alerts],
    )


@router.get(
    "/v1/sources.html",
    dependencies=[require("district", reads=["non_personal"], purpose="operations")],
    response_class=HTMLResponse,
)
async def show_sources(session: Session, runtime: RuntimeOf, now: Now) -> HTMLResponse:
    """The same as a page to read or print, with the counts that differ."""
    lines = await overview(session, limit=_ON_PAGE)
    alerts = await alerts_now(session, runtime)
    differing = await compare(session, None, limit=_ON_PAGE)
    others = await of_others(session, None)
    told = await any_told(session)
    return sources_page(lines, alerts, differing, others, now.astimezone(runtime.settings.zone), told=told)


@router.get(
    "/v1/sources/{source}/rejected.csv",
    response_class=StreamingResponse,
    responses={200: {"description": "The rejected rows as they came.", "content": {"text/csv": {}}}},
)
async def read_rejected(
    source: str,
    who: RowReader,
    runtime: RuntimeOf,
    resource: Annotated[str, Query(max_length=100, description="The resource, such as students.")],
    deletes: Annotated[bool, Query(description="Rows that were to take documents away.")] = False,
) -> StreamingResponse:
    """The open rejected rows of a source and resource as CSV, each with its reason, to be mended and pushed again.

    Columns are named by the paths of members; what does not fit into columns stands whole in ``_row``. Cells that a
    spreadsheet would take for a formula begin with a quote, which is taken off again when the file is pushed to
    ``POST /sis/v1/bulk/{resource}`` as ``text/csv``. Lines of the calendar file are mended in that file itself.
    """
    own(who, source)
    if resource not in _COUNTED:
        resource = resource_named(resource).name
    headers = {"Cache-Control": "no-store", "Content-Disposition": 'attachment; filename="rejected.csv"'}
    sheet = write_sheet(runtime, source, resource, deletes=deletes)
    return StreamingResponse(sheet, media_type="text/csv; charset=utf-8", headers=headers)


@router.post("/v1/rejected/{rejected_id}/dismiss", status_code=204, response_class=Response)
@repeatable("a row that is off the list stays off it")
async def dismiss_rejected(rejected_id: UUID, session: Session, who: Reader) -> None:
    """Take a rejected row off the open list; it stays off, also when the same row comes again."""
    if not await dismiss(session, rejected_id, source=None if who.role == "district" else who.subject):
        raise NotFound(what="open rejected row")


def _line(line: SourceResource, who: Principal) -> SourceResource:
    # How many stand in the whole district is not for who is bound to some of its schools.
    return line.model_copy(update={"standing": None}) if bound(who) else line


def _seen(alert: Alert) -> AlertSeen:
    of_school = alert.kind is AlertKind.SCHOOL_NOT_SUBMITTED
    return AlertSeen(
        kind=alert.kind,
        source=None if of_school else alert.subject,
        school_id=alert.subject if of_school else None,
        name=alert.name,
        since=alert.since,
        age=alert.age,
    )
