"""What the decisions of a month came to, by group: to whom of whom something happened, and which ratios call for a person."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from mtss.rules.equity import Minimum, risk, told
from mtss.rules.facts import Flags, Ints
from mtss.rules.rehearsal.figures import quartiles
from mtss.rules.rehearsal.who import NOT_SAID, OTHER, SCHOOL, Groups

MEASURES: Mapping[str, tuple[str, str | None]] = {
    "entered": ("there", None),
    "left": ("supported", None),
    "served": ("supported", None),
    "overridden": ("there", None),
    "waited": ("entered", "entered"),
    "help_late": ("help_due", None),
}
"""Each with of whom it is a part, and with the measure that tells how many those are, if one does."""

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
    overridden: Flags
    """A person decided otherwise than the policy."""
    waited: Flags
    """Decided into a tier of more support later after its ground than a proposal is to be answered."""
    help_due: Flags
    """A request for help was to be answered in it."""
    help_late: Flags
    """And was not answered by that day."""
    between: Ints
    """School days between the ground and the decision of those who entered, the longest if several; -1 of others."""


def by_group(month: Month, groups: Mapping[str, Groups], least: Minimum) -> Report:
    """Each measure by each kind of group; where somebody could be told from a line it says nothing but the group's name."""
    return {measure: {kind: _lines(month, measure, of, least) for kind, of in groups.items()} for measure in MEASURES}


@dataclass(frozen=True, slots=True)
class Inequity:
    """A ratio that somebody should look into: of one measure, for one group of one kind."""

    measure: str
    kind: str
    group: str
    ratio: float
    low: float
    high: float


def inequities(report: Report, threshold: float) -> list[Inequity]:
    """Ratios of at least ``threshold``, and of at most one by it, whose interval leaves out 1.

    Who is less likely is named only where nobody of the same kind is so much more likely: it would be the same said twice.
    Schools differ in their students, and those of whom nothing is said are no group: neither is named.
    """
    found: list[Inequity] = []
    for measure, kinds in report.items():
        for kind, lines in kinds.items():
            every = list(_ratios(measure, kind, lines))
            more = [each for each in every if each.ratio >= threshold and each.low > 1]
            found += more or [each for each in every if each.ratio * threshold <= 1 and each.high < 1]
    return found


def _ratios(measure: str, kind: str, lines: Sequence[Mapping[str, Any]]) -> Iterator[Inequity]:
    for line in lines if kind != SCHOOL else ():
        if line["told"] and line["told"]["against_all_others"] and line["group"] not in (NOT_SAID, OTHER):
            yield Inequity(measure, kind, line["group"], **line["told"]["against_all_others"])


def _lines(month: Month, measure: str, groups: Groups, least: Minimum) -> list[Mapping[str, Any]]:
    names = [*groups.names, NOT_SAID]
    at = groups.of % len(names)  # -1 is the last
    counted = {each: np.bincount(at[getattr(month, each)], minlength=len(names)).tolist() for each in _FLAGS}

    def shown(measure: str) -> list[bool]:
        whole, told_by = MEASURES[measure]
        return told(counted[measure], counted[whole], least, shown(told_by) if told_by else None)

    def line(place: int) -> Mapping[str, Any]:
        found = risk(counted[measure], counted[MEASURES[measure][0]], place, least)
        if measure == "entered":
            days = month.between[month.entered & (at == place)]
            found["school_days_until_decided"] = quartiles(days)["quartiles"]
        return found

    return [
        {"group": name, "told": line(place) if seen else None}
        for place, (name, seen) in enumerate(zip(names, shown(measure), strict=True))
        if counted["there"][place]
    ]


_FLAGS = tuple(each.name for each in fields(Month) if each.type is Flags)
