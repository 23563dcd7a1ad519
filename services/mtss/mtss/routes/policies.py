"""The life of policies: drafted, checked, rehearsed, approved by a second person, in force from a day, replaced, reverted."""

from datetime import date, datetime
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import Header, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import col

from common.app import Router
from common.auth import Principal
from common.db import Session
from common.errors import DomainError, NotFound
from common.idempotency import ONCE, repeatable
from common.paging import Cursor, Limit, Page, part_of
from common.runtime import Now, Today
from mtss.models import (
    DEFAULT_POLICY,
    Adoption,
    PolicyStep,
    StoredPolicy,
    counts_hold_since,
    find_policy,
    policies_in_force,
    policy_in_force,
)
from mtss.models.rehearsal import compared
from mtss.routes.adoptions import AdoptionDocument, SecondPersonMissing, ask_for, is_old
from mtss.routes.documents import District, Person
from mtss.routes.policy_documents import PolicyDocument, PolicyLine, approved_for, line_of, rehearsal_of, told
from mtss.rules import Policy, day_of, policy_of
from mtss.rules.policy.checking import findings
from mtss.rules.policy.difference import difference, in_numbers
from mtss.written import as_yaml, document_of

router = Router("mtss")

Version = Annotated[str, Path(max_length=80, description="The version that the document names.")]
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": {"type": "object", "description": "As docs/policies/tier-policy.v1.json has it."}}
            for kind in ("application/json", "application/yaml")
        },
    }
}
_AS_YAML: dict[int | str, dict[str, Any]] = {200: {"content": {"application/yaml": {"schema": {"type": "string"}}}}}


class VersionTaken(DomainError):
    """There is another policy of this version, and a version never changes: name a new one in the document."""


class NotChecked(DomainError):
    """The policy was not checked, or the check found what is wrong with it."""


class NotRehearsed(DomainError):
    """The policy was not rehearsed: rehearse it, or say in without_rehearsal why not."""


class NotShown(DomainError):
    """The first day, in_force_from, lies in the past, and no dry run of this version has shown what changes from that day on: make one first."""


class DryRunOld(DomainError):
    """The first day, in_force_from, lies in the past, and since the dry run from that day a day was closed or a policy came into force: make it again."""


class AnotherDocument(DomainError):
    """The digest is not that of this policy: read it again, then decide."""


class NotInForce(DomainError):
    """Only the policy that was adopted last can be reverted, and only while another one stood before it."""


class Adopting(BaseModel):
    """From which day on a policy shall count. What is decided of days before stays as it is."""

    model_config = ConfigDict(extra="forbid")

    in_force_from: Annotated[date, Field(examples=["2027-01-11"])]


class Approval(Adopting):
    """What is approved, from which day on it shall count, and whether families are told of what that changes by itself."""

    digest: Annotated[str, Field(description="Of the document that was read.", pattern=r"^[0-9a-f]{32}$")]
    tells_families: bool = False
    without_rehearsal: Annotated[
        str | None, Field(min_length=10, max_length=400, description="Why it is approved without a rehearsal.")
    ] = None


@router.post("/v1/policies", status_code=201, dependencies=[ONCE], openapi_extra=_BODY)
async def draft_policy(request: Request, who: District, session: Session, now: Now, today: Today) -> PolicyDocument:
    """Keep a draft, in JSON or YAML. It says what it says for ever: what is changed gets another version.

    Raises:
        PolicyInvalid: the document cannot be read as a policy.
        VersionTaken: there is one of this version.
    """
    document = document_of(await request.body())
    policy = policy_of(document)
    if await find_policy(session, policy.version) is not None:
        raise VersionTaken
    stored = StoredPolicy(
        version=policy.version, document=document, digest=policy.digest, drafted_by=who.subject, drafted_at=now
    )
    session.add_all((stored, PolicyStep(version=policy.version, step="drafted", by=who.subject, at=now)))
    await session.flush()
    return await told(session, policy, stored, today)


@router.get("/v1/policies")
async def list_policies(
    _: District, session: Session, today: Today, cursor: Cursor = None, limit: Limit = 100
) -> Page[PolicyLine]:
    """Every policy of the district by version, after the default one."""
    in_force, coming = await policies_in_force(session), await approved_for(session)
    stored = (await session.scalars(sa.select(StoredPolicy))).all()
    lines = [line_of(policy_of(each.document), each, in_force, coming, today) for each in stored]
    lines.append(line_of(DEFAULT_POLICY, None, in_force, coming, today))
    some, following = part_of(lines, _place, cursor, limit)
    return Page(items=list(some), next=following)


def _place(line: PolicyLine) -> str:
    return f"{0 if line.version == DEFAULT_POLICY.version else 1} {line.version}"


@router.get("/v1/policies/{version}", response_model=PolicyDocument, responses=_AS_YAML)
async def read_policy(
    version: Version, _: District, session: Session, today: Today, accept: Annotated[str, Header()] = "*/*"
) -> PolicyDocument | Response:
    """A policy and what was done with it; only the document, to be changed and drafted anew, for ``Accept: application/yaml``."""
    policy, stored = await _find(session, version)
    if "yaml" in accept:
        return Response(as_yaml(policy.document), media_type="application/yaml")
    return await told(session, policy, stored, today)


