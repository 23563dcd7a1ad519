"""Adoptions: how far the district was decided anew, whom it changes, and the second confirmation of one that changes many."""

from collections.abc import Sequence
from datetime import date, datetime
from operator import attrgetter
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import col

from common.access import visible_to
from common.app import Router
from common.db import Session
from common.errors import DomainError, NotFound
from common.events import Cause, Tier
from common.idempotency import repeatable
from common.paging import Cursor, Limit, Page, keyset, next_of
from common.runtime import Now, Today
from mtss.models import (
    UNDER_WAY,
    Adoption,
    AdoptionChange,
    Decision,
    PolicyStep,
    count_anew,
    counts_hold_since,
    schools_behind,
)
from mtss.routes.documents import NO_CONTROL, District, Person

router = Router("mtss")


class NotWaiting(DomainError):
    """The adoption does not wait for a confirmation: it is {state}."""


class SecondPersonMissing(DomainError):
    """Somebody else has to do this: one person drafts or asks, another approves or confirms."""


class AdoptionUnderWay(DomainError):
    """Another adoption is under way, or this one is approved for that day already: wait until it is done, or withdraw it."""


class AdoptionDocument(BaseModel):
    """One adoption: what it changes, by school, and how far it came."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    version: str
    first_on: date
    state: Annotated[
        str,
        Field(
            description="counting, counted, waiting, approved (until its day), running, begun (until each school has closed its "
            "first day), done or withdrawn"
        ),
    ]
    dry_run: bool
    tells_families: bool
    asked_by: str
    asked_at: datetime
    confirmed_by: str | None
    confirmed_at: datetime | None
    in_force_at: Annotated[datetime | None, Field(description="When it came into force; null: it has not.")]
    total: Annotated[int, Field(description="All students.")]
    with_tier: Annotated[
        int,
        Field(
            description="Students who are there and have a tier, of those counted so far: the cap is a share of these."
        ),
    ]
    done: Annotated[int, Field(description="Students counted, or once it runs decided anew, so far.")]
    changed: Annotated[
        int,
        Field(
            description="Students about whom anything changes, what is put before a person too, as counted before anything was decided."
        ),
    ]
    decided: Annotated[
        int,
        Field(
            description="Decisions that it brought about so far: a student's comes once their school has closed its first day."
        ),
    ] = 0
    behind: Annotated[
        list[str],
        Field(description="Of one that runs or has begun: schools that have not closed its first day yet."),
    ] = []
    grown_at: Annotated[
        datetime | None,
        Field(
            description="Since when it has changed so many more students than were counted before it began that another person "
            "would have been asked: look at it, and revert it if that is wrong."
        ),
    ] = None
    old: Annotated[
        bool,
        Field(
            description="Of a dry run: a day was closed, or a policy came into force, since it counted. It shows no longer what "
            "would change: make it again."
        ),
    ] = False
    counts: Annotated[
        dict[str, dict[str, int]],
        Field(
            description="By school and by what changes, as counted before anything was decided.",
            examples=[{"255901001": {"universal_to_targeted": 12, "moved": 1}}],
        ),
    ]


class StudentChangeDocument(BaseModel):
    """What an adoption changes about one student, as counted before anything was decided, and by which clauses."""

    model_config = ConfigDict(from_attributes=True)

    student_id: UUID
    school_id: str
    what: Annotated[
        list[str],
        Field(
            description="From which tier to which; `moved`: only the day it began is another; `proposed`, `no_longer_proposed`: "
            "what is put before a person.",
            examples=[["universal_to_targeted"]],
        ),
    ]
    tier_before: Tier
    tier_after: Tier
    since_before: date
    since_after: date
    begins: Annotated[
        list[str],
        Field(
            description="Clauses that would stand and do not. Neither these nor `ends`: the policies join or date otherwise "
            "what stands under both."
        ),
    ]
    ends: Annotated[list[str], Field(description="Clauses that stand and would not.")]


@router.get("/v1/adoptions")
async def list_adoptions(
    _: District, session: Session, today: Today, cursor: Cursor = None, limit: Limit = 100
) -> Page[AdoptionDocument]:
    """Every adoption and dry run, the latest first."""
    found = (
        await session.scalars(keyset(sa.select(Adoption), col(Adoption.id), cursor, limit, latest_first=True))
    ).all()
    return Page(items=await _told(session, found[:limit], today), next=next_of(found, limit, attrgetter("id")))


@router.get("/v1/adoptions/{adoption_id}")
async def read_adoption(adoption_id: UUID, _: District, session: Session, today: Today) -> AdoptionDocument:
    """How far it came, and whom it changes."""
    found = await session.get(Adoption, adoption_id)
    if found is None:
        raise NotFound(what="adoption")
    return (await _told(session, [found], today))[0]


@router.get("/v1/adoptions/{adoption_id}/changes")
async def list_adoption_changes(
    adoption_id: UUID,
    who: District,
    session: Session,
    school: Annotated[str | None, Query(max_length=40, pattern=NO_CONTROL)] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Page[StudentChangeDocument]:
    """Who changes and why, by student id: as far as it has been counted."""
    if await session.get(Adoption, adoption_id) is None:
        raise NotFound(what="adoption")
    student = col(AdoptionChange.student_id)
    asked = sa.select(AdoptionChange).where(col(AdoptionChange.adoption_id) == adoption_id, visible_to(who, student))
    if school is not None:
        asked = asked.where(col(AdoptionChange.school_id) == school)
    found = (await session.scalars(keyset(asked, student, cursor, limit))).all()
    return Page(
        items=[StudentChangeDocument.model_validate(each) for each in found[:limit]],
        next=next_of(found, limit, attrgetter("student_id")),
    )


@router.post("/v1/adoptions/{adoption_id}/confirm")
@repeatable("an adoption that was confirmed waits no longer")
async def confirm_adoption(adoption_id: UUID, who: Person, session: Session, now: Now) -> AdoptionDocument:
    """Let an adoption run that changes more students than the policy in force lets one person change.

    What was shown is confirmed, and a little more (``adoptions.confirmed_holds`` of the policy file): where still more would
    change once it is counted anew, it waits again.

    Raises:
        NotWaiting: it waits for no confirmation.
        SecondPersonMissing: who asked for it cannot confirm it.
    """
    adoption = await _waiting(session, adoption_id, ("waiting",))
    if who.subject == adoption.asked_by:
        raise SecondPersonMissing
    # It is counted anew, with the facts of now.
    adoption.confirmed_by, adoption.confirmed_at, adoption.confirmed = who.subject, now, adoption.changes
    await count_anew(session, adoption)
    session.add_all((adoption, PolicyStep(version=adoption.version, step="confirmed", by=who.subject, at=now)))
    return AdoptionDocument.model_validate(adoption)


@router.post("/v1/adoptions/{adoption_id}/withdraw")
@repeatable("an adoption that was withdrawn is not under way")
async def withdraw_adoption(adoption_id: UUID, who: Person, session: Session, now: Now) -> AdoptionDocument:
    """Give up an adoption that has not begun; one that runs goes on to its end and may be reverted.

    Raises:
        NotWaiting: it has begun, or is over.
    """
    adoption = await _waiting(session, adoption_id, ("waiting", "counting", "approved"))
    adoption.state = "withdrawn"
    session.add_all((adoption, PolicyStep(version=adoption.version, step="withdrawn", by=who.subject, at=now)))
    return AdoptionDocument.model_validate(adoption)


async def _waiting(session: Session, adoption_id: UUID, states: tuple[str, ...]) -> Adoption:
    adoption = await session.get(Adoption, adoption_id, with_for_update=True)
    if adoption is None:
        raise NotFound(what="adoption")
    if adoption.state not in states:
        raise NotWaiting(state=adoption.state)
    return adoption


async def _told(session: Session, found: Sequence[Adoption], today: date) -> list[AdoptionDocument]:
    numbers = [each.number for each in found if each.number is not None]
    mine = col(Decision.cause) == Cause.ADOPTED, col(Decision.adoption).in_(numbers)
    counted = (
        sa.select(col(Decision.adoption), sa.func.count().label("so_far")).where(*mine).group_by(col(Decision.adoption))
    )
    decided = {each.adoption: each.so_far for each in await session.execute(counted)}
    begun = [each.id for each in found if each.state in ("running", "begun")]
    behind = await schools_behind(session, begun, today) if begun else {}
    hold_since = await counts_hold_since(session)
    documents = [AdoptionDocument.model_validate(each) for each in found]
    for document, each in zip(documents, found, strict=True):
        document.decided = decided.get(each.number or 0, 0)
        document.behind = behind.get(each.id, [])
        document.old = each.dry_run and is_old(each.counted_at, hold_since)
    return documents


def is_old(counted_at: datetime | None, hold_since: datetime | None) -> bool:
    """Whether what was counted shows no longer what would change; nothing of before its time was kept."""
    return counted_at is None or (hold_since is not None and hold_since >= counted_at)


async def ask_for(session: Session, adoption: Adoption) -> AdoptionDocument:
    """Have our loop work off an adoption, or only its dry run, from here on.

    Raises:
        AdoptionUnderWay: another one is.
    """
    if not adoption.dry_run:
        await session.execute(sa.text("LOCK TABLE mtss_adoption IN SHARE ROW EXCLUSIVE MODE"))
        same = col(Adoption.version) == adoption.version, col(Adoption.first_on) == adoption.first_on
        waits = sa.and_(col(Adoption.state) == "approved", *same)  # for the same day as this one
        under_way = sa.exists().where(sa.or_(col(Adoption.state).in_(UNDER_WAY), waits), ~col(Adoption.dry_run))
        if await session.scalar(sa.select(under_way)):
            raise AdoptionUnderWay
    await count_anew(session, adoption)
    session.add(adoption)
    await session.flush()
    return AdoptionDocument.model_validate(adoption)
