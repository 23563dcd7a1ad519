"""Words that sentences about evidence share. They are read by parents: nobody is blamed."""

from collections.abc import Sequence
from datetime import date

from common.events.mtss import Tier


def of_tier(tier: Tier | None, changes: Sequence[str]) -> str:
    """What would change a tier, given what would change each clause that it rests on."""
    if tier is None:
        return "A tier is decided again once an enrolment has a school day whose attendance is known."
    if tier is Tier.UNIVERSAL:
        return " ".join(changes)
    ground = "its ground is" if len(changes) == 1 else "all of its grounds are"
    return " ".join((f"Extra support stands until {ground} gone.", *changes))


def days(amount: float) -> str:
    """Days that may be broken, such as ``6.5``."""
    return f"{amount:g}"


def count(number: int, noun: str | tuple[str, str]) -> str:
    """``1 day``, ``2 days``; a noun whose plural is not made by an s comes with its plural."""
    one, many = (noun, f"{noun}s") if isinstance(noun, str) else noun
    return f"{number} {one if number == 1 else many}"


def on(text: str) -> str:
    """An ISO date in words."""
    day = date.fromisoformat(text)
    return f"{day:%B} {day.day}, {day.year}"
