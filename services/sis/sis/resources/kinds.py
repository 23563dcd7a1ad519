"""What a resource of the door is: its members, what identifies a document, what is sealed, what it refers to."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from pydantic_core import to_json

from sis.rules.members import InvalidMember, Member, Shape, objects_at, read_shape, value_at
from sis.rules.values import code_value


@dataclass(frozen=True, slots=True)
class Reference:
    """What a document refers to: the target resource, where the reference stands, and its members in key order."""

    to: str
    at: str
    members: tuple[str, ...]

    def keys(self, body: Mapping[str, Any]) -> Iterator[str]:
        """The natural keys that ``body`` refers to."""
        for found in objects_at(body, self.at):
            yield key_text([found[name] for name in self.members])


@dataclass(frozen=True, slots=True)
class InOrder:
    """Checks that what ``first`` names is not after what ``then`` names, where both are said."""

    first: str
    then: str

    def __call__(self, body: Mapping[str, Any]) -> None:
        """Nothing, if they are.

        Raises:
            InvalidMember: they are not.
        """
        first, then = body.get(self.first), body.get(self.then)
        if first is not None and then is not None and then < first:
            raise InvalidMember(field=f"$.{self.then}", rule=f"must not be before {self.first}")


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
    after: tuple[str, ...] = ()
    """Resources that are loaded before it though it does not refer to them, so that what follows is said only once."""
    always: tuple[str, ...] = ()
    """Of a descriptor resource: what is listed from the start and is not taken away, such as ``uri://…/SexDescriptor#Female``."""
    told: Mapping[str, str] = field(default_factory=dict)
    """Members that go by another name where documents come in and are answered, by the name under which they are kept."""

    @cached_property
    def always_keys(self) -> frozenset[str]:
        """The natural keys of ``always``."""
        return frozenset(key_text([*said.rsplit("#", 1)]) for said in self.always)

    @cached_property
    def told_identity(self) -> tuple[str, ...]:
        """Paths of the members that identify a document, as it comes in."""
        return tuple(".".join(self.told.get(name, name) for name in path.split(".")) for path in self.identity)

    @cached_property
    def leaves(self) -> dict[str, str]:
        """Leaf names of the natural key as they stand in a query, and the paths of what is kept."""
        return {told.rpartition(".")[2]: kept for told, kept in zip(self.told_identity, self.identity, strict=True)}

    @cached_property
    def older(self) -> Mapping[str, str]:
        """Leaf names of an older Data Standard, and those that say it now."""
        return {each.older: path.rpartition(".")[2] for path, each in leaves(self.told_shape) if each.older}

    def by_leaf(self, named: Mapping[str, Any]) -> Mapping[str, Any]:
        """Values by leaf name, those of an older Data Standard under the name of now where that is missing."""
        if not self.older:
            return named
        older = {name: now for name, now in self.older.items() if now not in named}
        return {older.get(name, name): value for name, value in named.items()}

    @cached_property
    def told_shape(self) -> Shape:
        """The shape of a document that comes in."""
        return _renamed_shape(self.shape, self.told) if self.told else self.shape

    @cached_property
    def identity_shape(self) -> Shape:
        """The shape of a document that comes in and need only identify."""
        return _narrowed(self.told_shape, self.told_identity)

    def read(self, document: Any) -> dict[str, Any]:
        """What is kept of a document.

        Raises:
            InvalidMember: a member that is used breaks a rule.
        """
        body = read_shape(self.told_shape, document)
        if self.told:
            body = _renamed(body, self._kept)
        self.check(body)
        return body

    def read_identity(self, document: Any) -> dict[str, Any]:
        """What identifies a document, given nested as in Ed-Fi or by leaf names.

        Raises:
            InvalidMember: a member of the natural key is missing or breaks a rule.
        """
        if isinstance(document, dict):
            document = self.by_leaf(document)
        nested = dict(document) if isinstance(document, dict) else document
        for path in self.told_identity if nested is not document else ():
            head, _, rest = path.partition(".")
            if rest in document and head not in document:
                nested[head] = {**nested.get(head, {}), rest: document[rest]}
        found: dict[str, Any] = _renamed(read_shape(self.identity_shape, nested), self._kept)
        return found

    def shown(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is kept of a document as clients know it: names as they came in, and schools by their numbers."""
        return _shown(body, self.told)

    def key(self, body: Mapping[str, Any]) -> str:
        """The natural key as text."""
        values = [value_at(body, path) for path in self.identity]
        for place in self._places_of_codes:
            values[place] = code_value(values[place]).lower()
        return key_text(values)

    @cached_property
    def _places_of_codes(self) -> tuple[int, ...]:
        return tuple(place for place, path in enumerate(self.identity) if path in self.codes)

    @cached_property
    def _kept(self) -> Mapping[str, str]:
        return {told: kept for kept, told in self.told.items()}


def leaves(shape: Shape, at: str = "") -> Iterator[tuple[str, Member]]:
    """Every plain member and its path, such as ``races[].raceDescriptor``."""
    for name, member in shape.items():
        if isinstance(member.read, Mapping):
            yield from leaves(member.read, f"{at}{name}{'[]' if member.many else ''}.")
        else:
            yield f"{at}{name}", member


def key_text(values: Iterable[Any]) -> str:
    """Values of a natural key as one text, the same for the same values."""
    return to_json(values if isinstance(values, list) else list(values)).decode()


def _narrowed(shape: Shape, paths: tuple[str, ...]) -> Shape:
    narrow: dict[str, Member] = {}
    for name in dict.fromkeys(path.partition(".")[0] for path in paths):
        member = shape[name]
        inner = tuple(rest for head, _, rest in (path.partition(".") for path in paths) if head == name and rest)
        narrow[name] = (
            Member(_narrowed(member.read, inner), member.required) if isinstance(member.read, Mapping) else member
        )
    return narrow


def _renamed_shape(shape: Shape, names: Mapping[str, str]) -> Shape:
    return {
        names.get(name, name): replace(member, read=_renamed_shape(member.read, names))
        if isinstance(member.read, Mapping)
        else member
        for name, member in shape.items()
    }


def _shown(body: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): _shown_member(name, value, names) for name, value in body.items()}


def _shown_member(name: str, value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return _shown(value, names)
    if isinstance(value, list):
        return [_shown_member("", one, names) for one in value]
    return int(value) if name in _ORGANIZATIONS else value


_ORGANIZATIONS = frozenset(("schoolId", "educationOrganizationId", "localEducationAgencyId"))


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {names.get(name, name): _renamed(inner, names) for name, inner in value.items()}
    return [_renamed(inner, names) for inner in value] if isinstance(value, list) else value
