"""One decision in plain words: for staff, for a parent, for a student of twelve, in English or Spanish."""

from dataclasses import asdict
from typing import Annotated
from uuid import UUID

from babel import negotiate_locale
from fastapi import Header, Query
from pydantic import BaseModel, ConfigDict, Field

from common.app import Router
from common.db import Session
from common.errors import NotFound
from common.events import Tier
from mtss.models import policies_in_force
from mtss.routes.decisions import find_decision, held
from mtss.routes.documents import PROPOSAL, Reader, may_read
from mtss.rules import Audience, Language, asks_a_person, seen_again, words_of
from mtss.ruling import supported_at

router = Router("mtss")

_SPOKEN: tuple[Language, ...] = ("en", "es")


class WordsDocument(BaseModel):
    """A decision in sentences that name nobody, in the order in which they are to be read: what goes well comes first."""

    model_config = ConfigDict(from_attributes=True)

    decision_id: UUID
    audience: Audience
    language: Language
    opening: str
    strengths: tuple[str, ...]
    grounds: Annotated[tuple[str, ...], Field(description="What support rests on.")]
    unknown: Annotated[tuple[str, ...], Field(description="What nothing is known of yet.")]
    changes: Annotated[tuple[str, ...], Field(description="What would begin or end support.")]
    closing: str


@router.get("/v1/decisions/{decision_id}/words")
async def read_words(
    decision_id: UUID,
    who: Reader,
    session: Session,
    audience: Annotated[Audience, Query(alias="for", description="Who is to read it.")] = "staff",
    language: Annotated[
        Language | None, Query(description="Without it, what Accept-Language asks for; else English.")
    ] = None,
    accept_language: Annotated[str, Header(max_length=1000)] = "",
) -> WordsDocument:
    """What was decided and why, as of then. A clause that the reader may not read is left out."""
    decision, _, until = await find_decision(session, who, decision_id)
    in_force = await policies_in_force(session)
    policy = in_force.named(decision.policy)
    if policy is None:
        raise NotFound(what="policy")
    spoken = language or _accepted(accept_language)
    readable = [each for each in decision.clauses if may_read(who, each["clause"], in_force)]
    tier, override = Tier(decision.tier) if decision.tier else None, held(who, decision, until)
    by_facts = override.beneath if override else tier
    of_people = PROPOSAL in who.reads
    supported = of_people and await supported_at(session, decision.student_id, decision.known_at)
    seen, asks = seen_again(policy, readable, by_facts), asks_a_person(policy, by_facts, supported)
    words = words_of(tier, seen, audience, spoken, override, asks=asks)
    return WordsDocument(decision_id=decision_id, audience=audience, language=spoken, **asdict(words))


def _accepted(accept_language: str) -> Language:
    offered = [part.split(";")[0].strip() for part in accept_language.split(",")]
    found = negotiate_locale(offered, _SPOKEN, sep="-")
    return next((each for each in _SPOKEN if each == found), "en")
