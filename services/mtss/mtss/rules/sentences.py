"""What is said of clauses and tiers, to whom and in which language. What is said of each signal stands in its file, all else in ``templates/words.toml``."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from string import Formatter
from typing import Any, Literal, TypeAlias

from common.events.mtss import Tier
from mtss.rules.ledger import Held
from mtss.rules.policy import Clause, Policy
from mtss.rules.signals import SIGNALS

Language: TypeAlias = Literal["en", "es"]
Audience: TypeAlias = Literal["staff", "parent", "student"]
Change: TypeAlias = Mapping[str, Any]
"""What would change a clause, as :class:`mtss.rules.Change` has it in a document."""

WORDS: Mapping[str, Any] = tomllib.loads(files("mtss").joinpath("templates/words.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Seen:
    """One clause with its evidence, the numbers that count, and what would change it."""

    clause: Clause
    holds: bool | None
    evidence: Mapping[str, Any]
    change: Change | None
    gives: bool
    """Whether extra support follows from it; if not, a person is asked, who decides."""


@dataclass(frozen=True, slots=True)
class Words:
    """What one decision comes to, in the order in which it is to be read."""

    opening: str
    strengths: tuple[str, ...]
    grounds: tuple[str, ...]
    unknown: tuple[str, ...]
    changes: tuple[str, ...]
    closing: str


class _Filling(Formatter):
    """Numbers as people write them, things that are counted, and dates in words."""

    def __init__(self, language: Language, signal: str | None = None) -> None:
        self._words = WORDS[language]
        of_signal = {} if signal is None else SIGNALS[signal].words[language].get("nouns", {})
        self._nouns = self._words["nouns"] | of_signal

    def parse(self, format_string: Any) -> Any:
        """As told, but read only once: there are few templates, and many decisions."""
        return _parsed(format_string)

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec == "date":
            day = date.fromisoformat(str(value))
            written: str = self._words["date"]
            return written.format(day=day.day, month=self._words["months"][day.month - 1], year=day.year)
        if isinstance(value, str):
            return value
        if not format_spec:
            return f"{float(value):g}"
        one, many = self._nouns[format_spec]
        return f"{float(value):g} {one if value == 1 else many}"


@cache
def _parsed(template: str) -> tuple[Any, ...]:
    return tuple(Formatter().parse(template))


_filling = cache(_Filling)


def in_words(seen: Seen, audience: Audience = "staff", language: Language = "en") -> str:
    """What is seen."""
    return _said(seen, SIGNALS[seen.clause.signal].shows(seen.holds, seen.evidence), audience, language)


def what_would_change_it(seen: Seen, audience: Audience = "staff", language: Language = "en") -> str:
    """What would begin or end it: the rule, and the least that is enough where that was asked."""
    return _said(seen, _changing(seen), audience, language)


def words_of(
    tier: Tier | None,
    seen: Sequence[Seen],
    audience: Audience,
    language: Language,
    held: Held | None = None,
    *,
    asks: bool = False,
) -> Words:
    """A decision in words: what goes well comes first.

    ``held``: the override that it says. ``asks``: what would change it is put before a person. What the facts would do without an
    override only staff hear: to a family support that ends, or is still to come, would be another than the one that is given.
    """
    own = WORDS[language][audience]
    of: dict[bool | None, list[str]] = {True: [], False: [], None: []}
    for each in seen:
        of[each.holds].append(in_words(each, audience, language))
    by_facts = held.beneath if held else tier
    alone = held is not None and audience != "staff"
    changing = [each for each in seen if (by_facts is Tier.UNIVERSAL or each.holds) and not alone]
    changes = [what_would_change_it(each, audience, language) for each in changing]
    return Words(
        opening=own["none"] if tier is None else own["opening"][tier],
        strengths=_once([*of[False], own.get("strength", "")]),
        grounds=() if alone and tier is Tier.UNIVERSAL else _once(of[True]),
        unknown=_once(of[None]),
        changes=_once([_held(held, audience, language), *changes, own.get("asks", "") if asks else ""]),
        closing=own["closing"],
    )


def gives_support(policy: Policy, clause: str) -> bool:
    """Whether extra support follows from a clause without a person who decides: it is one of targeted support, which is assigned."""
    return policy.targeted.entry == "assigned" and clause in policy.targeted.when.clauses()


def seen_again(policy: Policy, clauses: Sequence[Mapping[str, Any]], tier: Tier | None) -> list[Seen]:
    """The clauses of a decision for a tier that say what the tier rests on, as the decision keeps them.

    Those that do not stand are of targeted support alone: of two over one signal, a heavier one that does not stand is no strength.
    """
    grounds, lighter = (set(support.when.clauses()) for support in (policy.support_of(tier), policy.targeted))
    return [
        Seen(
            _as_it_counted(policy.clauses[each["clause"]], each),
            each["holds"],
            each["evidence"],
            each.get("change"),
            gives_support(policy, each["clause"]),
        )
        for each in clauses
        if each["clause"] in (grounds if each["holds"] else lighter)
    ]


def _as_it_counted(clause: Clause, kept: Mapping[str, Any]) -> Clause:
    counted = {**{path: float(each.value) for path, each in clause.numbers.items()}, **kept.get("numbers", {})}
    numbers = {path: replace(each, value=Decimal(str(counted[path]))) for path, each in clause.numbers.items()}
    return replace(clause, numbers=numbers)


def of_tier(tier: Tier | None, changes: Sequence[str], held: Held | None, *, asks: bool) -> str:
    """What would change a tier, given what would change each clause that it rests on; for staff. ``asks``: by a proposal."""
    words = WORDS["en"]["staff"]
    said = (_held(held, "staff", "en"), _of_tier(tier, changes), words["asks"] if asks else "")
    return " ".join(each for each in said if each)


def _of_tier(tier: Tier | None, changes: Sequence[str]) -> str:
    words = WORDS["en"]["staff"]
    if tier is None:
        return str(words["none"])
    if tier is Tier.UNIVERSAL:
        return " ".join(changes)
    ends = "intensive" if tier is Tier.INTENSIVE else "ground" if len(changes) == 1 else "grounds"
    return " ".join((words[ends], *_once(changes)))


def _held(held: Held | None, audience: Audience, language: Language) -> str:
    if held is None:
        return ""
    return _filling(language).vformat(WORDS[language][audience]["held"], (), {"until": held.until})


def _once(sentences: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each for each in sentences if each))


def _changing(seen: Seen) -> Iterator[str]:
    verb = "ends" if seen.holds else "begins"
    has_exit = f"exit.{SIGNALS[seen.clause.signal].exit}" in seen.clause.numbers
    yield "lapses_rule" if seen.holds and not has_exit else f"{verb}_rule"
    if seen.change is not None:
        yield verb if seen.change["clause"] else f"{verb}_not"


def _said(seen: Seen, keys: Iterator[str], audience: Audience, language: Language) -> str:
    templates = SIGNALS[seen.clause.signal].words[language][audience]
    found = (templates.get(key, "") for key in keys)
    texts = seen.clause.texts.values()
    chosen = (each if isinstance(each, str) else next(each[text] for text in texts if text in each) for each in found)
    filling, values = _filling(language, seen.clause.signal), _values(seen, language)
    return " ".join(filling.vformat(each, (), values) for each in chosen if each)


def _values(seen: Seen, language: Language) -> Mapping[str, Any]:
    clause, change = seen.clause, seen.change or {}
    texts = WORDS[language]["texts"] | SIGNALS[clause.signal].words[language].get("texts", {})
    least = change.get("clause") or {}
    return {
        "exit_days_in_a_row": 1,
        **{path.replace(".", "_"): number.value for path, number in clause.numbers.items()},
        **{name: texts[name].get(text, texts[name].get("other")) for name, text in clause.texts.items()},
        **SIGNALS[clause.signal].values(seen.evidence),
        "least": least.get("amount"),
        "on": least.get("on"),
        "left": change.get("school_days_left"),
        "leads": texts["leads"]["support" if seen.gives else "question"],
    }
