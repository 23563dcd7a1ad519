"""What differs between two policies, in plain words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mtss.rules.policy.conditions import Condition
from mtss.rules.policy.document import Clause, Codes, Number, Policy, Support, Variant

_HOW = {"assigned": "happens at once", "proposed": "is put before a person"}
_UNKNOWN = {"hold": "nothing begins or ends", "ask": "a person is asked"}
_SAID: Mapping[str, str] = {
    "entry.at_least": "a student is now considered from {new} instead of {old}{unit}",
    "entry.at_most": "a student is now considered up to {new} instead of {old}{unit}",
    "exit.below": "it now ends below {new} instead of {old}{unit}",
    "exit.above": "it now ends above {new} instead of {old}{unit}",
    "exit.days_in_a_row": "it now ends after {new} instead of {old}{unit}",
    "minimum_dwell.days": "it now stands for at least {new} instead of {old}{unit}",
    "window_days": "it now looks at {new} instead of {old}{unit}",
}


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """For how many students, ever within the time rehearsed, either policy calls for support: before, and after."""

    school_years: Sequence[int]
    schools: Sequence[str]
    """None: all."""
    targeted: tuple[int, int]
    intensive: tuple[int, int]


def in_numbers(before: Policy, after: Policy, rehearsed: Rehearsed | None) -> str:
    """What the difference comes to in students, or how to learn that; ``rehearsed`` holds ``after`` against ``before``."""
    if rehearsed is None:
        asked = f"rehearse {after.version} against {before.version} (trellis rehearse, or POST /mtss/v1/rehearsals)"
        return f"How many students more or fewer that is nobody has rehearsed: {asked}."
    over = [("over the school year", rehearsed.school_years), ("at school", rehearsed.schools)]
    where = "".join(f" {one}{'s' * (len(of) > 1)} {_and(of)}" for one, of in over if of)
    called = ((rehearsed.targeted, "targeted"), (rehearsed.intensive, "intensive"))
    said = ", ".join(f"{_more(*counts)} for {tier} support" for counts, tier in called)
    return f"Rehearsed{where}: {said}."


def _and(of: Sequence[object]) -> str:
    *first, last = map(str, of)
    return f"{', '.join(first)} and {last}" if first else last


def _more(before: int, after: int) -> str:
    if before == after:
        return f"as many students ({after})"
    apart = abs(after - before)
    return f"{apart} {'more' if after > before else 'fewer'} student{'s' * (apart != 1)} ({after} instead of {before})"


def difference(before: Policy, after: Policy) -> tuple[str, ...]:
    """One sentence for each thing that ``after`` says otherwise than ``before``, apart from its version; none if nothing."""
    return tuple(f"{said[:1].upper()}{said[1:]}." for said in _all(before, after))


def _all(before: Policy, after: Policy) -> Iterator[str]:
    if before.title != after.title:
        yield "the title is another one"
    yield from _clauses(before.clauses, after.clauses)
    for name in ("targeted", "intensive"):
        yield from _support(name, getattr(before, name), getattr(after, name))
    yield from _variants(before.variants, after.variants)
    yield from _bounds(before.bounds, after.bounds)
    was, now = ({"": each} if each else {} for each in (before.confirm_above, after.confirm_above))
    yield from (f"what an adoption may change without a second confirmation{said}" for said in _numbers(was, now))
    yield from (f"review: {said}" for said in _numbers(before.review, after.review))
    yield from (f"places: {said}" for said in _numbers(before.places, after.places))
    yield from _members("exempt: nothing is asked of", before.exempt_grades, after.exempt_grades)


def _clauses(before: Mapping[str, Clause], after: Mapping[str, Clause]) -> Iterator[str]:
    for name in before:
        if name not in after:
            yield f"{name}: this clause is gone"
    for name, clause in after.items():
        if name not in before:
            yield f"{name}: this clause is new ({_of_clause(clause)})"
        else:
            yield from (f"{name}: {said}" for said in _clause(before[name], clause))
    if [*before] != [*after] and before.keys() == after.keys():
        yield "the clauses stand in another order"


def _of_clause(clause: Clause) -> str:
    entry = next(path for path in clause.numbers if path.startswith("entry."))
    bound = "from" if entry.endswith("least") else "up to"
    return f"{clause.signal}, {bound} {_shown(clause.numbers[entry])}{_unit(clause.numbers[entry])}"


def _clause(before: Clause, after: Clause) -> Iterator[str]:
    if before.signal != after.signal:
        yield f"it now listens to {after.signal} instead of {before.signal}"
    yield from _named("", before.texts, after.texts)
    for name, now in after.lists.items():
        was = before.lists.get(name, Codes((), now.source))
        yield from _members(f"it counts the {_words(name)}", frozenset(was.codes), frozenset(now.codes))
        if was.source != now.source:
            yield f"{_words(name)} have another source: {now.source}"
    yield from _numbers(before.numbers, after.numbers)
    if before.when_unknown != after.when_unknown:
        yield f"while nothing is known, now {_UNKNOWN[after.when_unknown]} instead of: {_UNKNOWN[before.when_unknown]}"


def _named(of: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield f"{of}{name} is now {after.get(name, 'left out')} instead of {before.get(name, 'left out')}"


def _numbers(before: Mapping[str, Number], after: Mapping[str, Number]) -> Iterator[str]:
    for path, was in before.items():
        if path in after:
            yield from _number(path, was, after[path])
        else:
            yield f"{_words(path)} is no longer set; it was {_shown(was)}{_unit(was)}"
    for path, now in after.items():
        if path not in before:
            yield f"{_words(path)} is now set, to {_shown(now)}{_unit(now)}"


def _number(path: str, was: Number, now: Number) -> Iterator[str]:
    if was.value != now.value:
        usual = f"{_words(path)} is now {{new}} instead of {{old}}{{unit}}"
        yield _SAID.get(path, usual).format(new=_shown(now), old=_shown(was), unit=_unit(now))
    if was.unit != now.unit:
        yield f"{_words(path)} is now counted in {now.unit} instead of {was.unit}"
    if was.source != now.source:
        yield f"{_words(path)} has another source: {now.source}"


def _words(path: str) -> str:
    return path.replace(".", " ").replace("_", " ")


def _shown(number: Number) -> str:
    return f"{number.value.normalize():f}" + (" %" if number.unit.startswith("percent") else "")


def _unit(number: Number) -> str:
    unit = number.unit.removeprefix("percent").strip()
    return f" {unit}" if unit else ""


def _support(name: str, before: Support, after: Support) -> Iterator[str]:
    if before.when != after.when:
        yield f"{name} support is now called for by {in_words(after.when)} instead of {in_words(before.when)}"
    for part, begins in (("entry", "beginning"), ("exit", "end")):
        was, now = getattr(before, part), getattr(after, part)
        if was != now:
            yield f"the {begins} of {name} support now {_HOW[now]}; before, it {_HOW[was]}"
    if before.tells_families != after.tells_families:
        yield f"families are {'now' if after.tells_families else 'no longer'} told of {name} support"


def in_words(condition: Condition) -> str:
    """A condition as people say it."""
    if condition.join == "clause":
        return condition.clause
    parts = [in_words(part) if part.join == "clause" else f"({in_words(part)})" for part in condition.parts]
    if condition.join == "at_least":
        return f"at least {condition.count} of {', '.join(parts)}"
    return {"all": " and ", "any": " or "}[condition.join].join(parts)


def _variants(before: tuple[Variant, ...], after: tuple[Variant, ...]) -> Iterator[str]:
    was, now = ({each.name: each for each in of} for of in (before, after))
    for name in (*was, *(name for name in now if name not in was)):
        if name not in now:
            yield f"{name}: nothing is otherwise there any longer"
            continue
        old = was.get(name, Variant(name, ()))
        if name not in was:
            yield f"{name}: something is otherwise there now"
        yield from (f"{name}: {said}" for said in _members("it counts for", old.grades, now[name].grades))
        numbers = ({change.path: change.number for change in each.changes} for each in (old, now[name]))
        yield from (f"{name}: {said}" for said in _numbers(*numbers))


def _bounds(before: Mapping[str, tuple[Number, Number]], after: Mapping[str, tuple[Number, Number]]) -> Iterator[str]:
    ends = ("the least that a school may choose for", "the most that a school may choose for")
    for place, end in enumerate(ends):
        was, now = ({path: bounds[place] for path, bounds in of.items()} for of in (before, after))
        yield from (f"{end} {said}" for said in _numbers(was, now))


def _members(what: str, before: frozenset[str], after: frozenset[str]) -> Iterator[str]:
    if added := sorted(after - before):
        yield f"{what} {', '.join(added)} too"
    if gone := sorted(before - after):
        yield f"{what} {', '.join(gone)} no longer"
