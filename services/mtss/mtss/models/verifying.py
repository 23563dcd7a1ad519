"""Decisions and proposals recomputed from the facts as they were known when each was made."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import Cause, Tier
from mtss.models.knowing import Moment, facts_known
from mtss.models.people import Proposal
from mtss.models.policy import digests_before, policies_in_force
from mtss.models.reading import subscales_of
from mtss.models.tables import Decision
from mtss.rules import (
    NO_PROPOSAL,
    NOTHING,
    TIERS,
    Course,
    Difference,
    Facts,
    Grounds,
    InForce,
    Said,
    cause_of,
    course_of,
    day_of,
    differences,
    digest_of_decision,
    digest_of_proposal,
    follow,
    held_of,
    resting_on,
    said_before,
    said_of,
    standing_of,
    what_may_change,
)

_BEFORE = sa.text(
    """
    SELECT d.student_id, d.number, d.tier, d.effective_on, d.ruling
    FROM unnest(CAST(:students AS uuid[]), CAST(:numbers AS int[])) AS of(student_id, number)
    JOIN mtss_decision d ON d.student_id = of.student_id AND d.number = of.number - 1
    """
)


Kept = TypeVar("Kept", Decision, Proposal)


async def verify(session: AsyncSession, decisions: Sequence[Decision], *, changes: bool) -> list[list[Difference]]:
    """For each decision what is otherwise when it is made again; nothing where it is the same.

    A constant number of statements. A decision of a policy that is not known here says so. ``changes``: what would have changed
    it is recomputed too, which takes twice as long as all else.
    """
    before, in_force = await _before(session, decisions), await policies_in_force(session)
    known, facts = await _known_then(session, decisions, in_force)
    again: dict[UUID, dict[str, Any]] = {}
    for numbers in {(each.adoption, each.adopted_after) for each in known}:
        mine = {
            place: before.get(_key(each))
            for place, each in enumerate(known)
            if (each.adoption, each.adopted_after) == numbers
        }
        followed = _Followed(facts, in_force.until(numbers[0]), mine, changes=changes)
        after = None if numbers[1] is None else in_force.until(numbers[1])
        again |= {known[place].id: said for place, said in _decided_again(followed, mine, after)}
    again = _as_named_then(known, again, await digests_before(session))
    return [_compared(decision, again.get(decision.id), before.get(_key(decision))) for decision in decisions]


async def verify_proposed(
    session: AsyncSession, proposals: Sequence[Proposal], *, changes: bool
) -> list[list[Difference]]:
    """For each proposal what is otherwise when it is made again; one from before its facts were kept is held against its digest.

    A constant number of statements, as for decisions.
    """
    in_force = await policies_in_force(session)
    known, facts = await _known_then(session, [each for each in proposals if each.facts], in_force)
    again: dict[UUID, dict[str, Any]] = {}
    for adoption in {each.adoption for each in known}:
        mine = [place for place, each in enumerate(known) if each.adoption == adoption]
        followed = _Followed(facts, in_force.until(adoption), mine, changes=changes)
        again |= {known[place].id: _proposed_again(followed, place) for place in mine}
    again = _as_named_then(known, again, await digests_before(session))
    return [_proposal_compared(each, again.get(each.id)) for each in proposals]


async def _known_then(session: AsyncSession, kept: Sequence[Kept], in_force: InForce) -> tuple[Sequence[Kept], Facts]:
    """Those of a policy that is known here, and the facts that each of them saw, by their places."""
    known = [each for each in kept if in_force.named(each.policy) and each.adoption <= in_force.number]
    return known, await facts_known(session, [(each.student_id, _moment(each)) for each in known], in_force.every)


def _as_named_then(
    kept: Sequence[Kept], again: Mapping[UUID, dict[str, Any]], before: Mapping[str, str]
) -> dict[UUID, dict[str, Any]]:
    """The same, where a policy was completed since by the digest that it had then."""
    named = {each.id: each.facts.get("policy") for each in kept if each.policy in before}
    return {
        identity: said | {"facts": said["facts"] | {"policy": before[said["policy"]]}}
        if identity in named and named[identity] == before.get(said["policy"])
        else said
        for identity, said in again.items()
    }


def _moment(kept: Decision | Proposal) -> Moment:
    """What it saw; of a decision made before that was kept, what was known at its time."""
    seen = kept.facts.get("seen")
    if not seen:
        return Moment(kept.known_at)
    return Moment(datetime.fromisoformat(seen["at"]), seen["snapshot"], seen["transaction"])


def _key(decision: Decision) -> tuple[UUID, int]:
    return decision.student_id, decision.number


async def _before(session: AsyncSession, decisions: Sequence[Decision]) -> Mapping[tuple[UUID, int], Said]:
    """What the decision before each one said."""
    given = {"students": [each.student_id for each in decisions], "numbers": [each.number for each in decisions]}
    rows = (await session.execute(_BEFORE, given)).all()
    return {
        (student, number + 1): Said(tier and Tier(tier), tier and since, ruling)
        for student, number, tier, since, ruling in rows
    }


class _Followed:
    """Students followed again from what was known then, as policies were ``then``; only some ``places`` are looked at."""

    def __init__(self, facts: Facts, then: InForce, places: Collection[int], *, changes: bool) -> None:
        policies = then.policies()
        self.facts = facts.hearing(subscales_of(then.every))
        self.courses, self._grounds = follow(self.facts, policies), Grounds(self.facts)
        self.standing = standing_of(self.courses)
        self._changing = what_may_change(self.facts, self.courses, policies, [*places]) if changes else {}

    def course(self, place: int) -> Course:
        return course_of(self.facts, self.courses, place, self._changing.get(place))

    def said(self, place: int) -> dict[str, Any]:
        """What a decision and a proposal say alike."""
        course = self.course(place)
        return {
            "policy": course.policy.version,
            "clauses": [each.document() for each in course.found()] if len(course) else [],
            "facts": resting_on(self._grounds.of(place), course.policy),
        } | ({"school_id": course.school()} if len(course) else {})


def _decided_again(
    followed: _Followed, before: Mapping[int, Said | None], after: InForce | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """What would be decided about some students after what was said ``before``; ``after``: what counted before an adoption."""
    standing, courses = followed.standing, followed.courses
    earlier = None if after is None else standing_of(follow(followed.facts, after.policies()))
    for student, said in before.items():
        now, held, course = said_of(standing, student), held_of(standing, student), followed.course(student)
        last = said_before(courses, student, said.tier, said.since, said.ruling) if said else NOTHING
        adopted = earlier is not None and said_of(earlier, student) == last != now
        found: dict[str, Any] = followed.said(student) | {
            "tier": now.tier,
            "tier_before": last.tier,
            "cause": Cause.ADOPTED if adopted else cause_of(last, now),
            "ruling": now.ruling,
            "tier_beneath": held.beneath if held else None,
        }
        if len(course):
            found |= {"effective_on": now.since, "through": course.on(-1)}
        yield student, found


def _proposed_again(followed: _Followed, place: int) -> dict[str, Any]:
    """What would be put before a person about one student; nothing: no tier."""
    standing = followed.standing
    proposed = standing.decided[place] and standing.proposal[place] != NO_PROPOSAL
    return followed.said(place) | {
        "tier": TIERS[standing.proposal[place]] if proposed else None,
        "tier_before": TIERS[standing.tier[place]] if proposed else None,
        "since": day_of(standing.proposal_since[place]) if proposed else None,
    }


_PROPOSED = tuple(each.name for each in sa.inspect(Proposal).columns if each.name not in ("digest", "closed_at"))
_SAID = tuple(each.name for each in sa.inspect(Decision).columns if each.name != "digest")


def _compared(decision: Decision, again: Mapping[str, Any] | None, before: Said | None) -> list[Difference]:
    said = {name: getattr(decision, name) for name in _SAID}
    found = _compare_digest(decision.digest, digest_of_decision(said))
    if decision.number > 1 and before is None:
        found.append(Difference("number", decision.number, "the decision before it is missing"))
    return found + _compare(said, again)


def _proposal_compared(proposal: Proposal, again: Mapping[str, Any] | None) -> list[Difference]:
    said = {name: getattr(proposal, name) for name in _PROPOSED}
    found = _compare_digest(proposal.digest, digest_of_proposal(said))
    return found + _compare(said, again) if proposal.facts else found


def _compare_digest(stored: str, recomputed: str) -> list[Difference]:
    return [] if stored == recomputed else [Difference("digest", stored, recomputed)]


def _compare(said: Mapping[str, Any], again: Mapping[str, Any] | None) -> list[Difference]:
    if again is None:
        return [Difference("policy", said["policy"], "no such policy is known here")]
    return differences(said, again)
