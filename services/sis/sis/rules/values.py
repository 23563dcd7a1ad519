"""Readers of single values: what each takes, as it is kept, and the JSON schema of it."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any

from sis.rules.members import BrokenRule, Reader, takes

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MONTH_FIRST = re.compile(r"(?P<month>[0-9]{1,2})([/-])(?P<day>[0-9]{1,2})\2(?P<year>[0-9]{4})")
_SLASHED = re.compile(r"(?P<year>[0-9]{4})/(?P<month>[0-9]{1,2})/(?P<day>[0-9]{1,2})")
_DIGITS = re.compile("[0-9]{1,30}")
_DECIMAL = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")
_FLAGS = {"true": True, "false": False}
_MOST = 2**63 - 1
"""The largest number of an organisation. Source: Ed-Fi Data Standard 5.2, where it is an int64."""
_UNSAFE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
YEARS = (1900, 2199)
"""The first and the last year that is taken."""
_LONGEST_DESCRIPTOR = 306
"""A namespace of 255 characters, a # and a code value of 50. Source: Ed-Fi Data Standard 5.2."""
_REMEMBERED = 1000
_EXACT = 2**53
"""From here on a number that was read as a fraction may not be the one that was written."""


def text(longest: int, *, lines: bool = False) -> Reader[str]:
    """A reader of text with at least one visible character and at most ``longest`` characters."""

    @takes("string", minLength=1, maxLength=longest)
    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise BrokenRule("must be text")
        if not value.strip():
            raise BrokenRule("must not be empty")
        if len(value) > longest:
            raise BrokenRule(f"must have at most {longest} characters")
        if _UNSAFE.search(value) or (not lines and ("\n" in value or "\r" in value)):
            raise BrokenRule("must not hold control characters")
        return value

    return read


def identifiers(longest: int) -> Reader[str]:
    """A reader of identifiers of at most ``longest`` characters, whether they came as text or as a whole number.

    One with a space around it is refused, as the Ed-Fi ODS/API does: it would be somebody else's.
    """
    words = text(longest)

    @takes("string", minLength=1, maxLength=longest)
    def read(value: Any) -> str:
        if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        found = words(value)
        if found != found.strip():
            raise BrokenRule("must not begin or end with a space")
        return found

    return read


identifier = identifiers(60)


def _whole(value: Any, least: int, most: int) -> int | None:
    """``value`` if it is a whole number from ``least`` to ``most``, or the digits of one.

    Source: the Ed-Fi ODS/API 7.x, whose readers take any text of digits for a number; exporters rely on it unawares.
    """
    of_float = isinstance(value, float) and value.is_integer() and abs(value) < _EXACT
    if of_float or (isinstance(value, str) and _DIGITS.fullmatch(value)):
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most else None


@takes("integer", format="int64", minimum=0)
def school_id(value: Any) -> str:
    """The number of a school or another organisation as text, without leading zeros."""
    found = _whole(value, 0, _MOST)
    if found is None:
        raise BrokenRule("must be a whole number from 0 to 2^63-1")
    return str(found)


@takes("boolean")
def flag(value: Any) -> bool:
    """True or false, also in words, as the Ed-Fi ODS/API takes it."""
    found = _FLAGS.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise BrokenRule("must be true or false")
    return found


@takes("integer", format="int32", minimum=0, maximum=10_000)
def order(value: Any) -> int:
    """A place in an order: a whole number from 0."""
    found = _whole(value, 0, 10_000)
    if found is None:
        raise BrokenRule("must be a whole number from 0 to 10000")
    return found


@takes("integer", format="int32", minimum=YEARS[0], maximum=YEARS[1])
def year(value: Any) -> int:
    """A school year: the year in which it ends."""
    found = _whole(value, *YEARS)
    if found is None:
        raise BrokenRule(f"must be a year from {YEARS[0]} to {YEARS[1]}")
    return found


def _rewritten(value: str) -> str:
    said = _MONTH_FIRST.fullmatch(value) or _SLASHED.fullmatch(value)
    if said is None:
        raise BrokenRule("must be a date such as 2027-01-31")
    return f"{said['year']}-{said['month']:0>2}-{said['day']:0>2}"


@takes("string", format="date")
def day(value: Any) -> str:
    """A date as ``YYYY-MM-DD``; it may come with slashes, or with the month first, as spreadsheets of the United States write it.

    Source: the Ed-Fi ODS/API 7.x, which takes ``08/01/2014``, ``08-01-2014`` and ``2014/08/01`` for the first of August.
    """
    if not isinstance(value, str):
        raise BrokenRule("must be a date such as 2027-01-31")
    said = value if _DAY.fullmatch(value) else _rewritten(value)
    try:
        found = date.fromisoformat(said)
    except ValueError:
        raise BrokenRule("must be a date that exists") from None
    if not YEARS[0] <= found.year <= YEARS[1]:
        raise BrokenRule(f"must be a date in the years {YEARS[0]} to {YEARS[1]}")
    return said


@takes("string", format="date-time")
def moment(value: Any) -> datetime:
    """A date and time, aware; without an offset it is UTC."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise BrokenRule("must be a date and time such as 2027-01-31T08:00:00Z") from None
    if not YEARS[0] <= found.year <= YEARS[1]:
        raise BrokenRule(f"must be a time in the years {YEARS[0]} to {YEARS[1]}")
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


@takes("string", minLength=1, maxLength=_LONGEST_DESCRIPTOR)
def descriptor(value: Any) -> str:
    """A descriptor as it was sent, such as ``uri://ed-fi.org/GradeLevelDescriptor#Fifth grade``."""
    sent = _descriptor(value)
    if not code_value(sent):
        raise BrokenRule("must be a descriptor with a code value after #")
    return sent


_descriptor = text(_LONGEST_DESCRIPTOR)


def code_value(sent: str) -> str:
    """What stands after the ``#`` of a descriptor, or all of it without one."""
    return sent.rpartition("#")[2].strip()


def known_code(codes: "Mapping[str, Any] | frozenset[str]") -> Reader[str]:
    """A reader of descriptors whose code value is one of ``codes``, in any case."""
    accepted: set[str] = set()  # the same few come again and again

    @takes("string", minLength=1, maxLength=_LONGEST_DESCRIPTOR)
    def read(value: Any) -> str:
        if isinstance(value, str) and value in accepted:
            return value
        sent = descriptor(value)
        if code_value(sent).lower() not in codes:
            raise BrokenRule("must be a descriptor known here")
        if len(accepted) < _REMEMBERED:
            accepted.add(sent)
        return sent

    return read


def days(most: int) -> Reader[float]:
    """A reader of a length in days from 0 to ``most``, to hundredths, half up."""
    within = number(0, most)

    @takes("number", format="double", minimum=0, maximum=most)
    def read(value: Any) -> float:
        return hundredths(within(value)) / 100

    return read


def number(least: float, most: float) -> Reader[float]:
    """A reader of a number from ``least`` to ``most``, also as the digits of one."""

    @takes("number", format="double", minimum=least, maximum=most)
    def read(value: Any) -> float:
        if isinstance(value, str) and _DECIMAL.fullmatch(value):
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise BrokenRule("must be a number")
        if not least <= value <= most:
            raise BrokenRule(f"must be from {least} to {most}")
        return value

    return read


@lru_cache(maxsize=_REMEMBERED)
def hundredths(value: float) -> int:
    """``value`` in hundredths, the decimal digits as they were written rounded half up: 0.285 is 29."""
    return int((Decimal(str(value)) * 100).to_integral_value(ROUND_HALF_UP))
