"""The checker: every reason to refuse a policy that could be read, before anything runs by it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mtss.rules.policy.conditions import Condition
from mtss.rules.policy.document import Clause, Number, Policy, PolicyInvalid, Variant, may_differ, together
from mtss.rules.policy.protected import trait_in
from mtss.rules.policy.reading import REVIEW, policy_of
from mtss.rules.signals import SIGNALS
from mtss.rules.signals.kinds import Signal


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason to refuse a policy: the place in the document, and what is wrong there. It repeats no value."""

    field: str
    rule: str


def check(document: Any) -> tuple[Finding, ...]:
    """Every reason to refuse a parsed document; only the first, if it cannot even be read."""
    try:
        return findings(policy_of(document))
    except PolicyInvalid as invalid:
        return (Finding(str(invalid.facts["field"]), str(invalid.facts["rule"])),)


def findings(policy: Policy) -> tuple[Finding, ...]:
    """Every reason to refuse ``policy``; empty if it may be used."""
    found = (each for checked in _CHECKS for each in checked(policy))
    return tuple(dict.fromkeys(found))


# What is wrong with a clause


def _clauses(policy: Policy) -> Iterator[Finding]:
    """What is wrong for most students, and what only becomes wrong for some grades or one school."""
    known: set[tuple[str, str, str]] = set()
    for at, variant in _situations(policy):
        for clause in policy.clauses.values():
            for path, rule in wrong_with(variant.of(clause)):
                if (clause.name, path, rule) not in known:
                    known.add((clause.name, path, rule))
                    yield Finding(f"{at}clauses.{clause.name}.{path}", rule)


def _situations(policy: Policy) -> Iterator[tuple[str, Variant]]:
    yield "", Variant("", ())
    placed = [*_grades(policy), *_schools(policy)]
    yield from ((f"{at}.", variant) for at, variant in placed)
    for at, of_grade in _grades(policy):
        for school, of_school in _schools(policy):
            yield f"{at} with {school}.", together(of_grade, of_school)


def wrong_with(clause: Clause) -> Iterator[tuple[str, str]]:
    """Every reason to refuse a clause with the numbers that it has: the path of the number, and what is wrong with it."""
    signal = SIGNALS[clause.signal]
    yield from _exit(clause, signal)
    yield from _bands(clause, signal)
    if clause.when_unknown == "ask" and signal.always_known:
        yield "when_unknown", "asks nobody: of this signal something is known on every closed day"
    yield from signal.wrong(clause)


def _exit(clause: Clause, signal: Signal) -> Iterator[tuple[str, str]]:
    path, entry = f"exit.{signal.exit}", clause[f"entry.{signal.entry}"]
    if path in clause.numbers:
        if signal.entry == "at_least" and clause[path] >= entry:
            yield path, "must be below the entry: otherwise the tier comes and goes with single days"
        if signal.entry == "at_most" and clause[path] <= entry:
            yield path, "must be above the entry; without an exit the clause ends when its entry no longer holds"
    elif any(each.startswith("exit.") for each in clause.numbers):
        yield "exit", f"means nothing without {path}"


def _bands(clause: Clause, signal: Signal) -> Iterator[tuple[str, str]]:
    bands = [path for path in signal.may if path.startswith("bands.") and path in clause.numbers]
    for lower, higher in pairwise(bands):
        if clause[higher] <= clause[lower]:
            yield higher, f"overlaps with {lower}, which must end where it begins"


# What is wrong with the conditions of the tiers


def _conditions(policy: Policy) -> Iterator[Finding]:
    for name, support in _tiers(policy).items():
        yield from _condition(support.when, f"tiers.{name}.when")
    if policy.intensive.entry != "proposed":
        yield Finding("tiers.intensive.entry", "must be proposed: intensive support is for a person to decide")


def _condition(condition: Condition, at: str) -> Iterator[Finding]:
    named = Counter(part.clause for part in condition.parts if part.join == "clause")
    if any(count > 1 for count in named.values()):
        yield Finding(f"{at}.{condition.list_name}", "names one clause twice")
    for place, part in enumerate(condition.parts):
        yield from _condition(part, f"{at}.{condition.list_name}[{place}]")


