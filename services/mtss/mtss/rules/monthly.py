"""What the decisions of a month came to, by group: to whom of whom something happened, and which ratios call for a person."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

import numpy as np

from mtss.rules.equity import Minimum, Ratio, risk, risk_ratio, told, untold_ratio
from mtss.rules.facts import Flags, Ints
from mtss.rules.policy.document import Policy
from mtss.rules.rehearsal.figures import quartiles
from mtss.rules.rehearsal.who import NOT_SAID, OTHER, SCHOOL, Groups
from mtss.rules.signals.survey_level import SIGNAL as SURVEY_LEVEL


@dataclass(frozen=True, slots=True)
class Measure:
    """Of whom it is a part, whom it harms, and which measure tells how many those are, if one does."""

    of: str
    harms: tuple[str, ...]
    """``more``: a group to whom it happens more often than to all others; ``less``: one to whom it happens less often."""
    told_by: str | None = None


MEASURES: Mapping[str, Measure] = {
    "entered": Measure("there", ("more", "less")),
    "left": Measure("supported", ("more", "less")),
    "served": Measure("supported", ("less",)),
    "overridden_up": Measure("there", ("more", "less")),
    "overridden_down": Measure("there", ("more", "less")),
    "waited": Measure("entered", ("more",), told_by="entered"),
    "help_late": Measure("help_due", ("more",)),
    "disconnected": Measure("answered", ("more",)),
}
_UNNAMED = frozenset({NOT_SAID, OTHER})

Report = Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]
"""By measure and kind of group one line for each group."""


@dataclass(frozen=True, slots=True)
class Month:
    """What happened in a month, a flag for each student."""

    there: Flags
    """Enrolled on a day of it."""
    supported: Flags
    """In a tier of more support than all get, when it began or later in it."""
    entered: Flags
    """Decided into a tier of more support."""
    left: Flags
    """Decided into a tier of less support."""
    served: Flags
    """In such a tier, and a support of the district's catalogue ran on a day of it."""
    overridden_up: Flags
    """A person decided on more support than the policy."""
    overridden_down: Flags
    """A person decided on less support than the policy."""
    waited: Flags
    """Decided into a tier of more support later after its ground than a proposal is to be answered."""
    help_due: Flags
    """A request for help was to be answered in it."""
    help_late: Flags
    """And was not answered by that day."""
    answered: Flags
    """Answered in it all questions of a subscale that a clause listens to."""
    disconnected: Flags
    """And so low that the clause would begin to stand."""
    between: Ints
    """School days between the ground and the decision of those who entered, the longest if several; -1 of others."""


def low_levels(policy: Policy) -> Mapping[str, Decimal]:
    """For each survey subscale that a clause listens to, the mean at which, or below, one begins to stand.

    What is otherwise for some grades or a school does not count: groups are compared by one number.
    """
    levels: dict[str, Decimal] = {}
    for clause in policy.clauses.values():
        if clause.signal == SURVEY_LEVEL.name:
            subscale = clause.texts["subscale"]
            levels[subscale] = max(clause["entry.at_most"], levels.get(subscale, clause["entry.at_most"]))
    return levels


def by_group(month: Month, groups: Mapping[str, Groups], least: Minimum) -> Report:
    """Each measure by each kind of group; where somebody could be told from a line it says nothing but the group's name."""
    return {measure: {kind: _lines(month, measure, of, least) for kind, of in groups.items()} for measure in MEASURES}


@dataclass(frozen=True, slots=True)
class Inequity:
    """A ratio that somebody should look into: of one measure, for one group of one kind, to whom it happens ``side`` often."""

    measure: str
    kind: str
    group: str
    side: str
    ratio: Ratio | None
    """``None``: it happened to so few, or to all but so few, that no number is told."""


def inequities(month: Month, groups: Mapping[str, Groups], threshold: float, least: Minimum) -> list[Inequity]:
    """The groups that a measure harms: their ratio is at least ``threshold``, or at most one by it, and its interval leaves out 1.

    Where a measure harms on either side and there are two groups, what is said of one is said of the other: the likelier is named.
    Schools differ in their students, and those of whom nothing is said are no group: neither is named.
    """
    return [
        each
        for measure in MEASURES
        for kind, of in groups.items()
        if kind != SCHOOL
        for each in _harmed(month, measure, kind, of, threshold, least)
    ]


def _harmed(
    month: Month, measure: str, kind: str, groups: Groups, threshold: float, least: Minimum
) -> Iterator[Inequity]:
    names, counted = _counted(month, groups)
    counts, of = counted[measure], counted[MEASURES[measure].of]
    shown, harms = _shown(counted, measure, least), MEASURES[measure].harms
    somebody = {name for name, number in zip(names, of, strict=True) if number}
    if len(somebody) == 2 and not somebody & _UNNAMED:
        harms = harms[:1]
    for place, name in enumerate(names):
        group = counts[place], of[place], sum(counts), sum(of), least
        found = untold_ratio(*group)
        if found is None or name in _UNNAMED:
            continue
        more, less = found.ratio >= threshold and found.low > 1, found.ratio * threshold <= 1 and found.high < 1
        side = "more" if more else "less" if less else None
        if side in harms:
            yield Inequity(measure, kind, name, side, risk_ratio(*group) if shown[place] else None)


def _counted(month: Month, groups: Groups) -> tuple[list[str], Mapping[str, list[int]]]:
    """The groups, at last those of whom nothing is said, and by flag how many of each have it."""
    names = [*groups.names, NOT_SAID]
    at = groups.of % len(names)  # -1 is the last
    return names, {each: np.bincount(at[getattr(month, each)], minlength=len(names)).tolist() for each in _FLAGS}


def _shown(counted: Mapping[str, list[int]], measure: str, least: Minimum) -> list[bool]:
    """For each group whether this measure is told."""
    its = MEASURES[measure]
    return told(counted[measure], counted[its.of], least, _shown(counted, its.told_by, least) if its.told_by else None)


def _lines(month: Month, measure: str, groups: Groups, least: Minimum) -> list[Mapping[str, Any]]:
    names, counted = _counted(month, groups)
    at = groups.of % len(names)

    def line(place: int) -> Mapping[str, Any]:
        found = risk(counted[measure], counted[MEASURES[measure].of], place, least)
        if measure == "entered":
            days = month.between[month.entered & (at == place)]
            found["school_days_until_decided"] = quartiles(days)["quartiles"]
        return found

    return [
        {"group": name, "told": line(place) if seen else None}
        for place, (name, seen) in enumerate(zip(names, _shown(counted, measure, least), strict=True))
        if counted["there"][place]
    ]


_FLAGS = tuple(each.name for each in fields(Month) if each.type is Flags)
