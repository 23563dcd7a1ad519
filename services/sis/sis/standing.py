"""A document as it stands, between the database and the rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID

from sis.rows import Target
from sis.rules.documents import Content


@dataclass(slots=True)
class Standing:
    """One document: what it says, under which id and revision, whom it is about, and what it refers to."""

    id: UUID
    key: str
    content: Content
    revision: int
    known_at: datetime
    school_id: str | None = None
    on: date | None = None
    student_id: UUID | None = None
    refs: Sequence[UUID] = ()
    turn: int = 0
    """Counts every write, so that one who read before another wrote is noticed."""
    targets: tuple[Target, ...] = ()
    links: Mapping[Target, UUID] = field(default_factory=dict)
    """Ids of what the last row referred to; empty where none has just been written."""

    def link(self, linked: Mapping[Target, UUID]) -> None:
        """Take up the ids of what it refers to; a document that no row has just written keeps those it has."""
        if self.targets:
            self.links = {target: linked[target] for target in self.targets}
            self.refs = tuple(dict.fromkeys(self.links.values()))
            self.student_id = next((one for (name, _), one in self.links.items() if name == "students"), None)
