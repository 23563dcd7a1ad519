"""Shares of counts, with how sure one may be of them."""

from dataclasses import dataclass
from math import sqrt

Z = 1.959963984540054
"""Of a 95 percent interval."""


@dataclass(frozen=True, slots=True)
class Share:
    """``count`` of ``of``, and the 95 percent interval of the share; nothing but the counts where ``of`` is 0."""

    count: int
    of: int
    share: float | None
    low: float | None
    high: float | None


def share(count: int, of: int) -> Share:
    """A share with the score interval, which holds its level where counts are small or shares near 0 or 1.

    Source: Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
    """
    if not of:
        return Share(count, of, None, None, None)
    seen, square = count / of, Z * Z
    middle = (seen + square / (2 * of)) / (1 + square / of)
    half = Z / (1 + square / of) * sqrt(seen * (1 - seen) / of + square / (4 * of * of))
    # At none and at all the ends are exact: only rounding would move them.
    low, high = (0.0 if count == 0 else middle - half), (1.0 if count == of else middle + half)
    return Share(count, of, seen, low, high)


@dataclass(frozen=True, slots=True)
class Needed:
    """How many students are supported for each one whose year ended so; the inverse of precision, ends included."""

    students: float | None
    low: float | None
    high: float | None


def needed(precision: Share) -> Needed:
    """The number needed to support. An end that no number bounds is ``None``."""
    least, most = precision.high, precision.low
    return Needed(*(1 / each if each else None for each in (precision.share, least, most)))
