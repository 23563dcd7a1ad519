"""Supports: what a student receives, whose it is, what was tried, and by when somebody looks whether it helps."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from operator import attrgetter
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import require
from common.app import Router
from common.auth import Principal
from common.db import Session, transaction_time
from common.errors import DomainError
from common.events import Tier
from common.idempotency import ONCE
from common.paging import Cursor, Limit, Page, keyset, next_of
from common.preconditions import check_seen, etag_of
from common.runtime import RuntimeOf, Today
from common.sealed import Vault
from mtss.models import Attempt, Decision, Enrolment, Student, Support
from mtss.routes.desk import At, Decider, Desk, Holder, HoldersAt, page_of
from mtss.routes.documents import PURPOSE
from mtss.routes.handing import Waits, check_sees, find, hand, handed, theirs
from mtss.routes.support_documents import (
    AttemptAsked,
    AttemptDocument,
    CatalogueDocument,
    RunningDocument,
    SupportAsked,
    SupportDocument,
    SupportEnded,
)
from mtss.rules.reviewing import check_ahead
from mtss.ruling import rule, school_days
from mtss.supports import CATALOGUE

router = Router("mtss", tags=["supports"])

_TRIED = {"table": "mtss_attempt", "column": "tried"}


class SupportOver(DomainError):
    """This support has ended."""


class SupportNotReviewed(DomainError):
    """Nobody has looked yet whether this support helps: for this it ends only after a review."""


@router.get("/v1/supports/catalogue")
async def read_catalogue(
    _: Annotated[
        Principal,
        require("district", "principal", "counselor", "teacher", reads=("non_personal",), purpose=PURPOSE),
    ],
) -> CatalogueDocument:
    """What every student gets, the supports that the district gives besides, what they are for and how they may end; and the signs that a request for help may name."""
    named = {part: _named(getattr(CATALOGUE, part)) for part in ("signs", "teams", "endings")}
    return CatalogueDocument.model_validate(
        {
            **named,
            "supports": _named(CATALOGUE.kinds),
            "outcomes": CATALOGUE.outcomes,
            "contexts": CATALOGUE.contexts,
            "universal": CATALOGUE.universal,
        }
    )


@router.post("/v1/students/{student_id}/supports", status_code=201, dependencies=[ONCE])
async def begin_support(student_id: UUID, asked: SupportAsked, desk: At) -> SupportDocument:
    """Begin a support today. From now on no tier of this student ends by itself. If-Match names the ETag of the student."""
    student = await desk.student(student_id)
    kind = CATALOGUE.offered(asked.kind, await _grade(desk.session, student_id))
    await _check_review(desk, student, "review_on", asked.review_on, kind.review_within)
    waits = Waits(student_id, student.school_id, works=True)
    await check_sees(desk.session, "owner_id", asked.owner_id, waits, desk.today)
    support = Support(
        student_id=student_id,
        kind=asked.kind,
        tier=kind.tier,
        begun_on=desk.today,
        first_review_on=asked.review_on,
        review_on=asked.review_on,
        known_at=await transaction_time(desk.session),
    )
    support.contexts = _seal_contexts(desk.vault, support, asked.contexts)
    desk.session.add(support)
    tier = await _tier_beneath(desk.session, student)
    await desk.rule(student, asked.reason, kind="support_begun", tier=tier, support_id=support.id)
    by = desk.who.subject
    await hand(desk.session, desk.vault, waits, asked.owner_id, asked.reason, review_id=support.id, by=by)
    return await _answer(desk, support)


@router.post("/v1/supports/{support_id}/attempts", status_code=201, dependencies=[ONCE])
async def review_support(support_id: UUID, asked: AttemptAsked, desk: HoldersAt) -> SupportDocument:
    """Review a support that is yours, or of a student about whom you decide: say what was tried and what came of it.

    It goes on until the next review. If-Match names its ETag.

    Raises:
        SupportOver: it has ended.
    """
    support, student = await _running(desk, support_id)
    within = CATALOGUE.kinds[support.kind].review_within if support.kind in CATALOGUE.kinds else None
    await _check_review(desk, student, "next_review_on", asked.next_review_on, within)
    support.attempts, support.review_on = support.attempts + 1, asked.next_review_on
    attempt = Attempt(
        support_id=support.id,
        student_id=support.student_id,
        number=support.attempts,
        reviewed_on=desk.today,
        progress=asked.progress,
        next_review_on=asked.next_review_on,
        by=desk.who.subject,
        known_at=await transaction_time(desk.session),
    )
    attempt.tried = desk.vault.seal(asked.tried, row=attempt.id, **_TRIED)
    attempt.contexts = None if asked.contexts is None else _seal_contexts(desk.vault, attempt, asked.contexts)
    desk.session.add_all([support, attempt])
    return await _answer(desk, support)


@router.post("/v1/supports/{support_id}/end", status_code=201, dependencies=[ONCE])
async def end_support(support_id: UUID, asked: SupportEnded, desk: At) -> SupportDocument:
    """End a support today. After the last one the policy says again how a tier ends. If-Match names its ETag.

    Raises:
        SupportOver: it has ended.
        SupportNotReviewed: this ending needs a review before.
    """
    support, student = await _running(desk, support_id)
    if CATALOGUE.ending(asked.ending).needs_review and not support.attempts:
        raise SupportNotReviewed
    support.ended_on, support.ending = desk.today, asked.ending
    desk.session.add(support)
    said = {"made_on": desk.today, "by": desk.who.subject, "support_id": support.id}
    tier = await _tier_beneath(desk.session, student)
    await rule(desk.session, desk.vault, student, asked.reason, kind="support_ended", tier=tier, **said)
    return await _answer(desk, support)


@router.get("/v1/supports/{support_id}")
async def read_support(
    support_id: UUID, who: Holder, session: Session, runtime: RuntimeOf, today: Today, response: Response
) -> SupportDocument:
    """A support with all that was tried. Its ETag goes into If-Match of who reviews or ends it."""
    support = await find(session, who, Support, support_id, "support", today)
    response.headers["ETag"] = _version_of(support)
    return (await _shown(session, runtime.vault, [support]))[0]


@router.get("/v1/students/{student_id}/supports")
async def list_supports(
    student_id: UUID, who: Decider, session: Session, runtime: RuntimeOf, cursor: Cursor = None, limit: Limit = 100
) -> Page[SupportDocument]:
    """Every support of a student with all that was tried, from the first to the last."""
    found, following = await page_of(session, who, student_id, Support, col(Support.id), cursor, limit)
    return Page(items=await _shown(session, runtime.vault, found), next=following)


@router.get("/v1/supports")
async def list_own_supports(
    who: Holder, session: Session, runtime: RuntimeOf, today: Today, cursor: Cursor = None, limit: Limit = 100
) -> Page[SupportDocument]:
    """The supports that are yours and run."""
    async with theirs(session, who, Support, today) as mine:
        asked = sa.select(Support).where(col(Support.ended_on).is_(None), *mine)
        found = (await session.scalars(keyset(asked, col(Support.id), cursor, limit))).all()
        shown = await _shown(session, runtime.vault, found[:limit])
    return Page(items=shown, next=next_of(found, limit, attrgetter("id")))


def _named(entries: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name} | asdict(each) for name, each in entries.items()]


async def running_of(session: AsyncSession, student_id: UUID) -> list[RunningDocument]:
    """What a student receives now; of a student whom the reader sees."""
    running = sa.select(Support).where(col(Support.student_id) == student_id, col(Support.ended_on).is_(None))
    return [RunningDocument.model_validate(each) for each in await session.scalars(running.order_by(col(Support.id)))]


async def _running(desk: Desk, support_id: UUID) -> tuple[Support, Student]:
    """A support and its student, who is locked; over what was seen."""
    found = await find(desk.session, desk.who, Support, support_id, "support", desk.today)
    student = await desk.student(found.student_id)
    support = await desk.session.get_one(Support, support_id, populate_existing=True)
    if support.ended_on is not None:
        raise SupportOver
    check_seen(desk.expected, _version_of(support))
    return support, student


async def _grade(session: AsyncSession, student_id: UUID) -> str | None:
    """That of the latest enrolment, as the SIS names it."""
    mine = col(Enrolment.student_id) == student_id, ~col(Enrolment.deleted), col(Enrolment.superseded_at).is_(None)
    asked = (
        sa.select(col(Enrolment.grade)).where(*mine).order_by(col(Enrolment.entry_on).desc(), col(Enrolment.school_id))
    )
    return await session.scalar(asked.limit(1))


async def _check_review(desk: Desk, student: Student, field: str, on: date, within: int | None) -> None:
    days = await school_days(desk.session, str(student.school_id), desk.today)
    check_ahead(field, days, desk.today, on, len(days) if within is None else within)


async def _tier_beneath(session: AsyncSession, student: Student) -> str:
    """The tier of a student who is locked, without an override."""
    decision = await session.get(Decision, student.decision_id) if student.decision_id else None
    return (decision and (decision.tier_beneath or decision.tier)) or Tier.UNIVERSAL


def _version_of(support: Support) -> str:
    return etag_of(support.id, support.attempts, support.ended_on)


def _seal_contexts(vault: Vault, row: Support | Attempt, names: Sequence[str]) -> bytes:
    CATALOGUE.check_contexts(names)
    text = "\n".join(sorted(set(names)))
    return vault.seal(text, table=row.__tablename__, column="contexts", row=row.id)


def _contexts(vault: Vault, row: Support | Attempt) -> list[str]:
    sealed = row.contexts
    text = "" if sealed is None else vault.open(sealed, table=row.__tablename__, column="contexts", row=row.id)
    return text.split()


async def _answer(desk: Desk, support: Support) -> SupportDocument:
    await desk.session.flush()
    desk.response.headers["ETag"] = _version_of(support)
    (shown,) = await _shown(desk.session, desk.vault, [support])
    return shown


async def _shown(session: AsyncSession, vault: Vault, supports: Sequence[Support]) -> list[SupportDocument]:
    """Supports that the reader sees, as they are answered; two statements whatever their number."""
    ids = [each.id for each in supports]
    owners, attempts = await handed(session, vault, ids), {each: list[AttemptDocument]() for each in ids}
    contexts = {each.id: _contexts(vault, each) for each in supports}
    asked = sa.select(Attempt).where(col(Attempt.support_id).in_(ids)).order_by(col(Attempt.number))
    for each in await session.scalars(asked):
        said = each.model_dump() | {"tried": vault.open(each.tried, row=each.id, **_TRIED)}
        attempts[each.support_id].append(AttemptDocument.model_validate(said))
        if each.contexts is not None:
            contexts[each.support_id] = _contexts(vault, each)
    return [
        SupportDocument.model_validate(
            each.model_dump()
            | {"owner": owners.get(each.id), "attempts": attempts[each.id], "contexts": contexts[each.id]}
        )
        for each in supports
    ]
