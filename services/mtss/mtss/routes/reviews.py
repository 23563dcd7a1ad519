"""The review queue of a school: what waits for a person, by when, and for whom."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from fastapi import Path
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import visible_to
from common.app import Router
from common.auth import Principal
from common.db import Session
from common.events import Tier
from common.paging import Cursor, Limit, Page, part_of
from common.runtime import Runtime, RuntimeOf, Today
from common.sealed import Vault
from mtss.models import (
    Decision,
    Proposal,
    Ruling,
    Student,
    Support,
    TeamReferral,
    ended_by_itself,
    last_enrolment_is_open,
)
from mtss.numbers import ENDED_DAYS
from mtss.routes.desk import Decider
from mtss.routes.documents import NO_CONTROL
from mtss.routes.handing import Assigned, handed
from mtss.routes.help_requests import open_requests
from mtss.routes.pulses import follow_ups
from mtss.routes.students import FlappingDocument
from mtss.rules.reviewing import due_on, ends_soon, followed_up_by
from mtss.ruling import days_within, flapping_of, school_days
from mtss.silence import silences
from mtss.supports import CATALOGUE

router = Router("mtss")


class ReviewDocument(BaseModel):
    """Something that waits for a person."""

    id: Annotated[
        UUID,
        Field(
            description="Of the proposal, the request, the override, the question, the support or the referral; of a follow-up, of the student; of what ended, of the decision."
        ),
    ]
    about: Annotated[
        str,
        Field(
            description="proposal, help_request, override, too_little_known, support, team_referral, follow_up or ended: a tier that ended by itself"
        ),
    ]
    student_id: UUID
    tier: Annotated[
        Tier | None,
        Field(description="What is proposed, or what the override says; of a support, its own; what ended."),
    ]
    begun_on: date
    due_on: Annotated[date | None, Field(description="Null while no calendar has that day, and of what ended.")]
    late: bool
    urgent: Annotated[bool, Field(description="A request for help that is to be answered on the same day.")] = False
    assigned: Assigned
    flapping: FlappingDocument


class SilenceDocument(BaseModel):
    """A school of which no day was closed for so long that somebody must ask why."""

    id: UUID
    since: Annotated[date, Field(description="The first instructional day that is not closed.")]
    school_days: Annotated[int, Field(description="How many have passed.")]
    assigned: Assigned


class ReviewQueue(Page[ReviewDocument]):
    """What waits at a school, and whether anything still comes from it."""

    silence: Annotated[SilenceDocument | None, Field(description="Null: none, or not for this reader.")]


@router.get("/v1/schools/{school_id}/reviews")
async def list_reviews(
    school_id: Annotated[str, Path(max_length=40, pattern=NO_CONTROL)],
    who: Decider,
    session: Session,
    runtime: RuntimeOf,
    today: Today,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> ReviewQueue:
    """All that waits at a school: requests for help that cannot wait, then what is due first.

    A request for help waits until it is answered, also where its student has left meanwhile. Proposals, requests for help, overrides that end soon, supports that are soon to be reviewed, referrals to a team that has not
    met, students whom somebody is to ask how they are since a survey calls for it, and students of whom too little is known to
    say whether they need extra support, where the policy has a person asked. At last, for a while, whose tier ended by itself.
    """
    theirs = col(Student.school_id) == school_id, visible_to(who, col(Student.student_id))
    mine = last_enrolment_is_open(today), *theirs
    asked = [*await _proposals(session, runtime, mine), *await _too_little_known(session, runtime, mine)]
    found = [
        *await _due(session, school_id, today, "proposal_due", asked),
        *await _due(session, school_id, today, "help_answered", await _help_requests(session, theirs)),
        *await _overrides(session, mine, school_id, today),
        *await _supports(session, mine, school_id, today),
        *await _team_referrals(session, mine, school_id, today),
        *await _follow_ups(session, mine, school_id, today),
        *await _ended(session, runtime, mine, today),
    ]
    items, following = part_of(found, _order, cursor, limit)
    assigned = await handed(session, runtime.vault, [each.id for each in items])
    flapping = await flapping_of(session, [each.student_id for each in items], today)
    for each in items:
        each.assigned = assigned.get(each.id)
        each.flapping = FlappingDocument.model_validate(flapping[each.student_id])
    silence = await _silence(session, runtime.vault, who, school_id, today)
    return ReviewQueue(items=list(items), next=following, silence=silence)


def _order(each: ReviewDocument) -> str:
    return f"{0 if each.urgent else 1} {each.due_on or date.max} {each.id}"


async def _proposals(
    session: AsyncSession, runtime: Runtime, mine: Sequence[sa.ColumnElement[bool]]
) -> list[ReviewDocument]:
    # Without their evidence, which takes longer to read than all else that waits.
    some = col(Proposal.id), col(Proposal.student_id), col(Proposal.known_at), col(Proposal.tier)
    asked = sa.select(*some).join(Student, col(Student.proposal_id) == col(Proposal.id)).where(*mine)
    return [
        _line("proposal", proposal, student, runtime.date_of(known_at), Tier(tier))
        for proposal, student, known_at, tier in (await session.execute(asked)).all()
    ]


async def _too_little_known(
    session: AsyncSession, runtime: Runtime, mine: Sequence[sa.ColumnElement[bool]]
) -> list[ReviewDocument]:
    asked = sa.select(Student).where(*mine, col(Student.question_id).is_not(None))
    return [
        _line("too_little_known", each.question_id, each.student_id, runtime.date_of(each.question_at))
        for each in await session.scalars(asked)
        if each.question_id and each.question_at
    ]


async def _overrides(
    session: AsyncSession, mine: Sequence[sa.ColumnElement[bool]], school_id: str, today: date
) -> list[ReviewDocument]:
    standing = sa.and_(col(Student.student_id) == col(Ruling.student_id), col(Student.ruling) == col(Ruling.number))
    asked = sa.select(Ruling).join(Student, standing).where(*mine, col(Ruling.kind) == "overridden")
    days, soon = await school_days(session, school_id, today), await days_within(session, "override_ends_soon", today)
    ending = [(each, each.until) for each in await session.scalars(asked) if each.until]
    return [
        _line("override", each.id, each.student_id, each.made_on, Tier(each.tier), until)
        for each, until in ending
        if ends_soon(days, today, until, soon)
    ]


async def _supports(
    session: AsyncSession, mine: Sequence[sa.ColumnElement[bool]], school_id: str, today: date
) -> list[ReviewDocument]:
    running = sa.select(Support).join(Student, col(Student.student_id) == col(Support.student_id))
    days = await school_days(session, school_id, today)
    found = [
        _line("support", each.id, each.student_id, each.begun_on, Tier(each.tier), each.review_on)
        for each in await session.scalars(running.where(*mine, col(Support.ended_on).is_(None)))
        if ends_soon(days, today, each.review_on, CATALOGUE.review_soon)
    ]
    for each in found:
        each.late = each.due_on is not None and each.due_on < today
    return found


async def _team_referrals(
    session: AsyncSession, mine: Sequence[sa.ColumnElement[bool]], school_id: str, today: date
) -> list[ReviewDocument]:
    waiting = sa.select(TeamReferral).join(Student, col(Student.student_id) == col(TeamReferral.student_id))
    asked = (await session.scalars(waiting.where(*mine, col(TeamReferral.met_on).is_(None)))).all()
    days = await school_days(session, school_id, min((each.asked_on for each in asked), default=today))
    found = []
    for each in asked:
        team = CATALOGUE.teams.get(each.team)  # one that the district has removed meets when it can
        due = due_on(days, each.asked_on, team.meets_within) if team else None
        found.append(_line("team_referral", each.id, each.student_id, each.asked_on, due=due))
        found[-1].late = due is not None and due < today
    return found


async def _follow_ups(
    session: AsyncSession, mine: Sequence[sa.ColumnElement[bool]], school_id: str, today: date
) -> list[ReviewDocument]:
    asked, following = await follow_ups(session, mine), CATALOGUE.follow_up
    days = await school_days(session, school_id, min((each.since for each in asked), default=today))
    found = []
    for each in asked:
        due = followed_up_by(days, each.since, each.last, following.first_within, following.again_within)
        if (
            each.last is None
            or each.last < each.since
            or due is None
            or ends_soon(days, today, due, CATALOGUE.review_soon)
        ):
            found.append(_line("follow_up", each.student_id, each.student_id, each.since, due=due))
            found[-1].late = due is not None and due < today
    return found


async def _ended(
    session: AsyncSession, runtime: Runtime, mine: Sequence[sa.ColumnElement[bool]], today: date
) -> list[ReviewDocument]:
    some = col(Decision.id), col(Decision.student_id), col(Decision.known_at), col(Decision.tier_before)
    asked = sa.select(*some).join(Student, ended_by_itself(today, ENDED_DAYS)).where(*mine)
    return [
        _line("ended", decision, student, runtime.date_of(known_at), Tier(str(tier)))
        for decision, student, known_at, tier in (await session.execute(asked)).all()
    ]


async def _help_requests(session: AsyncSession, mine: Sequence[sa.ColumnElement[bool]]) -> list[ReviewDocument]:
    asked = await open_requests(session, mine)
    lines = [_line("help_request", each.id, each.student_id, each.asked_on) for each in asked]
    for line, each in zip(lines, asked, strict=True):
        line.urgent = each.urgent
    return lines


async def _due(
    session: AsyncSession, school_id: str, today: date, within: str, found: list[ReviewDocument]
) -> list[ReviewDocument]:
    """The same with the day by which each is due: so many school days after it began as ``within`` of the policy says."""
    days = await school_days(session, school_id, min((each.begun_on for each in found), default=today))
    most = await days_within(session, within, today)
    for each in found:
        each.due_on = each.begun_on if each.urgent else due_on(days, each.begun_on, most)
        each.late = each.due_on is not None and each.due_on < today
    return found


async def _silence(
    session: AsyncSession, vault: Vault, who: Principal, school_id: str, today: date
) -> SilenceDocument | None:
    for each in await silences(session, who, today, col(Student.school_id) == school_id):
        assigned = (await handed(session, vault, [each.id])).get(each.id)
        return SilenceDocument(id=each.id, since=each.since, school_days=each.school_days, assigned=assigned)
    return None


def _line(
    about: str, of: UUID, student: UUID, begun_on: date, tier: Tier | None = None, due: date | None = None
) -> ReviewDocument:
    return ReviewDocument(
        id=of,
        about=about,
        student_id=student,
        tier=tier,
        begun_on=begun_on,
        due_on=due,
        late=False,
        assigned=None,
        flapping=FlappingDocument(ups=0, downs=0),
    )
