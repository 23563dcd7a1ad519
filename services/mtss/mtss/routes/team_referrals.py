"""Team referrals: the leads of a school solve together what one adult alone does not, within a set time, and record it."""

from datetime import date, datetime
from operator import attrgetter
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import col

from common.app import Router
from common.db import Session, transaction_time
from common.errors import DomainError, Invalid
from common.idempotency import ONCE
from common.paging import Cursor, Limit, Page, keyset, next_of
from common.runtime import RuntimeOf, Today
from common.sealed import Vault
from common.words import Words
from mtss.models import TeamReferral
from mtss.routes.desk import Decider, Holder, Reasoned, locked_student, page_of
from mtss.routes.handing import Waits, check_sees, find, hand, theirs
from mtss.supports import CATALOGUE

router = Router("mtss", tags=["supports"])

Name = Annotated[str, Field(max_length=60)]
_TABLE = "mtss_team_referral"


class TeamHasMet(DomainError):
    """What the team agreed about this referral is recorded; it is there to read."""


class TeamAlreadyAsked(DomainError):
    """This student is before this team already, which has not met; that referral is there to read."""


class TeamAsked(Reasoned):
    """Which team, who is in it for this student, and why."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "team": "problem-solving",
                "members": {
                    "pastoral_lead": "0190f6a8-0000-7000-8000-000000000001",
                    "aln_lead": "0190f6a8-0000-7000-8000-000000000002",
                },
                "reason": "He has fallen out with his class again and again since September.",
            }
        }
    )

    team: Name
    members: Annotated[
        dict[Name, UUID],
        Field(max_length=20, description="For each role of the team a member of staff, by the id that sis gives them."),
    ]


class MeetingHeld(BaseModel):
    """When the team met, who was there, and what it agreed. The words are sealed."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={
            "example": {
                "met_on": "2024-11-01",
                "present": ["pastoral_lead", "aln_lead"],
                "agreed": "A mentor from Monday on; his seat changes; the family comes on Friday.",
            }
        },
    )

    met_on: date
    present: Annotated[list[Name], Field(min_length=1, max_length=20, description="Roles of the team.")]
    agreed: Words


class TeamReferralDocument(BaseModel):
    """A student put before a team, and once it has met what it agreed."""

    id: UUID
    student_id: UUID
    team: str
    members: dict[str, UUID]
    asked_on: date
    by: str
    reason: str
    met_on: Annotated[date | None, Field(description="Null: it waits.")]
    present: list[str] | None
    agreed: str | None
    recorded_by: str | None
    known_at: datetime
    recorded_at: Annotated[datetime | None, Field(description="When what was agreed was written down.")]


@router.post("/v1/students/{student_id}/team-referrals", status_code=201, dependencies=[ONCE])
async def refer_to_team(
    student_id: UUID, asked: TeamAsked, who: Decider, session: Session, runtime: RuntimeOf, today: Today
) -> TeamReferralDocument:
    """Put a student before a team. It waits in the school's queue, with who has the team's first role, until the team has met.

    Raises:
        TeamAlreadyAsked: this student is before that team and it has not met.
    """
    student, team = await locked_student(session, who, student_id), CATALOGUE.team(asked.team)
    if asked.members.keys() != set(team.roles):
        raise Invalid(field="members", rule="must name a member of staff for each role of the team, and for no other")
    mine = col(TeamReferral.student_id) == student_id, col(TeamReferral.team) == asked.team
    if await session.scalar(sa.select(sa.exists().where(*mine, col(TeamReferral.met_on).is_(None)))):
        raise TeamAlreadyAsked
    waits = Waits(student_id, student.school_id, works=True)
    for each in set(asked.members.values()):
        await check_sees(session, "members", each, waits, today)
    referral = TeamReferral(
        student_id=student_id,
        team=asked.team,
        members={role: str(asked.members[role]) for role in team.roles},
        asked_on=today,
        by=who.subject,
        known_at=await transaction_time(session),
    )
    referral.reason = runtime.vault.seal(asked.reason, table=_TABLE, column="reason", row=referral.id)
    session.add(referral)
    lead = asked.members[team.roles[0]]
    await hand(session, runtime.vault, waits, lead, asked.reason, review_id=referral.id, by=who.subject)
    return _shown(runtime.vault, referral)


@router.post("/v1/team-referrals/{referral_id}/meeting", status_code=201, dependencies=[ONCE])
async def record_meeting(
    referral_id: UUID, held: MeetingHeld, who: Holder, session: Session, runtime: RuntimeOf, today: Today
) -> TeamReferralDocument:
    """Record when the team met, who was there and what it agreed, of a referral that is yours, or of a student about whom you decide.

    It leaves the queue.

    Raises:
        TeamHasMet: that is recorded already.
    """
    referral = await find(session, who, TeamReferral, referral_id, "referral", today, lock=True)
    if referral.met_on is not None:
        raise TeamHasMet
    if not referral.asked_on <= held.met_on <= today:
        raise Invalid(field="met_on", rule="must be a day from that of the referral on, and not after today")
    if not referral.members.keys() >= set(held.present):
        raise Invalid(field="present", rule="must be roles of the team")
    at = await transaction_time(session)  # before anything is changed, for what was agreed is written once
    referral.met_on, referral.present = held.met_on, sorted(set(held.present))
    referral.agreed = runtime.vault.seal(held.agreed, table=_TABLE, column="agreed", row=referral.id)
    referral.recorded_by, referral.recorded_at = who.subject, at
    session.add(referral)
    return _shown(runtime.vault, referral)


@router.get("/v1/students/{student_id}/team-referrals")
async def list_team_referrals(
    student_id: UUID, who: Decider, session: Session, runtime: RuntimeOf, cursor: Cursor = None, limit: Limit = 100
) -> Page[TeamReferralDocument]:
    """Every time a student was put before a team and what it agreed, from the first to the last."""
    found, following = await page_of(session, who, student_id, TeamReferral, col(TeamReferral.id), cursor, limit)
    return Page(items=[_shown(runtime.vault, each) for each in found], next=following)


@router.get("/v1/team-referrals")
async def list_own_team_referrals(
    who: Holder, session: Session, runtime: RuntimeOf, today: Today, cursor: Cursor = None, limit: Limit = 100
) -> Page[TeamReferralDocument]:
    """The referrals that are yours and wait for their team."""
    async with theirs(session, who, TeamReferral, today) as mine:
        asked = sa.select(TeamReferral).where(col(TeamReferral.met_on).is_(None), *mine)
        found = (await session.scalars(keyset(asked, col(TeamReferral.id), cursor, limit))).all()
    return Page(
        items=[_shown(runtime.vault, each) for each in found[:limit]], next=next_of(found, limit, attrgetter("id"))
    )


def _shown(vault: Vault, referral: TeamReferral) -> TeamReferralDocument:
    reason = vault.open(referral.reason, table=_TABLE, column="reason", row=referral.id)
    words = referral.agreed
    agreed = None if words is None else vault.open(words, table=_TABLE, column="agreed", row=referral.id)
    return TeamReferralDocument.model_validate({**referral.model_dump(), "reason": reason, "agreed": agreed})
