"""The ledger, read: every decision with its reasons."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from pydantic import Field
from sqlmodel import col

from common.access import require, visible_to
from common.app import Router
from common.audit.writing import about
from common.auth import Principal
from common.db import Session
from common.errors import NotFound
from common.events import Cause, Tier
from common.paging import Cursor, Limit, Page, keyset, next_of
from mtss.models import Decision, Ruling, Student, policies_in_force
from mtss.routes.documents import MIXES, PROPOSAL, PURPOSE, READS, Covered, Reader, may_read
from mtss.rules import Held, InForce, what_would_change

router = Router("mtss")

ReaderOrNotifications = Annotated[
    Principal,
    require(
        "district",
        "principal",
        "counselor",
        "teacher",
        services=("notifications",),
        reads=READS,
        mixes=MIXES,
        purpose=PURPOSE,
    ),
]

_MOST_DIGITS = 9
"""Of the number of a decision: what PostgreSQL holds in an integer."""


class DecisionDocument(Covered):
    """One decision: what, from when, why, by which policy, and what would change it."""

    decision_id: UUID
    student_id: UUID
    school_id: str
    number: int
    tier: Tier | None
    tier_before: Tier | None
    cause: Annotated[Cause | None, Field(description="Null: not for this reader.")]
    policy: str
    effective_on: date
    through: date | None
    known_at: datetime
    what_would_change_it: str
    ruling: Annotated[
        int | None,
        Field(
            description="The number of the ruling by which the tier began; 0: by the facts. Null: not for this reader."
        ),
    ]
    tier_beneath: Annotated[
        Tier | None,
        Field(
            description="While a person overrode it, what it was without that; null: no override, or not for this reader."
        ),
    ]
    stands: bool
    """Whether it is the student's last decision."""


@router.get("/v1/students/{student_id}/decisions")
async def list_decisions(
    student_id: UUID, who: Reader, session: Session, cursor: Cursor = None, limit: Limit = 100
) -> Page[DecisionDocument]:
    """Every decision about a student, from the first to the last."""
    asked = _decisions(who).where(col(Student.student_id) == student_id)
    if not await _known(session, who, student_id):
        raise NotFound(what="student")
    found = (await session.execute(keyset(asked, col(Decision.number), cursor, limit))).all()
    in_force = await policies_in_force(session)
    return Page(
        items=[_document(*row, who, in_force) for row in found[:limit]],
        next=next_of(found, limit, lambda row: row[0].number),
    )


@router.get("/v1/decisions/{decision_id}")
async def read_decision(
    decision_id: UUID,
    who: ReaderOrNotifications,
    session: Session,
) -> DecisionDocument:
    """One decision, and whether it still stands."""
    return _document(*await find_decision(session, who, decision_id), who, await policies_in_force(session))


async def find_decision(session: Session, who: Principal, decision_id: UUID) -> tuple[Decision, bool, date | None]:
    """One decision, whether it still stands, and until when the override is that it says.

    Raises:
        NotFound: there is none that this reader sees.
    """
    found = (await session.execute(_decisions(who).where(col(Decision.id) == decision_id))).one_or_none()
    if found is None:
        raise NotFound(what="decision")
    about(found[0].student_id)
    return found[0], found[1], found[2]


def held(who: Principal, decision: Decision, until: date | None) -> Held | None:
    """The override that a decision says, as far as ``who`` reads that there is one."""
    beneath = decision.tier_beneath if PROPOSAL in who.reads else None
    return Held(until, Tier(beneath)) if beneath and until else None


def _decisions(who: Principal) -> sa.Select[Decision, bool, date | None]:
    last = (col(Student.decision_id) == col(Decision.id)).label("stands")
    joined = sa.select(Decision, last, col(Ruling.until))
    joined = joined.join(Student, col(Student.student_id) == col(Decision.student_id))
    its = col(Ruling.student_id) == col(Decision.student_id), col(Ruling.number) == col(Decision.ruling)
    joined = joined.outerjoin(Ruling, sa.and_(*its))
    return joined.where(visible_to(who, col(Student.student_id)))


async def _known(session: Session, who: Principal, student_id: UUID) -> bool:
    known = sa.select(
        sa.exists().where(
            col(Student.student_id) == student_id,
            sa.or_(col(Student.enrolled), col(Student.decisions) > 0),
            visible_to(who, col(Student.student_id)),
        )
    )
    return bool((await session.execute(known)).scalar_one())


def _document(
    decision: Decision, stands: bool, until: date | None, who: Principal, in_force: InForce
) -> DecisionDocument:
    document = DecisionDocument.model_validate({**decision.model_dump(), "decision_id": decision.id, "stands": stands})
    clauses = [clause for clause in document.clauses if may_read(who, clause.clause, in_force)]
    partly, of_people = len(clauses) < len(document.clauses), PROPOSAL in who.reads
    if not of_people:
        document.cause = document.ruling = document.tier_beneath = None
    if partly or not of_people:
        document.clauses = clauses
        policy = in_force.named(decision.policy) or in_force.steps[-1].policy
        document.what_would_change_it = what_would_change(
            document.tier, clauses, policy, held(who, decision, until), partly=partly
        )
    return document
