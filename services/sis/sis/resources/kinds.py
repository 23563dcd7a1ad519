"""What a resource of the door is: its members, what identifies a document, what is sealed, what it refers to."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic_core import to_json

from sis.rules.members import Member, Shape, objects_at, value_at


@dataclass(frozen=True, slots=True)
class Reference:
    """What a document refers to: the target resource, where the reference stands, and its members in key order."""

    to: str
    at: str
    members: tuple[str, ...]

    def keys(self, body: Mapping[str, Any]) -> Iterator[str]:
        """The natural keys that ``body`` refers to."""
        for found in objects_at(body, self.at):
            yield key_text(found[name] for name in self.members)


@dataclass(frozen=True)
class Resource:
    """One Ed-Fi resource."""

    name: str
    shape: Shape
    identity: tuple[str, ...]
    """Paths of the members that together identify a document; those that are not required may be missing."""
    references: tuple[Reference, ...] = ()
    sealed: frozenset[str] = frozenset()
    school: str | None = None
    """Path of the schoolId, and below of the day, that the document is about."""
    on: str | None = None
    codes: frozenset[str] = frozenset()
    """Those of ``identity`` that are descriptors: they compare by code value in any case."""
    check: Callable[[Mapping[str, Any]], None] = lambda body: None
    """What no single member can say: raises :class:`InvalidMember`."""

    @cached_property
    def leaves(self) -> dict[str, str]:
        """Leaf names of the natural key and their paths, as they stand in a query."""
        return {path.rpartition(".")[2]: path for path in self.identity}

    @cached_property
    def identity_shape(self) -> Shape:
        """The shape of a document that need only identify."""
        return _narrowed(self.shape, self.identity)

    def key(self, body: Mapping[str, Any]) -> str:
        """The natural key as text."""
        return key_text(self._comparable(path, value_at(body, path)) for path in self.identity)

    def _comparable(self, path: str, value: Any) -> Any:
        return value.rpartition("#")[2].strip().lower() if path in self.codes else value


def key_text(values: Iterator[Any]) -> str:
    """Values of a natural key as one text, the same for the same values."""
    return to_json(list(values)).decode()


def _narrowed(shape: Shape, paths: tuple[str, ...]) -> Shape:
    narrow: dict[str, Member] = {}
    for name in dict.fromkeys(path.partition(".")[0] for path in paths):
        member = shape[name]
        inner = tuple(rest for head, _, rest in (path.partition(".") for path in paths) if head == name and rest)
        narrow[name] = (
            Member(_narrowed(member.read, inner), member.required) if isinstance(member.read, Mapping) else member
        )
    return narrow
