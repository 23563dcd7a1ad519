"""What a district of the matrix is: Ana and Ben, how routes are asked about them, and what some hold."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from common.scope import keep_scope
from tests.harness import Running

Fill = dict[str, str]


@dataclass
class Asked:
    """What a route is asked with where its description does not say it, and whether its answer is about the student
    where that does not show by an id."""

    body: Callable[[Fill], Any] | None = None
    query: Callable[[Fill], dict[str, str]] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    instead: Callable[[Fill], Fill] | None = None
    """What parts of its path stand for instead, where a write is taken of something else that is theirs."""
    seen_at: str = ""
    """The page whose ETag is named, where that is neither at its path nor what it is part of."""
    about: Callable[[httpx.Response, Fill], object] | None = None
    handed: bool = False
    """Whether it tells what was handed to who asks, so that nobody else finds anything in it with both nets cut either."""


@dataclass
class District:
    """What parts of a path stand for, of Ana in the north and of Ben in the south, and what is particular to some routes."""

    ana: Fill
    ben: Fill
    asked: dict[str, Asked] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    """Tokens of clients and personal links that are good here, by their column."""


async def tell(running: Running, events: Any) -> None:
    """Let the service know who is where."""
    async with running.session() as session:
        await keep_scope(events, session)
