"""The same policy otherwise: one clause alone, or one number a little lower or higher."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from mtss.rules.policy.conditions import Condition
from mtss.rules.policy.document import Clause, Policy
from mtss.rules.signals import SIGNALS
from mtss.rules.signals.kinds import whole

_SAYS_NOTHING = ("bands.", "scale.most")
"""What is shown beside a clause, or only bounds its numbers, and decides nothing."""
_OF_EVERY_SIGNAL = whole(1, 400)
"""Numbers that no signal names, such as a minimum dwell."""


def grounds(policy: Policy) -> list[str]:
    """The clauses that targeted support rests on, each once, in their order."""
    return list(dict.fromkeys(policy.targeted.when.clauses()))


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


@dataclass(frozen=True, slots=True)
class Moved:
    """A policy in which one number is another. Variants keep what they say of it."""

    path: str
    unit: str
    value: Decimal
    usual: Decimal
    policy: Policy


def moved(policy: Policy, percent: int, each_way: int) -> Iterator[Moved]:
    """Each number on which targeted support rests, some steps lower and higher, where that still makes sense.

    A step is ``percent`` of the number, on the signal's own grid.
    """
    for name in grounds(policy):
        clause = policy.clauses[name]
        for path, number in clause.numbers.items():
            for value in _values(clause, path, percent, each_way):
                changed = _with(clause, path, value)
                if _makes_sense(changed):
                    clauses = {**policy.clauses, name: changed}
                    full = f"clauses.{name}.{path}"
                    yield Moved(full, number.unit, value, number.value, replace(policy, clauses=clauses))


def _values(clause: Clause, path: str, percent: int, each_way: int) -> list[Decimal]:
    if path.startswith(_SAYS_NOTHING):
        return []
    signal, usual = SIGNALS[clause.signal], clause[path]
    allowed = {**signal.numbers, **signal.may}.get(path, _OF_EVERY_SIGNAL)
    grain = Decimal(1).scaleb(-allowed.places)
    step = max((usual * percent / 100).quantize(grain), grain)
    values = [usual + step * times for times in range(-each_way, each_way + 1) if times]
    return [value for value in values if allowed.least <= value <= allowed.most]


def _with(clause: Clause, path: str, value: Decimal) -> Clause:
    return replace(clause, numbers={**clause.numbers, path: replace(clause.numbers[path], value=value)})


def _makes_sense(clause: Clause) -> bool:
    """Whether the exit still lies on the other side of the entry."""
    below, above = clause.numbers.get("exit.below"), clause.numbers.get("exit.above")
    if below:
        return below.value < clause["entry.at_least"]
    return above is None or above.value >= clause["entry.at_most"]
