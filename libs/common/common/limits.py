"""How many requests one principal, and who holds one personal link, may make: a token bucket each, in this process.

A sister service and a student information system are told to come later with 503, which exporters wait for and try again;
429 makes some of them drop the row. That holds before they have a token too.
"""

import hashlib
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network

from fastapi import Request

from common.auth import Principal
from common.errors import DomainError, Overloaded
from common.policy import (
    LINK,
    MACHINE,
    PERSON,
    STRANGER,
    STRANGERS_AT_WORK,
    STRANGERS_SENDING,
    STRANGERS_SENDING_IN_ALL,
    Rate,
)

_MOST_REMEMBERED = 10_000
_ROUNDING = 1e-6


class TooManyRequests(DomainError):
    """You ask more often than {per_second} times a second; go on after the seconds in Retry-After."""

    status = 429
    known = False
    """Whether the same was refused before, with no pause in between that filled its bucket."""


class MachineTooFast(TooManyRequests):
    """You ask more often than {per_second} times a second; go on after the seconds in Retry-After."""

    status = 503


@dataclass(slots=True)
class Bucket:
    """When it is full again, and whether somebody was refused since it was."""

    full_at: float = 0.0
    refused: bool = False


@dataclass(slots=True)
class Limits:
    """The bucket of each who asked of late, and the places that strangers hold."""

    clock: Callable[[], float] = time.monotonic
    buckets: OrderedDict[object, Bucket] = field(default_factory=OrderedDict)
    strangers: int = 0
    """Requests without a token that are at work."""
    sending: Counter[str | None] = field(default_factory=Counter)
    """By address those of them whose bodies are arriving."""
    cuts: dict[object, Callable[[Overloaded], None]] = field(default_factory=dict)
    """How each of these is cut, whose body has been arriving longest first."""

    def take(self, who: Principal, address: str | None, *, machine: bool = False) -> None:
        """Let ``who``, or for a route without a token whoever asks from ``address``, ask once more.

        ``machine``: without a token, too, it is machines that ask.

        Raises:
            MachineTooFast: a machine asks too often.
            TooManyRequests: somebody else does.
        """
        key, rate = _bounded(who, address)
        self._take(key, rate, machine=machine or who.role in ("sis", "service"))

    def take_unknown(self, address: str | None, *, machine: bool = False) -> None:
        """Let one more token from ``address`` be refused.

        These are counted apart, so that they take nothing from who asks there without a token, or with a good one.

        Raises:
            MachineTooFast, TooManyRequests: as for strangers.
        """
        self._take(("unknown", address), STRANGER, machine=machine)

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
            raise self._taken("at work")
        self.strangers += 1
        try:
            yield
        finally:
            self.strangers -= 1

    @contextmanager
    def stranger_sending(self, address: str | None, cut: Callable[[Overloaded], None]) -> Iterator[None]:
        """Hold one of the few places from which strangers may send a body, slowly too, until ``cut`` makes room for another.

        A body that comes at once is hardly ever cut, however many addresses let theirs trickle in.

        Raises:
            Overloaded: all of the address are taken.
        """
        if self.sending[address] >= STRANGERS_SENDING:
            raise self._taken("sending", address)
        if len(self.cuts) >= STRANGERS_SENDING_IN_ALL:
            self.cuts.pop(next(iter(self.cuts)))(self._taken("sending"))
        mine = object()
        self.cuts[mine] = cut
        self.sending[address] += 1
        try:
            yield
        finally:
            self.cuts.pop(mine, None)
            self.sending -= Counter([address])

    def _taken(self, *places: str | None) -> Overloaded:
        """These places are taken: known, until for as long as a stranger's bucket takes to fill nobody missed them."""
        now, bucket, refusal = self.clock(), self._bucket(places), Overloaded()
        refusal.known, bucket.refused = bucket.refused, True
        bucket.full_at = now + STRANGER.burst / STRANGER.per_second
        return refusal

    def _bucket(self, key: object) -> Bucket:
        now, bucket = self.clock(), self.buckets.setdefault(key, Bucket())
        self.buckets.move_to_end(key)
        if len(self.buckets) > _MOST_REMEMBERED:
            self.buckets.popitem(last=False)  # who asked longest ago has a full one by now, or many ask at once
        if bucket.full_at <= now:
            bucket.full_at, bucket.refused = now, False
        return bucket

    def _take(self, key: object, rate: Rate, *, machine: bool = False) -> None:
        now, bucket = self.clock(), self._bucket(key)
        wait = bucket.full_at - now + (1 - rate.burst) / rate.per_second
        if wait > _ROUNDING:
            refusal = (MachineTooFast if machine else TooManyRequests)(per_second=rate.per_second)
            refusal.retry_after, refusal.known, bucket.refused = int(wait) + 1, bucket.refused, True
            raise refusal
        bucket.full_at += 1 / rate.per_second


def address_of(request: Request) -> str | None:
    """From where it is asked, as it is counted: of an address of IPv6 the first 64 bits, for who has them has all the rest.

    One of IPv4 that is written as one of IPv6, as proxies and dual-stack sockets do, is that of IPv4. Sources: RFC 6177; RFC 4291, 2.5.5.2.
    """
    return _counted_as(request.client.host) if request.client else None


@lru_cache(maxsize=1000)
def _counted_as(address: str) -> str:
    try:
        mapped = IPv6Address(address).ipv4_mapped
        return str(mapped or IPv6Network((address, 64), strict=False))
    except ValueError:
        return address


def _bounded(who: Principal, address: str | None) -> tuple[object, Rate]:
    if who.role == "public":
        return address, STRANGER
    if who.role in ("sis", "service"):
        return (who.role, who.subject), MACHINE
    # A token that names no person is one that several hold: whoever operates Trellis, and its scripts.
    return (who.role, who.subject), PERSON if who.subject != who.role else MACHINE