def _unused(policy: Policy) -> Iterator[Finding]:
    used = {clause for support in _tiers(policy).values() for clause in support.when.clauses()}
    for name in policy.clauses:
        if name not in used:
            yield Finding(f"clauses.{name}", "is used by no tier")


def _tiers(policy: Policy) -> Mapping[str, Any]:
    return {"targeted": policy.targeted, "intensive": policy.intensive}


# What is wrong with what is otherwise for some


def _variants(policy: Policy) -> Iterator[Finding]:
    taken: set[str] = set()
    for at, variant in _grades(policy):
        if not variant.grades:
            yield Finding(f"{at}.grades", "must name at least one grade")
        if variant.grades & taken:
            yield Finding(f"{at}.grades", "names a grade that an earlier variant names")
        if variant.grades & policy.exempt_grades:
            yield Finding(f"{at}.grades", "names a grade that is exempt")
        taken |= variant.grades


def _changes(policy: Policy) -> Iterator[Finding]:
    for at, variant in (*_grades(policy), *_schools(policy)):
        under = at if variant.school is not None else f"{at}.changes"
        if not variant.changes:
            yield Finding(under, "must change at least one number")
        for each in variant.changes:
            if not may_differ(each.path.split(".", 2)[2]):
                yield Finding(
                    f"{under}.{each.path}", "says how the signal is measured, which is the same for everybody"
                )
            bounds = policy.bounds.get(each.path)
            if bounds is None and variant.school is not None:
                yield Finding(
                    f"{under}.{each.path}", "is not for schools to change: the district sets no bounds for it"
                )
            if bounds is not None and not _within(each.number, bounds):
                yield Finding(f"{under}.{each.path}", "must be within the district's bounds")


def _bounds(policy: Policy) -> Iterator[Finding]:
    for path, bounds in policy.bounds.items():
        _, name, number = path.split(".", 2)
        if bounds[0].value > bounds[1].value:
            yield Finding(f"bounds.{path}", "must not end before it begins")
        elif not _within(policy.clauses[name].numbers[number], bounds):
            yield Finding(f"bounds.{path}", "must hold the district's own number")


def _within(number: Number, bounds: tuple[Number, Number]) -> bool:
    return bounds[0].value <= number.value <= bounds[1].value


def _grades(policy: Policy) -> list[tuple[str, Variant]]:
    of_grades = [each for each in policy.variants if each.school is None]
    return [(f"variants[{place}]", each) for place, each in enumerate(of_grades)]


def _schools(policy: Policy) -> list[tuple[str, Variant]]:
    return [(f"schools.{each.school}", each) for each in policy.variants if each.school is not None]


def _review(policy: Policy) -> Iterator[Finding]:
    for name in REVIEW:
        if name not in policy.review:
            yield Finding(f"review.{name}", "is missing: nothing else says by when people act")
    soon, most = (policy.review.get(name) for name in ("override_ends_soon", "override_at_most"))
    if soon and most and soon.value >= most.value:
        yield Finding(
            "review.override_ends_soon", "must be below review.override_at_most: every override would end soon"
        )


# What may be no input


def _protected(policy: Policy) -> Iterator[Finding]:
    for at, text in _inputs(policy):
        if trait := trait_in(text):
            yield Finding(at, f"speaks of {trait}: no protected trait, and nothing that stands for one, may decide")


def _inputs(policy: Policy) -> Iterator[tuple[str, str]]:
    for place, clause in enumerate(policy.clauses.values()):
        yield f"clauses[{place}]", clause.name
        free = (key for key, of in SIGNALS[clause.signal].texts.items() if not of)
        yield from ((f"clauses[{place}].{key}", clause.texts[key]) for key in free)
        yield from ((f"clauses[{place}].{key}", code) for key, said in clause.lists.items() for code in said.codes)
    for at, variant in _grades(policy):
        yield f"{at}.name", variant.name
        yield from ((f"{at}.grades", grade) for grade in variant.grades)
    yield from (("exempt_grades", grade) for grade in policy.exempt_grades)


_CHECKS = (_clauses, _conditions, _unused, _variants, _changes, _bounds, _review, _protected)
