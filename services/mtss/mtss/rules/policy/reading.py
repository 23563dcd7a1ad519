"""A policy document becomes a policy: every number with its unit and source, nothing unknown, nothing missing."""

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from math import isfinite
from typing import Any

from common.events.sis import plain
from mtss.rules.digests import digest_of
from mtss.rules.policy.conditions import Condition
from mtss.rules.policy.document import Change, Clause, Codes, Number, Policy, PolicyInvalid, Support, Variant
from mtss.rules.signals import SIGNALS
from mtss.rules.signals.kinds import Range, Signal, broken, whole

LANGUAGE = 1
"""The version of the language in which documents are written."""
WHEN_UNKNOWN, HOW = ("hold", "ask"), ("assigned", "proposed")
PARTS = {"language", "version", "title", "clauses", "tiers"}
MAY = {"variants", "schools", "bounds", "exempt_grades", "confirm_above", "review", "places"}
CONFIRM = whole(0, 100)
PLACES: Mapping[str, Range] = dict.fromkeys(("targeted", "intensive"), whole(0, 100_000))
"""How many students of a school can be supported at once."""
REVIEW: Mapping[str, Range] = {
    "proposal_due": whole(1, 60),
    "declined_rests": whole(1, 200),
    "override_at_most": whole(1, 200),
    "override_ends_soon": whole(1, 60),
    "flapping_within": whole(1, 400),
    "help_answered": whole(1, 60),
    "school_silent": whole(1, 60),
    "equity_alert": broken("1.1", "10"),
}
"""Days within which people act, all of them instructional but ``flapping_within``; and the ratio that calls for a person."""
DWELL = {"minimum_dwell.days": whole(1, 400)}
VERSION = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"
"""A version stands in addresses."""
SHORT_TEXT, LONG_TEXT = 80, 400


def read_policy(text: str) -> Policy:
    """The policy that ``text`` says in JSON.

    Raises:
        PolicyInvalid: a part is missing, unknown, of the wrong kind, without a source or out of range.
    """
    try:
        document = json.loads(text)
    except ValueError:
        raise PolicyInvalid(field="the file", rule="is not JSON") from None
    return policy_of(document)


def policy_of(document: Any) -> Policy:
    """The policy that a parsed document says.

    Raises:
        PolicyInvalid: as :func:`read_policy`.
    """
    _members(document, "the file", PARTS, MAY)
    _require(document["language"] == LANGUAGE, "language", f"must be {LANGUAGE}")
    version, title = _text(document["version"], "version"), _text(document["title"], "title", most=LONG_TEXT)
    _require(bool(re.match(VERSION, version)), "version", "must be of letters, digits, dots, dashes and underscores")
    clauses = {name: _clause(name, said) for name, said in _object(document["clauses"], "clauses").items()}
    _require(bool(clauses), "clauses", "must hold at least one")
    _members(document["tiers"], "tiers", {"targeted", "intensive"})
    paths = {
        f"clauses.{clause.name}.{path}": allowed
        for clause in clauses.values()
        for path, allowed in _allowed(SIGNALS[clause.signal]).items()
        if path in clause.numbers
    }
    return Policy(
        version=version,
        title=title,
        clauses=clauses,
        targeted=_support(document["tiers"]["targeted"], "tiers.targeted", clauses),
        intensive=_support(document["tiers"]["intensive"], "tiers.intensive", clauses),
        variants=(*_variants(document.get("variants", []), paths), *_schools(document.get("schools", {}), paths)),
        bounds=dict(_bounds(document.get("bounds", {}), paths)),
        exempt_grades=frozenset(_texts(document.get("exempt_grades", []), "exempt_grades")),
        confirm_above=_confirm(document),
        review=dict(_review(document.get("review", {}))),
        places=dict(_places(document.get("places", {}))),
        document=document,
        digest=digest_of(document),
    )


