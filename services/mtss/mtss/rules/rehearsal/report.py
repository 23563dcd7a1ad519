"""A rehearsal: a policy, the one it is held against and public rules over a district's own past, and what came of each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any

import numpy as np

from mtss.rules.policy.document import Policy
from mtss.rules.rehearsal import figures
from mtss.rules.rehearsal.comparison import Comparison, Decides
from mtss.rules.rehearsal.district import District
from mtss.rules.rehearsal.figures import Figures
from mtss.rules.rehearsal.ground import tables_of
from mtss.rules.rehearsal.kernel import run
from mtss.rules.rehearsal.otherwise import Moved, Tier, alone, calls_alone, grounds, moved, without
from mtss.rules.rehearsal.outcome import CANDIDATE, TARGETED, Outcome
from mtss.rules.rehearsal.past import Past, past_of
from mtss.rules.rehearsal.then import AsKnownThen
from mtss.rules.rehearsal.who import Groups, who

Step = Callable[[], None]
"""Hears that a step is done; what it raises ends the rehearsal."""

EDITION = 3
"""Grows with each change of what a report holds, for reports are kept and drawn later."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is rehearsed."""

    policy: Policy
    against: Policy
    comparison: Comparison
    school_years: Sequence[int] = ()
    """All that are recorded if none is named; schools likewise."""
    schools: Sequence[str] = ()

    @property
    def policies(self) -> tuple[Policy, ...]:
        """All that are run as they are."""
        return (self.policy, self.against, *(rule.policy for rule in self.comparison.rules))

    @property
    def moved(self) -> list[Moved]:
        """The policy with one number a little lower or higher, each."""
        return list(moved(self.policy, self.comparison.step_percent, self.comparison.steps_each_way))

    @property
    def steps(self) -> int:
        """How many steps it takes."""
        return 1 + len(self.policies) + 2 * len(grounds(self.policy)) + len(self.moved)


def rehearse(
    district: District,
    asked: Asked,
    step: Step,
    then: AsKnownThen | None = None,
    groups: Mapping[str, Groups] | None = None,
) -> Figures:
    """All figures of a rehearsal, as JSON holds them: as known now, or with ``then`` as known then.

    ``groups``: which groups each student is of, by their kind; without them nothing is said of groups.

    Raises:
        PolicyInvalid: a policy cannot be rehearsed.
    """
    return _Rehearsal(district, asked, step, then).report(groups)


