"""Rehearsals: a policy tried on the district's own past, without touching a tier."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from operator import attrgetter
from typing import Annotated, Any, Literal
from uuid import UUID

import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from fastapi import Header, Query, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import col

from common.app import Router
from common.db import Session, transaction_time
from common.described import refusing
from common.errors import DomainError, NotFound
from common.idempotency import ONCE
from common.paging import Cursor, Limit, Page, keyset, next_of
from common.runtime import Today
from mtss.models import Rehearsal, policy_in_force
from mtss.rehearsals.apart import apart
from mtss.rehearsals.computing import draw
from mtss.rehearsals.sheets import sheet
from mtss.routes.documents import NO_CONTROL, District
from mtss.rules import PolicyInvalid
from mtss.rules.policy.checking import check
from mtss.rules.rehearsal.report import EDITION

router = Router("mtss", tags=["rehearsals"])

_DRAWING = asyncio.Semaphore(2)
"""What draws takes a second and 60 MB: no more of it at once."""

Known = Literal["now", "then"]
State = Literal["waiting", "running", "done", "failed", "cancelled"]


class NotDone(DomainError):
    """This rehearsal has no report: it is {state}."""


class EarlierReport(DomainError):
    """This report was made by an earlier release, as JSON it is still to be had; rehearse again for its sheets and its page."""


class RehearsalAsked(BaseModel):
    """What to rehearse, and on what."""

    model_config = ConfigDict(extra="forbid")

    policy: Annotated[dict[str, Any], Field(description="A policy document.")]
    against: Annotated[
        dict[str, Any] | None, Field(description="The policy to hold it against; without it the one in force.")
    ] = None
    known: Annotated[
        Known, Field(description="Judge each day by what is known now, or by what was known at its end.")
    ] = "now"
    school_years: Annotated[
        list[Annotated[int, Field(ge=1900, le=2200)]],
        Field(
            max_length=50, description="Named by the year they end in; none: all that are recorded.", examples=[[2026]]
        ),
    ] = []
    schools: Annotated[
        list[Annotated[str, Field(max_length=40, pattern=NO_CONTROL)]],
        Field(max_length=5000, description="None: all.", examples=[["7000011"]]),
    ] = []


class RehearsalDocument(BaseModel):
    """How far a rehearsal is."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    state: State
    asked_by: str
    asked_at: datetime
    known: Known
    school_years: list[int]
    schools: list[str]
    done: int
    steps: Annotated[int, Field(description="0 before it begins.")]
    ended_at: datetime | None
    reason: Annotated[str | None, Field(description="Why it failed.")]


@router.post("/v1/rehearsals", status_code=202, dependencies=[ONCE])
async def ask_for_rehearsal(asked: RehearsalAsked, who: District, session: Session, today: Today) -> RehearsalDocument:
    """Begin a rehearsal in the background; no tier is touched."""
    against = asked.against or (await policy_in_force(session, today)).document
    for document in (asked.policy, against):
        _require_checked(document)
    rehearsal = Rehearsal(
        id=uuid_utils.uuid7(),
        state="waiting",
        asked_by=who.subject,
        asked_at=await transaction_time(session),
        policy=asked.policy,
        against=dict(against),
        known=asked.known,
        school_years=asked.school_years,
        schools=asked.schools,
        worker=None,
        reason=None,
        result=None,
    )
    session.add(rehearsal)
    return RehearsalDocument.model_validate(rehearsal)


@router.get("/v1/rehearsals")
async def list_rehearsals(
    who: District, session: Session, cursor: Cursor = None, limit: Limit = 100
) -> Page[RehearsalDocument]:
    """Every rehearsal, the latest first."""
    asked = sa.select(Rehearsal).options(sa.orm.defer(Rehearsal.result))  # type: ignore[arg-type]  # a column to SQLAlchemy
    found = (await session.scalars(keyset(asked, col(Rehearsal.id), cursor, limit, latest_first=True))).all()
    return Page(
        items=[RehearsalDocument.model_validate(each) for each in found[:limit]],
        next=next_of(found, limit, attrgetter("id")),
    )


@router.get("/v1/rehearsals/{rehearsal_id}")
async def read_rehearsal(rehearsal_id: UUID, who: District, session: Session) -> RehearsalDocument:
    """How far a rehearsal is."""
    return RehearsalDocument.model_validate(await _find(session, rehearsal_id))


@router.delete("/v1/rehearsals/{rehearsal_id}", status_code=204)
async def cancel_rehearsal(rehearsal_id: UUID, who: District, session: Session) -> None:
    """Cancel a rehearsal that waits or runs; one that ended stays as it is."""
    await _find(session, rehearsal_id)
    open_one = sa.and_(col(Rehearsal.id) == rehearsal_id, col(Rehearsal.state).in_(("waiting", "running")))
    cancelled = {"state": "cancelled", "ended_at": sa.func.clock_timestamp()}
    await session.execute(sa.update(Rehearsal).where(open_one).values(cancelled))


@router.get(
    "/v1/rehearsals/{rehearsal_id}/report",
    response_class=Response,
    responses=refusing(NotDone, EarlierReport) | {200: {"content": {"application/json": {}, "text/csv": {}}}},
)
async def read_report(
    rehearsal_id: UUID,
    who: District,
    session: Session,
    accept: Annotated[str, Header(description="application/json, or text/csv with the name of a sheet.")] = "*/*",
    sheet_name: Annotated[
        Literal["caseload", "places", "policies", "early", "groups", "clauses", "unknown", "sensitivity"],
        Query(alias="sheet", description="Which table, where CSV is asked for."),
    ] = "policies",
) -> Response:
    """The report: all of it as JSON, or one table of it as CSV."""
    result = await _report(session, rehearsal_id)
    if "text/csv" in accept:
        return Response(sheet(_of_today(result), sheet_name), media_type="text/csv")
    return JSONResponse(result)


@router.get(
    "/v1/rehearsals/{rehearsal_id}/report.html", response_class=HTMLResponse, responses=refusing(NotDone, EarlierReport)
)
async def show_report(rehearsal_id: UUID, who: District, session: Session) -> HTMLResponse:
    """The report as one page to read, print and hear."""
    found = await _find(session, rehearsal_id)
    result = _of_today(await _report(session, rehearsal_id))
    async with _DRAWING:
        html, headers = await apart(draw, result, found.asked_at)
    return HTMLResponse(html, headers=headers)


def _require_checked(document: Mapping[str, Any]) -> None:
    for finding in check(document):
        raise PolicyInvalid(field=finding.field, rule=finding.rule)


async def _find(session: Session, rehearsal_id: UUID) -> Rehearsal:
    found = await session.get(Rehearsal, rehearsal_id)
    if found is None:
        raise NotFound(what="rehearsal")
    return found


async def _report(session: Session, rehearsal_id: UUID) -> dict[str, Any]:
    found = await _find(session, rehearsal_id)
    if found.result is None:
        raise NotDone(state=found.state)
    return found.result


def _of_today(result: dict[str, Any]) -> dict[str, Any]:
    if result.get("edition") != EDITION:
        raise EarlierReport
    return result
