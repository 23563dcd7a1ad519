"""Policies as the district keeps them, and which of them are in force."""

from collections.abc import Sequence
from datetime import date, datetime
from importlib.resources import files
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field

from common.db import Table
from mtss.rules import InForce, Policy, Step, day_number, policy_of, read_policy, since_ever

DEFAULT_POLICY: Policy = read_policy(files("mtss").joinpath("policies", "default.json").read_text(encoding="utf-8"))
"""What counts until the district adopts a policy of its own. What a version says never changes: a better default is a document of
another version beside this one, which a district adopts like any other."""

_AT_ONCE_KNOWN = 8
_known: dict[UUID | None, InForce] = {None: since_ever(DEFAULT_POLICY)}
"""What was in force after an adoption never changes: it is read once, and known by the id of the last one."""

LAST_ADOPTION = "SELECT id FROM mtss_adoption WHERE number IS NOT NULL ORDER BY number DESC LIMIT 1"
_LAST = sa.text(LAST_ADOPTION)
_LAST_BY = sa.text("SELECT id FROM mtss_adoption WHERE in_force_at <= :at ORDER BY number DESC LIMIT 1")
_STEPS = sa.text(
    """
    SELECT a.number, a.first_on, a.version, a.tells_families, p.document
    FROM mtss_adoption a LEFT JOIN mtss_policy p USING (version)
    WHERE a.number <= (SELECT number FROM mtss_adoption WHERE id = :last) ORDER BY a.number
    """
)


def _moment(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_type=sa.DateTime(timezone=True), nullable=nullable)


class StoredPolicy(Table, table=True):
    """One version of a policy. What it says never changes; what happened to it is noted beside it."""

    __tablename__ = "mtss_policy"

    version: str = Field(primary_key=True)
    document: dict[str, Any] = Field(sa_type=sa.JSON)
    digest: str
    drafted_by: str
    drafted_at: datetime = _moment()
    findings: list[dict[str, str]] | None = Field(default=None, sa_type=sa.JSON)
    rehearsal_id: UUID | None = None
    approved_by: str | None = None
    approved_at: datetime | None = _moment(nullable=True)


class PolicyStep(Table, table=True):
    """What somebody did with a policy: never changed, never removed."""

    __tablename__ = "mtss_policy_step"
    __table_args__ = (sa.Index("mtss_policy_step_version", "version"),)

    id: UUID = Field(primary_key=True, default_factory=uuid_utils.uuid7)
    version: str
    step: str
    by: str
    at: datetime = _moment()
    note: str | None = None


class Adoption(Table, table=True):
    """A policy on its way into force, or only counted; and how far the district was decided anew.

    ``number`` and ``in_force_at`` are set once it is in force. ``state``: counting, counted (a dry run), waiting (for a second confirmation),
    running, done, or withdrawn.
    """

    __tablename__ = "mtss_adoption"
    __table_args__ = (sa.UniqueConstraint("number"),)

    id: UUID = Field(primary_key=True, default_factory=uuid_utils.uuid7)
    number: int | None = None
    version: str
    first_on: date
    state: str
    dry_run: bool
    tells_families: bool
    sure: bool
    asked_by: str
    asked_at: datetime = _moment()
    confirmed_by: str | None = None
    confirmed_at: datetime | None = _moment(nullable=True)
    in_force_at: datetime | None = _moment(nullable=True)
    cursor: UUID | None = None
    total: int = 0
    with_tier: int = 0
    done: int = 0
    changed: int = 0
    counts: dict[str, dict[str, int]] = Field(default_factory=dict, sa_type=sa.JSON)


class AdoptionChange(Table, table=True):
    """What an adoption, or its dry run, changes about one student, as counted before anything was decided."""

    __tablename__ = "mtss_adoption_change"

    adoption_id: UUID = Field(primary_key=True, foreign_key="mtss_adoption.id")
    student_id: UUID = Field(primary_key=True)
    school_id: str
    what: list[str] = Field(sa_type=ARRAY(sa.String))
    tier_before: str
    tier_after: str
    since_before: date
    since_after: date
    begins: list[str] = Field(sa_type=ARRAY(sa.String))
    ends: list[str] = Field(sa_type=ARRAY(sa.String))


async def policies_in_force(session: AsyncSession) -> InForce:
    """Which policy counts on which day."""
    return await policies_after(session, await session.scalar(_LAST))


async def policies_known(session: AsyncSession, at: datetime) -> InForce:
    """Which policy counted on which day, as far as was known at a time."""
    return await policies_after(session, await session.scalar(_LAST_BY, {"at": at}))


async def policies_after(session: AsyncSession, last: UUID | None) -> InForce:
    """Which policy counts on which day, after the adoption ``last``."""
    if last not in _known:
        found = (await session.execute(_STEPS, {"last": last})).all()
        if len(_known) > _AT_ONCE_KNOWN:
            _known.clear()
            _known[None] = since_ever(DEFAULT_POLICY)
        _known[last] = InForce((*_known[None].steps, *_steps(found)))
    return _known[last]


async def policy_in_force(session: AsyncSession, on: date) -> Policy:
    """The policy that counts on a day."""
    return (await policies_in_force(session)).on(day_number(on)).policy


async def find_policy(session: AsyncSession, version: str) -> Policy | None:
    """The policy of a version: one of the district's, or the default one."""
    if version == DEFAULT_POLICY.version:
        return DEFAULT_POLICY
    stored = await session.get(StoredPolicy, version)
    return policy_of(stored.document) if stored else None


def _steps(found: Sequence[Any]) -> list[Step]:
    return [
        Step(
            row.number,
            day_number(row.first_on),
            DEFAULT_POLICY if row.document is None else policy_of(row.document),
            row.tells_families,
        )
        for row in found
    ]
