"""Sealed members that a row does not name because its sender, who had read the document here, never saw them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sis.resources import Resource

_LONGEST_ETAG = 19


@dataclass(frozen=True, slots=True)
class Unsaid:
    """The members that a row is silent about, and which reading of ours it goes back to: its document's id, its etag."""

    members: frozenset[str]
    id: UUID | None
    revision: int | None

    def kept(self, identity: UUID, revision: int, secret: Mapping[str, Any]) -> dict[str, Any]:
        """What stays of ``secret``, the sealed members of this document; nothing if another system's document was read.

        An etag alone is ours if it is not later than the document: who read an earlier revision saw as little.
        """
        read_here = self.id == identity if self.id else self.revision is not None and self.revision <= revision
        return {name: value for name, value in secret.items() if name in self.members} if read_here else {}


def unsaid_of(resource: Resource, document: Mapping[str, Any]) -> Unsaid | None:
    """What a document that came in leaves out and carries the marks of a reading; ``None`` for most rows."""
    if not resource.sealed or ("id" not in document and "_etag" not in document):
        return None
    members = frozenset(name for name in resource.sealed if resource.told.get(name, name) not in document)
    marks = _identity(document.get("id")), _revision(document.get("_etag"))
    return Unsaid(members, *marks) if members and any(mark is not None for mark in marks) else None


def _identity(said: Any) -> UUID | None:
    try:
        return UUID(said) if isinstance(said, str) else None
    except ValueError:
        return None


def _revision(said: Any) -> int | None:
    digits = said.strip('"') if isinstance(said, str) else ""
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _LONGEST_ETAG else None