def _clause(name: str, said: Any) -> Clause:
    at = f"clauses.{name}"
    _require(name.isidentifier(), "clauses", "must be named by letters, digits and underscores")
    parts = dict(_object(said, at))
    kind = parts.pop("signal", None)
    signal = SIGNALS.get(kind) if isinstance(kind, str) else None
    if signal is None:
        raise PolicyInvalid(field=f"{at}.signal", rule=f"must be one of {', '.join(sorted(SIGNALS))}")
    when_unknown = parts.pop("when_unknown", None)
    _require(when_unknown in WHEN_UNKNOWN, f"{at}.when_unknown", f"must be one of {', '.join(WHEN_UNKNOWN)}")
    texts = {each: _choice(parts.pop(each, None), f"{at}.{each}", of) for each, of in signal.texts.items()}
    lists = {each: _codes(parts.pop(each, None), f"{at}.{each}") for each in signal.lists}
    allowed = _allowed(signal)
    numbers = dict(_numbers(parts, at, "", allowed))
    for path in signal.numbers:
        _require(path in numbers, f"{at}.{path}", "is missing")
    for path, number in numbers.items():
        _check_range(f"{at}.{path}", number, allowed.get(path))
    return Clause(name, signal.name, texts, numbers, "hold" if when_unknown == "hold" else "ask", lists)


def _codes(said: Any, at: str) -> Codes:
    _members(said, at, {"codes", "source"})
    codes = _texts(said["codes"], f"{at}.codes")
    _require(bool(codes), f"{at}.codes", "must hold at least one")
    _require(len({plain(code) for code in codes}) == len(codes), f"{at}.codes", "names a code twice")
    return Codes(tuple(codes), _text(said["source"], f"{at}.source", most=LONG_TEXT))


def _allowed(signal: Signal) -> Mapping[str, Range]:
    return {**signal.numbers, **signal.may, **DWELL}


def _numbers(
    said: Mapping[str, Any], at: str, under: str, allowed: Mapping[str, Range]
) -> Iterator[tuple[str, Number]]:
    for key, value in said.items():
        path = f"{under}{key}"
        if isinstance(value, dict) and "value" not in value:
            yield from _numbers(value, at, f"{path}.", allowed)
        else:
            # A word that nobody knows is said so before anything is asked of its number.
            if not any(each == path or each.startswith(f"{path}.") for each in allowed):
                raise PolicyInvalid(field=f"{at}.{path}", rule="is not something that this signal takes")
            yield path, _number(value, f"{at}.{path}")


def _number(said: Any, at: str) -> Number:
    if not isinstance(said, dict) or set(said) != {"value", "unit", "source"}:
        raise PolicyInvalid(field=at, rule="needs a value, a unit and a source")
    value = said["value"]
    _require(type(value) in (int, float) and isfinite(value), f"{at}.value", "must be a number")
    return Number(
        Decimal(str(value)), _text(said["unit"], f"{at}.unit"), _text(said["source"], f"{at}.source", most=LONG_TEXT)
    )


_KINDS = (
    "a whole number",
    "a number with at most one decimal place",
    "a number with at most two decimal places",
)


def _check_range(at: str, number: Number, allowed: Range | None, of: str = "this signal") -> None:
    if allowed is None:
        raise PolicyInvalid(field=at, rule=f"is not something that {of} takes")
    fits = allowed.least <= number.value <= allowed.most
    exact = fits and number.value == round(number.value, allowed.places)
    kind = _KINDS[allowed.places]
    _require(exact, at, f"must be {kind} from {allowed.least} to {allowed.most}")


def _support(said: Any, at: str, clauses: Mapping[str, Clause]) -> Support:
    _members(said, at, {"when", "entry", "exit"}, {"tells_families"})
    for each in ("entry", "exit"):
        _require(said[each] in HOW, f"{at}.{each}", f"must be one of {', '.join(HOW)}")
    tells = said.get("tells_families", True)
    _require(type(tells) is bool, f"{at}.tells_families", "must be true or false")
    return Support(_condition(said["when"], f"{at}.when", clauses), said["entry"], said["exit"], tells)


def _condition(said: Any, at: str, clauses: Mapping[str, Clause]) -> Condition:
    if isinstance(said, str):
        _require(said in clauses, at, f"must name one of the clauses: {', '.join(clauses)}")
        return Condition("clause", clause=said)
    if isinstance(said, dict) and set(said) == {"at_least", "of"}:
        parts = _conditions(said["of"], f"{at}.of", clauses)
        number = _number(said["at_least"], f"{at}.at_least")
        _check_range(f"{at}.at_least", number, whole(1, len(parts)))
        return Condition("at_least", parts=parts, count=int(number.value))
    if isinstance(said, dict) and set(said) == {"all"}:
        return Condition("all", parts=_conditions(said["all"], f"{at}.all", clauses))
    if isinstance(said, dict) and set(said) == {"any"}:
        return Condition("any", parts=_conditions(said["any"], f"{at}.any", clauses))
    raise PolicyInvalid(field=at, rule="must name a clause, or hold all, any, or at_least with of")


