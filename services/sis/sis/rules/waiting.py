"""The waiting room: rows that refer to what is not known yet, and what keeps their order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class WaitingPolicy:
    """Whether rows may wait for what they refer to, and after how long those who can help are told."""

    on: bool
    listed_after_hours: int


@dataclass(frozen=True, slots=True)
class Waits:
    """A row that waits: id and revision of the document it will be, and when the SIS last changed it.

    One that was taken back stays as a mark, so that an older row which comes late is known to be stale.
    """

    id: UUID
    revision: int
    modified_at: datetime | None
    taken_back: bool = False
    secret: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """Its sealed members, where a row may leave them as they are."""

    def is_newer_than(self, modified_at: datetime | None) -> bool:
        """Whether a row of this date is stale beside the one that waits; without both dates the order of arrival counts."""
        return self.modified_at is not None and modified_at is not None and modified_at < self.modified_at
