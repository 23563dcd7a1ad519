"""The meeting, the agreement and every ending."""

from datetime import date
from typing import Annotated
from uuid import UUID

import uuid_utils.compat as uuid_utils
from pydantic import ConfigDict, Field

from common.app import Router
from common.idempotency import ONCE
from common.words import Words
from restorative.routes.desk import AN_ID, PATH, At, Body, Dated, Undated, sent
from restorative.routes.documents import ReferralShown
from restorative.rules.agreement import Breach, Complete, EndWithoutAgreement, Hold, Keep, MakeAgreement
from restorative.rules.conference import Item, ItemKind
from restorative.rules.withdrawal import Withdraw

router = Router("restorative", dependencies=[ONCE])


class ItemAgreed(Body):
    """One thing that was agreed; without ``for_party`` it is for all."""

    what: Words
    by_party: UUID
    for_party: UUID | None = None
    kind: ItemKind
    due_on: date


class AgreementMade(Undated):
    """The items of the agreement."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "items": [
                    {"what": "Repair the shelf", "by_party": AN_ID, "kind": "restitution", "due_on": "2026-10-30"}
                ]
            }
        }
    )

    items: Annotated[list[ItemAgreed], Field(min_length=1, max_length=50)]


class Evidence(Dated):
    """How the facilitator knows that an item was kept."""

    model_config = ConfigDict(json_schema_extra={"example": {"on": "2026-10-28", "evidence": "Seen it on its wall."}})

    evidence: Words


class Reasoned(Dated):
    """A step that ends the conference, and why."""

    model_config = ConfigDict(json_schema_extra={"example": {"on": "2026-10-28", "reason": "The family has moved."}})

    reason: Words


@router.post(f"{PATH}/hold")
async def hold_conference(body: Dated, desk: At) -> ReferralShown:
    """Record that the conference took place."""
    await desk.take(Hold(on=body.on), sent(body))
    return desk.shown()


@router.post(f"{PATH}/agreement")
async def record_agreement(body: AgreementMade, desk: At) -> ReferralShown:
    """Write down what was agreed."""
    items = tuple(Item(id=uuid_utils.uuid7(), **item.model_dump(exclude={"what"})) for item in body.items)
    step = MakeAgreement(on=body.on, items=items)
    texts = [(item.id, "what", agreed.what) for item, agreed in zip(items, body.items, strict=True)]
    await desk.take(step, sent(body), texts=texts)
    return desk.shown()


@router.post(f"{PATH}/items/{{item_id}}/keep")
async def keep_item(item_id: UUID, body: Evidence, desk: At) -> ReferralShown:
    """Record that an item was kept; this facilitator verified it."""
    step = Keep(on=body.on, item_id=item_id, verified_by=desk.staff_id)
    content = sent(body) | {"item_id": str(item_id)}
    await desk.take(step, content, texts=[(item_id, "evidence", body.evidence)])
    return desk.shown()


@router.post(f"{PATH}/complete")
async def complete_conference(body: Dated, desk: At) -> ReferralShown:
    """Close the agreement: every item is kept."""
    await desk.take(Complete(on=body.on), sent(body))
    return desk.shown()


@router.post(f"{PATH}/breach")
async def breach_agreement(body: Reasoned, desk: At) -> ReferralShown:
    """Record that the agreement was not kept; the ordinary process resumes."""
    await desk.take(Breach(on=body.on), sent(body))
    return desk.shown()


@router.post(f"{PATH}/no-agreement")
async def end_without_agreement(body: Reasoned, desk: At) -> ReferralShown:
    """Record that no consensus was found; the ordinary process resumes."""
    await desk.take(EndWithoutAgreement(on=body.on), sent(body))
    return desk.shown()


@router.post(f"{PATH}/withdraw")
async def withdraw_referral(body: Reasoned, desk: At) -> ReferralShown:
    """Take the referral back."""
    await desk.take(Withdraw(on=body.on), sent(body))
    return desk.shown()
