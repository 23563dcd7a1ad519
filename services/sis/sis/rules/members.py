"""Reading a document by its shape: what is used is checked strictly, what is not used is left out."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeVar, cast

from common.errors import Invalid


class InvalidMember(Invalid):
    """{field}: {rule}"""  # noqa: D415 (the message of a field error is not a sentence)

    status = 400


class BrokenRule(Exception):
    """A value breaks the rule in the message; who reads it adds where it stands."""


T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Reader(Protocol[T_co]):
    """Reads one value; ``schema`` is the JSON schema of what it takes."""

    schema: Mapping[str, Any]

    def __call__(self, value: Any, /) -> T_co:
        """The value as it is kept.

        Raises:
            BrokenRule: it is not acceptable.
        """


def takes(type_: str, **schema: Any) -> Callable[[Callable[[Any], T]], Reader[T]]:
    """A decorator that gives a reader the JSON schema of what it takes; the reader itself stays the bare function."""

    def describe(read: Callable[[Any], T]) -> Reader[T]:
        reader = cast(Reader[T], read)
        reader.schema = {"type": type_, **schema}
        return reader

    return describe


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a document: a value with its reader, an object with its shape, or a list of such."""

    read: "Reader[Any] | Mapping[str, Member]"
    required: bool = False
    many: bool = False
    older: str | None = None
    """The member in which an older Data Standard says it; read where this one is missing, and described to nobody."""


Shape = Mapping[str, Member]


def read_shape(shape: Shape, document: Any, at: str = "$") -> dict[str, Any]:
    """Those members of ``document`` that ``shape`` names, each checked; null and missing are the same.

    Raises:
        InvalidMember: names the member by its JSON path and the rule it breaks.
    """
    if not isinstance(document, dict):
        raise InvalidMember(field=at, rule="must be an object")
    kept = {}
    for name, member in shape.items():
        value = document.get(name)
        if value is None and member.older:
            value = document.get(member.older)
        if value is None:
            if member.required:
                raise InvalidMember(field=f"{at}.{name}", rule="is required")
        elif not member.many:
            kept[name] = _read_value(member.read, value, at, name)
        elif isinstance(value, list):
            kept[name] = [_read_value(member.read, item, at, f"{name}[{i}]") for i, item in enumerate(value)]
        else:
            raise InvalidMember(field=f"{at}.{name}", rule="must be a list")
    return kept


def _read_value(read: Reader[Any] | Shape, value: Any, at: str, name: str) -> Any:
    # Where it stands is put into words only when that is asked for: most members are good.
    if not callable(read):
        return read_shape(read, value, f"{at}.{name}")
    try:
        return read(value)
    except BrokenRule as broken:
        raise InvalidMember(field=f"{at}.{name}", rule=str(broken)) from None


def objects_at(document: Mapping[str, Any], path: str) -> Iterator[Mapping[str, Any]]:
    """The objects that ``path`` leads to, such as ``staffs[].staffReference``; none if a step is missing."""
    name, _, rest = path.partition(".")
    found = document.get(name.removesuffix("[]"), ())
    for item in found if name.endswith("[]") else (found,):
        if item:
            yield from objects_at(item, rest) if rest else (item,)


def values_at(document: Mapping[str, Any], path: str) -> Iterator[Any]:
    """The values that ``path`` leads to, such as ``races[].raceDescriptor``; none if a step is missing."""
    head, _, name = path.rpartition(".")
    for found in objects_at(document, head) if head else (document,):
        if name in found:
            yield found[name]


def value_at(document: Mapping[str, Any], path: str) -> Any:
    """The value that ``path`` leads to through objects, or ``None``."""
    value: Any = document
    for name in _steps(path):
        value = value.get(name) if isinstance(value, dict) else None
    return value


@cache
def _steps(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))
