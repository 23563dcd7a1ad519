"""What a row does to a document that may already stand."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What came of a row."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    STALE = "stale"
    DELETED = "deleted"
    MISSING = "missing"
    WAITING = "waiting"

    @property
    def changes(self) -> bool:
        """Whether the document is another one afterwards."""
        return self in _CHANGING


_CHANGING = (Outcome.CREATED, Outcome.UPDATED, Outcome.DELETED)


@dataclass(slots=True)  # not frozen: several are made for each row, and that would make each three times as dear
class Content:
    """What a document says: the open part, the part to be sealed, and when the SIS last changed it."""

    body: Mapping[str, Any]
    secret: Mapping[str, Any]
    modified_at: datetime | None
    deleted: bool = False


def outcome_of(standing: Content | None, row: Content) -> Outcome:
    """What ``row`` does where ``standing`` is what was last told, also if that was a deletion."""
    if standing and row.modified_at and standing.modified_at and row.modified_at < standing.modified_at:
        return Outcome.STALE
    absent = standing is None or standing.deleted
    if row.deleted:
        return Outcome.MISSING if absent else Outcome.DELETED
    if absent:
        return Outcome.CREATED
    same = standing is not None and standing.body == row.body and standing.secret == row.secret
    return Outcome.UNCHANGED if same else Outcome.UPDATED


def follow(standing: Content | None, row: Content, told_at: datetime) -> Content:
    """What stands after ``row``.

    A deletion without a date counts from when it was told; a date ahead of our clock counts as now; a row without a
    date leaves the date that stands. A deleted document keeps what it last said.
    """
    given = row.modified_at or (told_at if row.deleted else None)
    dates = [min(given, told_at)] if given else []
    if standing and standing.modified_at:
        dates.append(standing.modified_at)
    said = standing if row.deleted and standing else row
    return Content(said.body, said.secret, max(dates, default=None), row.deleted)
