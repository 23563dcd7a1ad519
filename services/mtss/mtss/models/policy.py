"""Policies as the district keeps them, and which of them are in force."""

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime
from importlib.resources import files
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from common.db import Table
from mtss.rules import InForce, Policy, day_number, policy_of, read_policy, since_ever

DEFAULT_POLICY: Policy = read_policy(files("mtss").joinpath("policies", "default.json").read_text(encoding="utf-8"))
"""What counts until the district adopts a policy of its own. What a version says never changes: a better default is a document of
another version beside this one, which a district adopts like any other."""

_AT_ONCE_KNOWN = 8
_known: dict[UUID | None, InForce] = {None: since_ever(DEFAULT_POLICY)}
"""What was in force after an adoption never changes: it is read once, and known by the id of the last one."""

UNDER_WAY = ("counting", "waiting", "running")
"""States of an adoption beside which no other is asked for."""
LAST_ADOPTION = "SELECT id FROM mtss_adoption WHERE number IS NOT NULL ORDER BY number DESC LIMIT 1"
_LAST = sa.text(LAST_ADOPTION)
_LAST_BY = sa.text("SELECT id FROM mtss_adoption WHERE in_force_at <= :at ORDER BY number DESC LIMIT 1")


def _moment(*, nullable: bool = False) -> Any:
    return Field(default=None, sa_type=sa.DateTime(timezone=True), nullable=nullable)


class StoredPolicy(Table, table=True):
    """One version of a policy. What it says never changes; what happened to it is noted beside it."""

    __tablename__ = "mtss_policy"

    version: str = Field(primary_key=True)
    document: dict[str, Any] = Field(sa_type=sa.JSON)
    digest: str
    digest_before: str | None = None
    """The one that it had before an upgrade completed it: decisions and rehearsals of that time name it, and it decides as then."""
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
    approved (until its day), running, begun (until each school has closed its first day), done, or withdrawn. Once its day has come it is
    counted again.
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
    reverts: int | None = None
    """The number of the adoption that it takes back, if it is none of a policy of its own."""
    asked_by: str
    asked_at: datetime = _moment()
    confirmed_by: str | None = None
    confirmed_at: datetime | None = _moment(nullable=True)
    confirmed: dict[str, int] | None = Field(default=None, sa_type=sa.JSON(none_as_null=True))
    """By what changes, how many students were shown to who confirmed it."""
    in_force_at: datetime | None = _moment(nullable=True)
    counted_at: datetime | None = _moment(nullable=True)
    """When it was begun to be counted, by the database's clock: what is known since, the counts do not show."""
    grown_at: datetime | None = _moment(nullable=True)
    """When it had changed more students than were counted on its morning, by so many that another person would have been asked."""
    cursor: UUID | None = None
    total: int = 0
    with_tier: int = 0
    done: int = 0
    changed: int = 0
    counts: dict[str, dict[str, int]] = Field(default_factory=dict, sa_type=sa.JSON)

    @property
    def changes(self) -> "Counter[str]":
        """How many students it changes, by what changes."""
        return sum(map(Counter, self.counts.values()), Counter[str]())

    def after(self, in_force: InForce, policy: Policy, first_day: int) -> InForce:
        """What counts once it does, from ``first_day`` on."""
        if self.reverts is None:
            return in_force.after(policy, first_day, tells_families=self.tells_families)
        return in_force.without(self.reverts, first_day, tells_families=self.tells_families)


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
        number = sa.select(col(Adoption.number)).where(col(Adoption.id) == last).scalar_subquery()
        asked = sa.select(Adoption, col(StoredPolicy.document)).where(col(Adoption.number) <= number)
        asked = asked.outerjoin(StoredPolicy, col(StoredPolicy.version) == col(Adoption.version))
        found = (await session.execute(asked.order_by(col(Adoption.number)))).all()
        if len(_known) > _AT_ONCE_KNOWN:
            _known.clear()
            _known[None] = since_ever(DEFAULT_POLICY)
        in_force = _known[None]
        for adoption, document in found:
            policy = DEFAULT_POLICY if document is None else policy_of(document)
            in_force = adoption.after(in_force, policy, day_number(adoption.first_on))
        _known[last] = in_force
    return _known[last]


async def digests_before(session: AsyncSession) -> Mapping[str, str]:
    """By version the digests that policies had before an upgrade completed them."""
    completed = sa.select(col(StoredPolicy.version), col(StoredPolicy.digest_before))
    found = await session.execute(completed.where(col(StoredPolicy.digest_before).is_not(None)))
    return {version: digest for version, digest in found if digest}


async def policy_in_force(session: AsyncSession, on: date) -> Policy:
    """The policy that counts on a day."""
    return (await policies_in_force(session)).on(day_number(on)).policy


async def find_policy(session: AsyncSession, version: str) -> Policy | None:
    """The policy of a version: one of the district's, or the default one."""
    if version == DEFAULT_POLICY.version:
        return DEFAULT_POLICY
    stored = await session.get(StoredPolicy, version)
    return policy_of(stored.document) if stored else None
