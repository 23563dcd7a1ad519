"""What this service says of a conference: computed from how it stands, and said only where it changed."""

from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.db import next_revision, transaction_time
from common.events import AgreementCompleted, ConferenceOffered, Event, ExclusionAvoided, by_type
from common.outbox import publish
from restorative.conferences import Case
from restorative.models import Said
from restorative.rules.conference import State
from restorative.rules.exclusion import hundredths_avoided


def facts(case: Case) -> list[Event]:
    """Every fact about this conference that others may hear of. The revision is set when it is said.

    An offer called off before the conference was held is taken back; one that was held stays a fact.
    """
    offered, completed = case.referral.offered_on, case.referral.ended_on
    said: list[Event] = []
    if offered is not None:
        gone = not case.conference.offer_stands
        said += [ConferenceOffered(revision=1, deleted=gone, offered_on=offered, **who) for who in _students(case)]
    if completed is not None and case.referral.state == State.COMPLETED:
        took_part = _students(case, taking_part=True)
        said += [AgreementCompleted(revision=1, completed_on=completed, **who) for who in took_part]
        said.append(_avoided(case, completed))
    return said


async def announce(session: AsyncSession, said: Sequence[Event]) -> None:
    """Publish those facts that were never said or were said otherwise. The referral's row is locked by the caller."""
    known = await _known(session, said)
    at = await transaction_time(session)
    news = []
    for fact in said:
        body = fact.model_dump(mode="json", exclude={"revision"})
        before = known.get((fact.type(), _key(fact)))
        if before is not None and before.body == body:
            continue
        revision = next_revision(before.revision if before else None, at)
        await session.merge(Said(type=fact.type(), key=_key(fact), revision=revision, body=body))
        news.append(fact.model_copy(update={"revision": revision}))
    await publish(session, *news)


async def everything_said(session: AsyncSession) -> AsyncIterator[Event]:
    """Every fact as it was last said."""
    async for row in await session.stream_scalars(sa.select(Said).order_by(Said.type, Said.key)):
        yield by_type()[row.type].model_validate(row.body | {"revision": row.revision})


async def _known(session: AsyncSession, said: Sequence[Event]) -> dict[tuple[str, str], Said]:
    keys = [(fact.type(), _key(fact)) for fact in said]
    rows = await session.scalars(sa.select(Said).where(sa.tuple_(col(Said.type), col(Said.key)).in_(keys)))
    return {(row.type, row.key): row for row in rows}


def _key(fact: Event) -> str:
    return " ".join(map(str, fact.fact_key))


def _students(case: Case, *, taking_part: bool = False) -> list[dict[str, Any]]:
    return [
        {"conference_id": case.referral.id, "student_id": party.student_id, "school_id": party.school_id}
        for party in case.parties
        if party.student_id is not None and (party.part is not None or not taking_part)
    ]


def _avoided(case: Case, completed_on: date) -> ExclusionAvoided:
    referral = case.referral
    proposed, served = referral.hundredths_proposed, referral.hundredths_served
    return ExclusionAvoided(
        revision=1,
        conference_id=referral.id,
        student_id=referral.student_id,
        school_id=referral.school_id,
        completed_on=completed_on,
        hundredths_proposed=proposed,
        hundredths_served=served,
        hundredths_avoided=hundredths_avoided(proposed=proposed, served=served),
    )
