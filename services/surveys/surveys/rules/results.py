"""What a school and its sections came to, told only where nothing of a few students can be had from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.bool_]
Means = npt.NDArray[np.float64]

_Z = 1.959963984540054
_NOTHING = 1e-9
"""Less than this is what rounding leaves of nothing."""


@dataclass(frozen=True, slots=True)
class Least:
    """The least that is told: nothing of fewer than ``cell`` students, and no mean nearer to an end of its scale than so many percent of it."""

    cell: int
    ends_percent: int


@dataclass(frozen=True, slots=True)
class Told:
    """The mean of one subscale over the students who were scored, with its 95 percent interval, on the scale of the items.

    ``beyond``: it is at most, or at least, what ``mean`` says; so near to an end it would say what each of them answered.
    """

    scored: int
    mean: float
    low: float
    high: float
    beyond: Literal["at_most", "at_least"] | None


@dataclass(frozen=True, slots=True)
class Subscale:
    """The scores of the students of one school, ``nan`` of who has none; ``spread``: their standard deviation over all schools."""

    means: Means
    spread: float
    ends: tuple[int, int]


def results(groups: Sequence[Flags], subscales: Mapping[str, Subscale], least: Least) -> list[dict[str, Told | None]]:
    """For each group, the whole school first, and each subscale what is told of it, ``None`` where nothing is."""
    shown = {name: _shown(groups, each, least.cell) for name, each in subscales.items()}
    return [
        {
            name: _told(each, group & ~np.isnan(each.means), least) if shown[name][place] else None
            for name, each in subscales.items()
        }
        for place, group in enumerate(groups)
    ]


def tellable(groups: Sequence[Flags], cell: int) -> list[bool]:
    """For each group of one school whether its total may be told: the first before the others, these by size.

    Groups overlap, and what is told can be added and subtracted. Of every student we follow how much of them the told totals
    determine (1: their own answer). While that is at most 1 / ``cell`` for each, no sum or difference of what is told is of
    fewer than ``cell`` students: were there one, of length 1, its squares over its students would add up to 1, and none of these
    is more than how much that student is determined.

    Source: the sum queries of Chin and Özsoyoğlu, Auditing and inference control in statistical databases, IEEE TSE 8 (1982);
    the bound follows from Cauchy and Schwarz.
    """
    told, same = [False] * len(groups), dict[bytes, int]()
    basis, rows = np.empty((0, len(groups[0]))), 0
    determined = np.zeros(len(groups[0]))
    for place in sorted(range(len(groups)), key=lambda place: (place > 0, -int(groups[place].sum()))):
        first, members = same.setdefault(groups[place].tobytes(), place), groups[place]
        if first != place or not members.any():
            told[place] = told[first]
            continue
        # Where the others told leave no room for half of what it would add, it need not be computed: that is most of them.
        if determined[members].max() > 1 / cell - 1 / (2 * members.sum()):
            continue
        new = members.astype(np.float64)
        for _ in range(2):  # the second time takes away what rounding left of the first
            new -= (basis[:rows] @ new) @ basis[:rows]
        square = float(new @ new)
        if square < _NOTHING:  # what is told says it already
            told[place] = True
            continue
        then = determined + new * new / square
        if then.max() * cell <= 1 + _NOTHING:
            if rows == len(basis):
                basis = np.vstack([basis, np.empty((rows + 16, len(new)))])
            told[place], determined, basis[rows] = True, then, new / np.sqrt(square)
            rows += 1
    return told


def _shown(groups: Sequence[Flags], subscale: Subscale, cell: int) -> list[bool]:
    if subscale.spread < _NOTHING:  # all answered alike: an interval of no width would say so of each
        return [False] * len(groups)
    return tellable([group & ~np.isnan(subscale.means) for group in groups], cell)


def _told(subscale: Subscale, scored: Flags, least: Least) -> Told:
    # By how all schools differ: by how a section does, nobody could be told that all of it answered alike.
    count = int(scored.sum())
    mean, half = float(subscale.means[scored].mean()), _Z * subscale.spread / float(np.sqrt(count))
    lowest, highest = subscale.ends
    margin = (highest - lowest) * least.ends_percent / 100
    bottom, top = lowest + margin, highest - margin

    def within(value: float) -> float:
        return round(min(max(value, bottom), top), 2)

    beyond: Any = "at_most" if mean <= bottom else "at_least" if mean >= top else None
    return Told(count, within(mean), within(mean - half), within(mean + half), beyond)
