"""How many requests one principal, and who holds one personal link, may make: a token bucket each, in this process.

A sister service and a student information system are told to come later with 503, which exporters wait for and try again;
429 makes some of them drop the row. That holds before they have a token too.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from common.auth import Principal
from common.errors import DomainError, Overloaded
from common.policy import LINK, MACHINE, PERSON, STRANGER, STRANGERS_AT_WORK, Rate

_MOST_REMEMBERED = 10_000
_ROUNDING = 1e-6


class TooManyRequests(DomainError):
    """You ask more often than {per_second} times a second; go on after the seconds in Retry-After."""

    status = 429


@dataclass(slots=True)
class Limits:
    """Until when each principal's bucket is short of full; who is not named has a full one."""

    clock: Callable[[], float]
    full_at: dict[object, float]
    strangers: int = 0
    """Requests without a token that are at work."""

    @classmethod
    def empty(cls) -> "Limits":
        """Nobody has asked yet."""
        return cls(time.monotonic, {})

    def take(self, who: Principal, address: str | None, *, machine: bool = False) -> None:
        """Let ``who``, or for a route without a token whoever asks from ``address``, ask once more.

        ``machine``: without a token, too, it is machines that ask.

        Raises:
            Overloaded: a machine asks too often.
            TooManyRequests: somebody else does.
        """
        key, rate = _bounded(who, address)
        self._take(key, rate, machine=machine or who.role in ("sis", "service"))

    def take_link(self, token: str) -> None:
        """Let whoever holds this personal link, from wherever they come, ask once more.

        Raises:
            TooManyRequests: it is asked for too often.
        """
        self._take(hashlib.sha256(token.encode()).digest(), LINK)

    @contextmanager
    def stranger_at_work(self) -> Iterator[None]:
        """Hold one of the few places for requests without a token.

        Raises:
            Overloaded: all are taken.
        """
        if self.strangers >= STRANGERS_AT_WORK:
            raise Overloaded
        self.strangers += 1
        try:
            yield
        finally:
            self.strangers -= 1

    def _take(self, key: object, rate: Rate, *, machine: bool = False) -> None:
        now = self.clock()
        full_at = max(self.full_at.get(key, now), now) + 1 / rate.per_second
        wait = full_at - now - rate.burst / rate.per_second
        if wait > _ROUNDING:
            refusal = Overloaded() if machine else TooManyRequests(per_second=rate.per_second)
            refusal.retry_after = int(wait) + 1
            raise refusal
        if len(self.full_at) >= _MOST_REMEMBERED:
            self.full_at = {each: until for each, until in self.full_at.items() if until > now}
        self.full_at[key] = full_at


def _bounded(who: Principal, address: str | None) -> tuple[object, Rate]:
    if who.role == "public":
        return address, STRANGER
    if who.role in ("sis", "service"):
        return (who.role, who.subject), MACHINE
    # A token that names no person is one that several hold: whoever operates Trellis, and its scripts.
    return (who.role, who.subject), PERSON if who.subject != who.role else MACHINE
