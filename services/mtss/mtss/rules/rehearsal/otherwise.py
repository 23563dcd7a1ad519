"""The same policy otherwise: one clause alone, without it, or with one number a little lower or higher."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal, TypeAlias

import numpy as np

from mtss.rules.policy.checking import wrong_with
from mtss.rules.policy.conditions import FALSE, TRUE, Condition
from mtss.rules.policy.document import Clause, Policy
from mtss.rules.signals import SIGNALS, Range
from mtss.rules.signals.kinds import whole

Tier: TypeAlias = Literal["targeted", "intensive"]
_TIERS: tuple[Tier, ...] = ("targeted", "intensive")

_SAYS_NOTHING = ("bands.", "scale.most")
"""What is shown beside a clause, or only bounds its numbers, and decides nothing."""
_OF_EVERY_SIGNAL = whole(1, 400)
"""Numbers that no signal names, such as a minimum dwell."""


def grounds(policy: Policy) -> dict[str, tuple[Tier, ...]]:
    """By each clause that support rests on, in their order, the tiers that do."""
    named = {tier: tuple(getattr(policy, tier).when.clauses()) for tier in _TIERS}
    names = dict.fromkeys((*named["targeted"], *named["intensive"]))
    return {name: tuple(tier for tier in _TIERS if name in named[tier]) for name in names}


def alone(policy: Policy, name: str) -> Policy:
    """Only one clause. Where nothing is known of it, it asks: so that a rehearsal shows where that is."""
    when = Condition("clause", clause=name)
    clause = replace(policy.clauses[name], when_unknown="ask")
    return replace(
        policy,
        clauses={name: clause},
        targeted=replace(policy.targeted, when=when),
        intensive=replace(policy.intensive, when=when),
    )


def without(policy: Policy, name: str) -> Policy:
    """The policy where one clause never stands."""
    tiers = {tier: getattr(policy, tier) for tier in _TIERS}
    return replace(policy, **{tier: replace(of, when=_without(of.when, name)) for tier, of in tiers.items()})


def _without(when: Condition, name: str) -> Condition:
    if when.join == "clause":
        return _NEVER if when.clause == name else when
    return replace(when, parts=tuple(_without(part, name) for part in when.parts))


_NEVER = Condition("at_least", count=1)
"""One of none."""


def calls_alone(when: Condition, name: str) -> bool:
    """Whether one clause is enough for what a condition leads to, where no other stands."""
    truth = {each: np.array([TRUE if each == name else FALSE], np.int8) for each in when.clauses()}
    return bool(when.truth(truth)[0] == TRUE)


@dataclass(frozen=True, slots=True)
class Moved:
    """A policy in which one number is another. Variants keep what they say of it."""

    tiers: tuple[Tier, ...]
    """The support that rests on it."""
    path: str
    unit: str
    value: Decimal
    usual: Decimal
    policy: Policy


def moved(policy: Policy, percent: int, each_way: int) -> Iterator[Moved]:
    """Each number on which support rests, some steps lower and higher, where that still makes sense.

    A step is ``percent`` of the number, on the signal's own grid.
    """
    for name, tiers in grounds(policy).items():
        clause = policy.clauses[name]
        for path, number in clause.numbers.items():
            for value in _around(number.value, _allowed(clause, path), percent, each_way):
                changed = _with(clause, path, value)
                if not any(wrong_with(changed)):
                    clauses = {**policy.clauses, name: changed}
                    full = f"clauses.{name}.{path}"
                    yield Moved(tiers, full, number.unit, value, number.value, replace(policy, clauses=clauses))
    for tier in _TIERS:
        support = getattr(policy, tier)
        for path, was, value, when in _recounted(support.when, f"tiers.{tier}.when", percent, each_way):
            yield Moved((tier,), path, "clauses", value, was, replace(policy, **{tier: replace(support, when=when)}))


def _recounted(
    when: Condition, at: str, percent: int, each_way: int
) -> Iterator[tuple[str, Decimal, Decimal, Condition]]:
    """The condition with another count in one ``at_least`` of it: the place of that, the count, the other one, and the whole."""
    if when.join == "at_least":
        usual = Decimal(when.count)
        for value in _around(usual, whole(1, len(when.parts)), percent, each_way):
            yield f"{at}.at_least", usual, value, replace(when, count=int(value))
    for place, part in enumerate(when.parts):
        for path, usual, value, other in _recounted(part, f"{at}.{when.list_name}[{place}]", percent, each_way):
            yield path, usual, value, replace(when, parts=(*when.parts[:place], other, *when.parts[place + 1 :]))


def _allowed(clause: Clause, path: str) -> Range | None:
    """Between what a number may lie; ``None`` for one that decides nothing."""
    if path.startswith(_SAYS_NOTHING):
        return None
    signal = SIGNALS[clause.signal]
    return {**signal.numbers, **signal.may}.get(path, _OF_EVERY_SIGNAL)


def _around(usual: Decimal, allowed: Range | None, percent: int, each_way: int) -> list[Decimal]:
    if allowed is None:
        return []
    grain = Decimal(1).scaleb(-allowed.places)
    step = max((usual * percent / 100).quantize(grain), grain)
    values = [usual + step * times for times in range(-each_way, each_way + 1) if times]
    return [value for value in values if allowed.least <= value <= allowed.most]


def _with(clause: Clause, path: str, value: Decimal) -> Clause:
    return replace(clause, numbers={**clause.numbers, path: replace(clause.numbers[path], value=value)})