def _conditions(said: Any, at: str, clauses: Mapping[str, Clause]) -> tuple[Condition, ...]:
    _require(isinstance(said, list) and bool(said), at, "must be a list with at least one entry")
    return tuple(_condition(each, f"{at}[{place}]", clauses) for place, each in enumerate(said))


def _variants(said: Any, paths: Mapping[str, Range]) -> Iterator[Variant]:
    _require(isinstance(said, list), "variants", "must be a list")
    for place, each in enumerate(said):
        at = f"variants[{place}]"
        _members(each, at, {"name", "grades", "changes"})
        grades = frozenset(_texts(each["grades"], f"{at}.grades"))
        yield Variant(_text(each["name"], f"{at}.name"), _changes(each["changes"], f"{at}.changes", paths), grades)


def _schools(said: Any, paths: Mapping[str, Range]) -> Iterator[Variant]:
    for school, changes in _object(said, "schools").items():
        yield Variant(f"school {school}", _changes(changes, f"schools.{school}", paths), school=school)


def _changes(said: Any, at: str, paths: Mapping[str, Range]) -> tuple[Change, ...]:
    return tuple(
        Change(path, _number_of(path, number, f"{at}.{path}", paths)) for path, number in _object(said, at).items()
    )


def _number_of(path: str, said: Any, at: str, paths: Mapping[str, Range]) -> Number:
    _require(path in paths, at, "is no number of this policy")
    number = _number(said, at)
    _check_range(at, number, paths[path])
    return number


def _bounds(said: Any, paths: Mapping[str, Range]) -> Iterator[tuple[str, tuple[Number, Number]]]:
    for path, bounds in _object(said, "bounds").items():
        _require(path in paths, f"bounds.{path}", "is no number of this policy")
        _members(bounds, f"bounds.{path}", {"from", "to"})
        least, most = (_number_of(path, bounds[end], f"bounds.{path}.{end}", paths) for end in ("from", "to"))
        yield path, (least, most)


def _confirm(document: Mapping[str, Any]) -> Number | None:
    if "confirm_above" not in document:
        return None
    number = _number(document["confirm_above"], "confirm_above")
    _check_range("confirm_above", number, CONFIRM)
    return number


def _review(said: Any) -> Iterator[tuple[str, Number]]:
    for name, each in _object(said, "review").items():
        number = _number(each, f"review.{name}")
        _check_range(f"review.{name}", number, REVIEW.get(name), of="a policy")
        yield name, number


def _places(said: Any) -> Iterator[tuple[str, Number]]:
    for school, tiers in _object(said, "places").items():
        for tier, each in _object(tiers, f"places.{school}").items():
            at = f"places.{school}.{tier}"
            _require(tier in PLACES, at, f"must be of {' or '.join(PLACES)}")
            number = _number(each, at)
            _check_range(at, number, PLACES[tier], of="a policy")
            yield f"{school}.{tier}", number


def _members(said: Any, at: str, parts: set[str], may: set[str] | None = None) -> None:
    given = _object(said, at)
    missing, unknown = sorted(parts - given.keys()), sorted(given.keys() - parts - (may or set()))
    _require(not missing, at, f"lacks {', '.join(missing)}")
    _require(not unknown, at, f"holds what is not understood, choose from {', '.join(sorted(parts | (may or set())))}")


def _object(said: Any, at: str) -> Mapping[str, Any]:
    if not isinstance(said, dict):
        raise PolicyInvalid(field=at, rule="must be an object")
    return said


def _text(said: Any, at: str, *, most: int = SHORT_TEXT) -> str:
    if not isinstance(said, str) or not 0 < len(said.strip()) <= most:
        raise PolicyInvalid(field=at, rule=f"must be a text of 1 to {most} characters")
    return said


def _texts(said: Any, at: str) -> list[str]:
    _require(isinstance(said, list), at, "must be a list")
    return [_text(each, at) for each in said]


def _choice(said: Any, at: str, of: frozenset[str]) -> str:
    if of and said not in of:
        raise PolicyInvalid(field=at, rule=f"must be one of {', '.join(sorted(of))}")
    return _text(said, at)


def _require(holds: bool, field: str, rule: str) -> None:
    if not holds:
        raise PolicyInvalid(field=field, rule=rule)