class _Rehearsal:
    def __init__(self, district: District, asked: Asked, step: Step, then: AsKnownThen | None) -> None:
        self._district, self._asked, self._step, self._then = district, asked, step, then

    def report(self, groups: Mapping[str, Groups] | None) -> Figures:
        asked, district = self._asked, self._district
        past = past_of(district, tables_of(district, asked.policy), asked.comparison, asked.school_years, asked.schools)
        self._step()
        policy, against = (self._run(each) for each in (asked.policy, asked.against))
        rules = [self._run(rule.policy) for rule in asked.comparison.rules]
        outcomes = {"policy": policy, "against": against}
        return {
            "edition": EDITION,
            **_about(past),
            "policies": self._policies(past, policy, against, rules),
            "enrolled": figures.enrolled(past, policy),
            "caseload": {role: figures.caseload(past, outcome) for role, outcome in outcomes.items()},
            "places": figures.against_places(past, policy, asked.policy.places),
            "who": None if groups is None else who(past, outcomes, groups, asked.comparison.least),
            **self._clauses(past, policy),
            "sensitivity": self._sensitivity(past, policy),
        }

    def _run(self, policy: Policy) -> Outcome:
        outcome = self._then.run(policy) if self._then else run(self._district, policy)
        self._step()
        return outcome

    def _policies(self, past: Past, policy: Outcome, against: Outcome, rules: Sequence[Outcome]) -> list[Figures]:
        asked, ends = self._asked, self._asked.comparison.year_ends
        lines: list[tuple[str, Policy, Outcome, Decides, str | None]] = [
            ("policy", asked.policy, policy, "every_day", None),
            ("against", asked.against, against, "every_day", None),
            *(
                ("public", rule.policy, outcome, rule.decides, rule.source)
                for rule, outcome in zip(asked.comparison.rules, rules, strict=True)
            ),
        ]
        return [
            {
                "role": role,
                "version": of.version,
                "title": of.title,
                "source": source,
                "decides": decides,
                **(_day_by_day(past, outcome) if decides != "last_day_of_year" else {}),
                "early": {
                    end.name: {"percent": end.percent, **figures.early(past, outcome, end, place, decides)}
                    for place, end in enumerate(ends)
                },
            }
            for role, of, outcome, decides, source in lines
        ]

    def _clauses(self, past: Past, policy: Outcome) -> Figures:
        """What each clause contributed to each tier that rests on it, alone and beside the others, and where nothing was known of it."""
        outcomes = {name: self._run(alone(self._asked.policy, name)) for name in grounds(self._asked.policy)}
        return {
            "alone": [
                line for name, outcome in outcomes.items() for line in self._contributed(past, name, outcome, policy)
            ],
            "unknown": [{"clause": name, **figures.unknown(past, outcome)} for name, outcome in outcomes.items()],
        }

    def _contributed(self, past: Past, name: str, by_itself: Outcome, whole: Outcome) -> Iterator[Figures]:
        """For each tier that rests on a clause. Where the tier joins it with others it may call for nobody by itself, and still be needed."""
        rest = self._run(without(self._asked.policy, name))
        for tier in grounds(self._asked.policy)[name]:
            state, enough = _LOOKED_AT[tier][0], calls_alone(getattr(self._asked.policy, tier).when, name)
            found, others = by_itself if enough else self._nobody, figures.ever(past, rest, state)
            yield {
                "clause": name,
                "tier": tier,
                "daily": figures.daily(past, found, state),
                "flow": figures.flow(past, found, state),
                "students_of_no_other": int(np.count_nonzero(figures.ever(past, whole, state) & ~others)),
                "students_of_others_too": int(np.count_nonzero(figures.ever(past, found, state) & others)),
            }

    @cached_property
    def _nobody(self) -> Outcome:
        """What comes of a policy that calls for nothing."""
        policy = self._asked.policy
        for name in grounds(policy):
            policy = without(policy, name)
        return run(self._district, policy)

    def _sensitivity(self, past: Past, policy: Outcome) -> list[Figures]:
        """Of each number its curve for each tier that rests on it: what came of each value, ascending, the policy's own among them."""
        usual = {tier: self._point(past, policy, tier) for tier in _LOOKED_AT}
        curves: dict[tuple[str, Tier], list[Figures]] = {}
        for each in self._asked.moved:
            outcome = self._run(each.policy)
            for tier in each.tiers:
                number = {"path": each.path, "tier": tier, "unit": each.unit, "usual": float(each.usual)}
                curve = curves.setdefault((each.path, tier), [number | {"value": number["usual"]} | usual[tier]])
                curve.append(number | {"value": float(each.value)} | self._point(past, outcome, tier))
        return [point for curve in curves.values() for point in sorted(curve, key=itemgetter("value"))]

    def _point(self, past: Past, outcome: Outcome, tier: Tier) -> Figures:
        state, place = _LOOKED_AT[tier]
        early = figures.early(past, outcome, self._asked.comparison.year_ends[place], place, state=state)
        return {
            "caseload": figures.daily(past, outcome, state)["mean"],
            "school_days_ahead": early["school_days_ahead"]["quartiles"][1],
            "in_time": early["in_time"]["share"],
            "precision": early["precision"]["share"],
        }


_LOOKED_AT: Mapping[Tier, tuple[int, int]] = {"targeted": (TARGETED, 0), "intensive": (CANDIDATE, -1)}
"""For each tier whom a number is judged by: the state, and which way in which a year may end, the first or the last."""


def _day_by_day(past: Past, outcome: Outcome) -> Figures:
    return {
        "daily": figures.daily(past, outcome),
        "flow": figures.flow(past, outcome),
        "candidates": figures.flow(past, outcome, CANDIDATE),
    }


def _about(past: Past) -> dict[str, Any]:
    rows = past.rows
    return {
        "school_years": list(past.school_years),
        "schools": list(past.schools),
        "students": len(np.unique(past.years.student)),
        "from": past.date(rows[0]) if len(rows) else None,
        "through": past.date(rows[-1]) if len(rows) else None,
        "school_days": len(rows),
        "weeks": [past.date(row) for row in past.weeks],
    }
