"""Clauses joined by all, any and at least so many of: true, false or unknown, as Kleene's strong logic has it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Truth: TypeAlias = NDArray[np.int8]
"""``FALSE``, ``UNKNOWN`` or ``TRUE`` for each day and student."""

FALSE, UNKNOWN, TRUE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Condition:
    """A clause by its name, or conditions joined.

    ``all`` is the least of its parts and ``any`` the greatest. ``at_least`` is true once ``count`` parts are, false once
    too few are left that may become so, and unknown in between. Source: Kleene, Introduction to Metamathematics, 64.
    """

    join: Literal["clause", "all", "any", "at_least"]
    clause: str = ""
    parts: "tuple[Condition, ...]" = ()
    count: int = 0

    @property
    def list_name(self) -> str:
        """The member of the document that holds its parts."""
        return "of" if self.join == "at_least" else self.join

    def clauses(self) -> Iterator[str]:
        """The names of the clauses it rests on, in their order; one that is named twice comes twice."""
        if self.join == "clause":
            yield self.clause
        for part in self.parts:
            yield from part.clauses()

    def truth(self, of: Mapping[str, Truth]) -> Truth:
        """Whether it holds, given whether each clause does."""
        if self.join == "clause":
            return of[self.clause]
        parts = np.stack([part.truth(of) for part in self.parts])
        joined: Truth = _at_least(self.count, parts) if self.join == "at_least" else _REDUCED[self.join](parts)
        return joined


_REDUCED: Mapping[str, Any] = {"all": partial(np.min, axis=0), "any": partial(np.max, axis=0)}


def _at_least(count: int, parts: Truth) -> Truth:
    true, possible = (parts == TRUE).sum(axis=0), (parts != FALSE).sum(axis=0)
    truth: Truth = (true >= count).astype(np.int8) + (possible >= count)
    return truth