@router.post("/v1/policies/{version}/check")
@repeatable("the same document is found the same")
async def check_policy(version: Version, who: District, session: Session, now: Now, today: Today) -> PolicyDocument:
    """Say everything that is wrong with a draft, and note that it was checked."""
    policy, stored = await _find(session, version)
    if stored is not None and stored.findings is None:
        stored.findings = [{"field": each.field, "rule": each.rule} for each in findings(policy)]
        session.add_all((stored, PolicyStep(version=version, step="checked", by=who.subject, at=now)))
        await session.flush()
    return await told(session, policy, stored, today)


@router.post("/v1/policies/{version}/dry-runs", status_code=202, dependencies=[ONCE])
async def count_policy(
    version: Version, asked: Adopting, who: District, session: Session, now: Now
) -> AdoptionDocument:
    """Count whom a checked policy would change, without deciding anything."""
    _, stored = await _find(session, version)
    _require_checked(stored)
    return await ask_for(session, _asked(who, now, version, asked.in_force_from, dry_run=True))


@router.post("/v1/policies/{version}/approve", status_code=202, dependencies=[ONCE])
async def approve_policy(
    version: Version, approval: Approval, who: Person, session: Session, now: Now, today: Today
) -> AdoptionDocument:
    """Approve what somebody else drafted: it is counted, and then in force from its day on.

    On a day to come it is counted again, and waits again if then more students would change than one person may let change.
    The default policy nobody drafted: somebody else confirms its adoption, however few students it changes.

    Raises:
        NotChecked: it was not checked, or something is wrong with it.
        NotRehearsed: it was not rehearsed, and no reason is given.
        SecondPersonMissing: who drafted it cannot approve it.
        AnotherDocument: the digest is not its.
        NotShown: it would count from a day in the past that no dry run of it has shown.
        DryRunOld: the dry run that has shown that day shows no longer what would change.
        AdoptionUnderWay: another adoption is.
    """
    policy, stored = await _find(session, version)
    _require_checked(stored)
    if approval.in_force_from < today:
        await _require_shown(session, version, approval.in_force_from)
    if stored is not None and who.subject == stored.drafted_by:
        raise SecondPersonMissing
    if approval.digest != policy.digest:
        raise AnotherDocument
    rehearsal = await rehearsal_of(session, policy, stored)
    if rehearsal is None and approval.without_rehearsal is None:
        raise NotRehearsed
    if stored is not None:
        stored.rehearsal_id, stored.approved_by, stored.approved_at = rehearsal, who.subject, now
        session.add(stored)
    session.add(PolicyStep(version=version, step="approved", by=who.subject, at=now, note=approval.without_rehearsal))
    asked = _asked(who, now, version, approval.in_force_from, tells_families=approval.tells_families)
    return await ask_for(session, asked)


@router.post("/v1/policies/{version}/revert", status_code=202, dependencies=[ONCE])
async def revert_policy(version: Version, who: Person, session: Session, now: Now) -> AdoptionDocument:
    """Let the policy before count again, from the day on which this one began to: one step, without a second confirmation.

    Families are told of what this changes as they were told of what is taken back.

    Raises:
        NotInForce: it is not the policy that was adopted last, or no other counts before it.
        AdoptionUnderWay: another adoption is.
    """
    in_force = await policies_in_force(session)
    began = in_force.taken_back()
    if began is None or began.policy.version != version:
        raise NotInForce
    before = in_force.without(began.origin, began.first_day).on(began.first_day)
    session.add(PolicyStep(version=version, step="reverted", by=who.subject, at=now))
    asked = _asked(who, now, before.policy.version, day_of(began.first_day), tells_families=began.tells_families)
    asked.reverts = began.origin
    return await ask_for(session, asked)


@router.get("/v1/policies/{version}/difference")
async def read_difference(
    version: Version,
    _: District,
    session: Session,
    today: Today,
    against: Annotated[str | None, Query(max_length=80, description="A version; else the one in force today.")] = None,
) -> list[str]:
    """What this policy says otherwise, one sentence each; and in how many students that came out when it was rehearsed."""
    after, _stored = await _find(session, version)
    before = (await _find(session, against))[0] if against else await policy_in_force(session, today)
    said = difference(before, after)
    return [*said, in_numbers(before, after, await compared(session, before, after))] if said else []


def _asked(
    who: Principal, now: datetime, version: str, first_on: date, *, dry_run: bool = False, tells_families: bool = False
) -> Adoption:
    return Adoption(
        version=version,
        first_on=first_on,
        state="counting",
        dry_run=dry_run,
        tells_families=tells_families,
        asked_by=who.subject,
        asked_at=now,
    )


async def _require_shown(session: Session, version: str, from_day: date) -> None:
    """A dry run told what changes when the policy counts from that day, and nothing was closed since."""
    counted = col(Adoption.version) == version, col(Adoption.state) == "counted", col(Adoption.first_on) == from_day
    last = (
        await session.scalars(sa.select(Adoption).where(*counted).order_by(col(Adoption.id).desc()).limit(1))
    ).first()
    if last is None:
        raise NotShown
    if is_old(last.counted_at, await counts_hold_since(session)):
        raise DryRunOld


def _require_checked(stored: StoredPolicy | None) -> None:
    if stored is not None and stored.findings != []:
        raise NotChecked


async def _find(session: Session, version: str) -> tuple[Policy, StoredPolicy | None]:
    policy = await find_policy(session, version)
    if policy is None:
        raise NotFound(what="policy")
    return policy, await session.get(StoredPolicy, version)
