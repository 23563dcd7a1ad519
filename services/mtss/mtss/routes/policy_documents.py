"""Policies as answers tell them: a line of a list, or the document with its findings, its state and its history."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import col

from common.db import Session
from mtss.models import Adoption, PolicyStep, Rehearsal, StoredPolicy, policies_in_force
from mtss.rules import InForce, Policy, day_number, digest_of


class FindingDocument(BaseModel):
    """One reason to refuse a policy."""

    model_config = ConfigDict(from_attributes=True)

    field: Annotated[str, Field(examples=["clauses.attendance.exit.below"])]
    rule: Annotated[
        str, Field(examples=["must be below the entry: otherwise the tier comes and goes with single days"])
    ]


class StepDocument(BaseModel):
    """What somebody did with a policy."""

    model_config = ConfigDict(from_attributes=True)

    step: Annotated[str, Field(examples=["approved"])]
    by: str
    at: datetime
    note: str | None


class PolicyLine(BaseModel):
    """One policy of a list."""

    version: str
    title: str
    digest: str
    state: Annotated[str, Field(description="draft, refused, checked, rehearsed, approved, in_force or replaced")]
    in_force_from: date | None


class PolicyDocument(PolicyLine):
    """A policy, and all that was done with it."""

    document: dict[str, Any]
    findings: list[FindingDocument] | None
    history: list[StepDocument]


async def approved_for(session: Session) -> dict[str, date]:
    """Policies that wait for the day from which they shall count, by version."""
    waiting = sa.select(col(Adoption.version), col(Adoption.first_on)).where(col(Adoption.state) == "approved")
    return {each.version: each.first_on for each in await session.execute(waiting)}


def line_of(
    policy: Policy, stored: StoredPolicy | None, in_force: InForce, coming: Mapping[str, date], today: date
) -> PolicyLine:
    """A policy as a list has it; ``coming``: those that wait for their day."""
    state, since = _state(policy.version, stored, in_force, today)
    if state != "in_force" and policy.version in coming:
        state, since = "approved", coming[policy.version]
    return PolicyLine(
        version=policy.version, title=policy.title, digest=policy.digest, state=state, in_force_from=since
    )


async def told(session: Session, policy: Policy, stored: StoredPolicy | None, today: date) -> PolicyDocument:
    """A policy, and all that was done with it."""
    line = line_of(policy, stored, await policies_in_force(session), await approved_for(session), today)
    if line.state == "checked" and stored is not None and await rehearsal_of(session, policy, stored):
        line.state = "rehearsed"
    steps = sa.select(PolicyStep).where(col(PolicyStep.version) == policy.version).order_by(col(PolicyStep.id))
    return PolicyDocument(
        **line.model_dump(),
        document=dict(policy.document),
        findings=None if stored is None or stored.findings is None else _findings(stored.findings),
        history=[StepDocument.model_validate(each) for each in await session.scalars(steps)],
    )


async def rehearsal_of(session: Session, policy: Policy, stored: StoredPolicy | None) -> UUID | None:
    """The last rehearsal of exactly this document that came to its end, or of what it was before an upgrade completed it."""
    if stored is not None and stored.rehearsal_id is not None:
        return stored.rehearsal_id
    asked = sa.select(col(Rehearsal.id), col(Rehearsal.policy)).where(
        col(Rehearsal.state) == "done", col(Rehearsal.policy)["version"].as_string() == policy.version
    )
    found = await session.execute(asked.order_by(col(Rehearsal.id).desc()))
    its = {policy.digest, stored and stored.digest_before}
    return next((identity for identity, document in found if digest_of(document) in its), None)


def _findings(found: list[dict[str, str]]) -> list[FindingDocument]:
    return [FindingDocument.model_validate(each) for each in found]


def _state(version: str, stored: StoredPolicy | None, in_force: InForce, today: date) -> tuple[str, date | None]:
    counting = [step for step in in_force.counting() if step.policy.version == version]
    since = next((step.began_on for step in counting), None)
    if in_force.on(day_number(today)).policy.version == version:
        return "in_force", since
    if counting and counting[-1].first_day > day_number(today):
        return "approved", since
    if in_force.named(version) is not None:
        return "replaced", None
    if stored is None or stored.findings is None:
        return "draft", None
    if stored.findings:
        return "refused", None
    return ("approved" if stored.approved_by else "rehearsed" if stored.rehearsal_id else "checked"), None
