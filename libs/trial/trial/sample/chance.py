"""Chance that depends on what it is for, never on the order in which it is asked."""

from collections.abc import Iterator, Sequence
from typing import TypeVar
from zlib import crc32

import numpy as np

T = TypeVar("T")


def generator(seed: int, purpose: str, index: int) -> np.random.Generator:
    """The stream of numbers of one purpose and one index; the same arguments give the same stream everywhere."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, crc32(purpose.encode()), index])))


class Draws:
    """A short stream of decisions about one thing, such as one household."""

    def __init__(self, seed: int, purpose: str, index: int, *, count: int = 64) -> None:
        self._shares: Iterator[float] = iter(generator(seed, purpose, index).random(count).tolist())

    def share(self) -> float:
        """A number from 0 up to but not including 1."""
        return next(self._shares)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return next(self._shares) < probability

    def below(self, count: int) -> int:
        """A whole number from 0 up to but not including ``count``."""
        return int(next(self._shares) * count)

    def pick(self, choices: Sequence[T]) -> T:
        """One of the choices, all equally likely."""
        return choices[int(next(self._shares) * len(choices))]
