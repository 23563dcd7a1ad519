"""Decisions recomputed from the facts as they were known when each was made."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from common.events import Cause, Tier
from mtss.models.knowing import Moment, facts_known
from mtss.models.people import Proposal
from mtss.models.policy import policies_in_force
from mtss.models.reading import subscales_of
from mtss.models.tables import Decision
from mtss.rules import (
    NOTHING,
    Difference,
    Facts,
    Grounds,
    InForce,
    Said,
    cause_of,
    course_of,
    differences,
    digest_of,
    digest_of_decision,
    follow,
    held_of,
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


async def verify(session: AsyncSession, decisions: Sequence[Decision], *, changes: bool) -> list[list[Difference]]:
    """For each decision what is otherwise when it is made again; nothing where it is the same.

    A constant number of statements. A decision of a policy that is not known here says so. ``changes``: what would have changed
    it is recomputed too, which takes twice as long as all else.
    """
    before, in_force = await _before(session, decisions), await policies_in_force(session)
    known = [each for each in decisions if in_force.named(each.policy) and each.adoption <= in_force.number]
    facts = await facts_known(session, [(each.student_id, _moment(each)) for each in known], in_force.every)
    again: dict[UUID, dict[str, Any]] = {}
    for numbers in {(each.adoption, each.adopted_after) for each in known}:
        mine = {
            place: before.get(_key(each))
            for place, each in enumerate(known)
            if (each.adoption, each.adopted_after) == numbers
        }
        found = _again(facts, mine, in_force, *numbers, changes=changes)
        again |= {known[place].id: said for place, said in zip(mine, found, strict=True)}
    return [_compared(decision, again.get(decision.id), before.get(_key(decision))) for decision in decisions]


def verify_proposal(proposal: Proposal) -> list[Difference]:
    """What of a proposal is not as it was put before people; nothing where it is the same, or older than its digest."""
    said = {name: getattr(proposal, name) for name in _PROPOSED}
    return _compare_digest(proposal.digest, digest_of(said)) if proposal.digest else []


def _moment(decision: Decision) -> Moment:
    """What the decision saw; of one made before that was kept, what was known at its time."""
    seen = decision.facts.get("seen")
    if not seen:
        return Moment(decision.known_at)
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


def _again(
    facts: Facts,
    before: Mapping[int, Said | None],
    in_force: InForce,
    adoption: int,
    adopted_after: int | None,
    *,
    changes: bool,
) -> Iterator[dict[str, Any]]:
    """What would be decided from ``facts`` about some students after what was said ``before``, as policies were then."""
    then = in_force.until(adoption)
    policies, facts = then.policies(), facts.hearing(subscales_of(then.every))
    courses, grounds = follow(facts, policies), Grounds(facts)
    standing, changing = standing_of(courses), what_may_change(facts, courses, policies, [*before]) if changes else {}
    earlier = None if adopted_after is None else standing_of(follow(facts, in_force.until(adopted_after).policies()))
    for student, said in before.items():
        now, held = said_of(standing, student), held_of(standing, student)
        course = course_of(facts, courses, student, changing.get(student))
        last = said_before(courses, student, said.tier, said.since, said.ruling) if said else NOTHING
        adopted = earlier is not None and said_of(earlier, student) == last != now
        found: dict[str, Any] = {
            "tier": now.tier,
            "tier_before": last.tier,
            "cause": Cause.ADOPTED if adopted else cause_of(last, now),
            "policy": course.policy.version,
            "clauses": [each.document() for each in course.found()] if len(course) else [],
            "facts": grounds.of(student) | {"policy": course.policy.digest},
            "ruling": now.ruling,
            "tier_beneath": held.beneath if held else None,
        }
        if len(course):
            found |= {"effective_on": now.since, "through": course.on(-1), "school_id": course.school()}
        yield found


_PROPOSED = ("id", "student_id", "school_id", "since", "clauses", "policy", "tier", "tier_before", "known_at")
_SAID = tuple(each.name for each in sa.inspect(Decision).columns if each.name != "digest")


def _compared(decision: Decision, again: Mapping[str, Any] | None, before: Said | None) -> list[Difference]:
    said = {name: getattr(decision, name) for name in _SAID}
    proved = decision.digest or decision.facts  # neither was kept at first
    found = _compare_digest(decision.digest, digest_of_decision(said)) if proved else []
    if decision.number > 1 and before is None:
        found.append(Difference("number", decision.number, "the decision before it is missing"))
    if again is None:
        return [*found, Difference("policy", decision.policy, "no such policy is known here")]
    return [*found, *differences(said, again)]


def _compare_digest(stored: str, recomputed: str) -> list[Difference]:
    return [] if stored == recomputed else [Difference("digest", stored, recomputed)]
