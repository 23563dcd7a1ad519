"""Referrals as they are shown.

Names, reasons, items and evidence are opened for facilitators alone, and not for one whom the action names: what is said
in a conference stays with those who hold it.
"""

from collections.abc import Set
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, Field, TypeAdapter

from common.preconditions import etag_of
from common.sealed import Vault
from restorative.conferences import Case, opened
from restorative.models import ItemRow, PartyRow, Referral, StepRow
from restorative.rules.conference import ItemKind, Kind, Part, Role, State, seen_by_others
from restorative.rules.exclusion import hundredths_avoided

_ABOUT_ONE_PARTY = frozenset({"consent", "prepare"})
_CALLING_OFF = frozenset({"decline", "withdraw", "take_back"})
_CONTENT = TypeAdapter(dict[str, Any])


class ReferralLine(BaseModel):
    """One referral in a list. To those who do not facilitate, one that was called off is ``closed``."""

    id: UUID
    student_id: UUID
    incident_id: UUID
    school_id: str
    happened_on: date
    opened_at: datetime
    opened_by_hand: bool
    state: str
    days_proposed: float
    days_served: float
    offered_on: date | None
    scheduled_at: datetime | None
    held_on: date | None
    ended_on: date | None


class PartyShown(BaseModel):
    """One person; ``part`` is null for who does not take part, whether never asked, not yet, or not any more."""

    id: UUID
    kind: Kind
    role: Role
    student_id: Annotated[UUID | None, Field(description="Null: no student, or one whom this reader does not see.")]
    staff_id: UUID | None
    name: str | None = None
    part: Part | None = None
    prepared_on: date | None = None


class ItemShown(BaseModel):
    """One item of the agreement."""

    id: UUID
    kind: ItemKind
    by_party: UUID
    for_party: UUID | None
    due_on: date
    status: str
    kept_on: date | None
    verified_by: UUID | None
    what: str | None = None
    evidence: str | None = None


class StepShown(BaseModel):
    """One step of the history; ``content`` is what was sent with it, for facilitators."""

    step: str
    on: date | None
    taken_at: datetime
    staff_id: UUID | None
    party_id: UUID | None
    content: dict[str, Any] | None = None


class ReferralShown(ReferralLine):
    """One referral with its people, its agreement and its history. ``days_avoided`` is null until it is completed."""

    suitable: bool | None = None
    days_avoided: float | None
    parties: list[PartyShown]
    items: list[ItemShown]
    steps: list[StepShown]


def tagged(response: Response, shown: ReferralShown) -> ReferralShown:
    """The referral, with the ETag of just what is shown of it."""
    response.headers["ETag"] = version_of(shown)
    return shown


def version_of(shown: ReferralShown) -> str:
    """What tells this referral, as it is shown, from how it was shown before."""
    return etag_of(shown.model_dump_json())


def days(hundredths: int) -> float:
    """Hundredths of a day as days."""
    return hundredths / 100


def show(case: Case, vault: Vault | None, *, unseen: Set[UUID] = frozenset()) -> ReferralShown:
    """The referral for who facilitates it; without a vault for those who do not: no text, and not who takes part.

    ``unseen``: students among the parties whom the reader does not see, and whose ids are left out.
    """
    referral = case.referral
    avoided = hundredths_avoided(proposed=referral.hundredths_proposed, served=referral.hundredths_served)
    return ReferralShown(
        **line(referral, facilitates=vault is not None),
        suitable=referral.suitable if vault else None,
        days_avoided=days(avoided) if referral.state == State.COMPLETED else None,
        parties=[_party(row, vault, unseen) for row in case.parties],
        items=[_item(row, vault) for row in case.items],
        steps=[_step(row, vault) for row in _history(case, everything=vault is not None)],
    )


def line(referral: Referral, *, facilitates: bool) -> dict[str, Any]:
    """What every document of a referral says of it."""
    state = State(referral.state)
    return {
        **referral.model_dump(exclude={"state", "hundredths_proposed", "hundredths_served", "suitable"}),
        "opened_by_hand": referral.by_hand,
        "state": state.value if facilitates else seen_by_others(state),
        "days_proposed": days(referral.hundredths_proposed),
        "days_served": days(referral.hundredths_served),
    }


def _party(row: PartyRow, vault: Vault | None, unseen: Set[UUID]) -> PartyShown:
    seen = row.model_dump(include={"id", "kind", "role", "student_id", "staff_id"})
    if row.student_id in unseen:
        seen["student_id"] = None
    if vault is None:
        return PartyShown(**seen)
    return PartyShown(
        **seen, name=opened(vault, row, "name"), part=Part(row.part) if row.part else None, prepared_on=row.prepared_on
    )


def _item(row: ItemRow, vault: Vault | None) -> ItemShown:
    seen = row.model_dump(exclude={"what", "evidence"}) | {"status": "kept" if row.kept_on else "open"}
    texts = {name: opened(vault, row, name) for name in ("what", "evidence")} if vault else {}
    return ItemShown(**(seen | texts))


def _step(row: StepRow, vault: Vault | None) -> StepShown:
    content = opened(vault, row, "content") if vault else None
    return StepShown(
        **row.model_dump(exclude={"content"}), content=_CONTENT.validate_json(content) if content else None
    )


def _history(case: Case, *, everything: bool) -> list[StepRow]:
    """The steps: never who no longer takes part, and to those who do not facilitate neither who does nor how it was called off."""
    if not everything:
        return [row for row in case.steps if row.step not in _ABOUT_ONE_PARTY | _CALLING_OFF]
    part = {party.id: party.part for party in case.parties}
    return [row for row in case.steps if row.step not in _ABOUT_ONE_PARTY or (row.party_id and part[row.party_id])]
