"""Ratios of whole groups, told only where no student can be told from them.

A group is told if it is large enough, and enough of it are on either side. What is left untold could still be had by taking the
told from the total; so as many more groups stay untold, the smallest first, until the untold together could be told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import exp, log, sqrt
from typing import Any

from mtss.rules.intervals import Z, share


@dataclass(frozen=True, slots=True)
class Minimum:
    """The least that is told: of a group so many students, and on either side so many."""

    cell: int
    students: int

    def allows(self, count: int, of: int) -> bool:
        """Whether it may be told that it happened to ``count`` of ``of`` students."""
        return of >= self.students and min(count, of - count) >= self.cell


def read_minimum(said: Mapping[str, Any]) -> Minimum:
    """The minimum that ``[groups]`` of the policy file says."""
    return Minimum(said["cell"]["value"], said["students"]["value"])


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as likely it is in a group as among all others, with the 95 percent interval."""

    ratio: float
    low: float
    high: float


def risk_ratio(count: int, of: int, all_counts: int, all_of: int, least: Minimum) -> Ratio | None:
    """The risk in a group by that of all others, or ``None`` where it cannot be calculated: never without end, and never 0.

    ``count`` and ``of`` are of the group, ``all_counts`` and ``all_of`` of everybody. Source of the interval: Katz et al.,
    Obtaining confidence intervals for the risk ratio in cohort studies, Biometrics 34 (1978).
    """
    others, of_others = all_counts - count, all_of - of
    if min(count, others) < least.cell or min(of, of_others) < least.students:
        return None
    return _katz(count, of, others, of_others)


def untold_ratio(count: int, of: int, all_counts: int, all_of: int, least: Minimum) -> Ratio | None:
    """The same where it happened to hardly anybody on one side, or to nobody: to compare, never to tell.

    ``None`` where either side is small, or it happened to too few on both: then who they are could be told from it. Nobody counts as
    half a student, and so do the others. Source: Walter, The distribution of Levin's measure of attributable risk, Biometrika 62 (1975).
    """
    others, of_others = all_counts - count, all_of - of
    if max(count, others) < least.cell or min(of, of_others) < least.students:
        return None
    half = 0 if count and others else 0.5
    return _katz(count + half, of + half, others + half, of_others + half)


def _katz(count: float, of: float, others: float, of_others: float) -> Ratio:
    ratio = (count / of) / (others / of_others)
    width = Z * sqrt(1 / count - 1 / of + 1 / others - 1 / of_others)
    return Ratio(ratio, exp(log(ratio) - width), exp(log(ratio) + width))


def risk(counts: Sequence[int], of: Sequence[int], place: int, least: Minimum) -> dict[str, Any]:
    """The share of one group with its interval, and by that of all others where that can be calculated."""
    ratio = risk_ratio(counts[place], of[place], sum(counts), sum(of), least)
    return asdict(share(counts[place], of[place])) | {"against_all_others": asdict(ratio) if ratio else None}


def told(counts: Sequence[int], of: Sequence[int], least: Minimum, open_to: Sequence[bool] | None = None) -> list[bool]:
    """For each group whether it may be told, ``counts`` of ``of``, though the totals over all groups are known.

    ``open_to``: groups that may be told at all; without it any.
    """
    groups = list(zip(counts, of, strict=True))
    shown = [least.allows(*each) for each in groups]
    if open_to is not None:
        shown = [one and other for one, other in zip(shown, open_to, strict=True)]
    for place in sorted(range(len(groups)), key=lambda place: (groups[place][1], place)):
        if _safe([each for each, seen in zip(groups, shown, strict=True) if not seen], least):
            break
        shown[place] = False
    return shown


def _safe(untold: Sequence[tuple[int, int]], least: Minimum) -> bool:
    """Whether nothing can be had from what the untold are together. Of nobody there is nothing to be had."""
    somebody = [each for each in untold if each[1]]
    together = sum(count for count, _ in somebody), sum(of for _, of in somebody)
    return not somebody or (len(somebody) > 1 and least.allows(*together))
