"""Documents made from the table of resources: good ones with every member, and all the ways in which they can be bad."""

from collections.abc import Iterator, Mapping
from typing import Any

from sis.resources import Resource
from sis.resources.kinds import InOrder, leaves
from sis.rules.members import Member, Shape

KNOWN = {"attendanceEventCategoryDescriptor": "x#Tardy", "calendarEventDescriptor": "x#Holiday"}
"""Descriptors that Trellis must understand."""
CANARY = "Canary"

_OF_FORMAT = {"date": "2026-09-01", "int64": 1, "int32": 2027, "double": 1}
_OTHER: Mapping[str, Any] = {
    "primarySchool": False,
    "hispanicLatinoEthnicity": False,
    "livesWith": False,
    "disciplineActionLength": 2,
    "endDate": "2026-09-02",
    "exitWithdrawDate": "2026-09-02",
    "incidentDate": "2026-09-02",
    "calendarEventDescriptor": "x#Break",
    "eventDuration": 0.5,
    "numericGradeEarned": 2,
}
_NOT_OF_TYPE = {"string": [CANARY], "integer": {"is": CANARY}, "number": CANARY, "boolean": CANARY}


def document(shape: Shape) -> dict[str, Any]:
    """A good document with every member; the same member has the same value everywhere, so that documents fit together."""
    return {name: _value(name, member) for name, member in shape.items()}


def _value(name: str, member: Member) -> Any:
    one = document(member.read) if isinstance(member.read, Mapping) else _leaf(name, member.read.schema)
    return [one] if member.many else one


def _leaf(name: str, schema: Mapping[str, Any]) -> Any:
    if name.endswith("Descriptor"):
        return KNOWN.get(name, "uri://district.example#Any")
    return True if schema["type"] == "boolean" else _OF_FORMAT.get(schema.get("format", ""), f"a{name}"[:5])


def schema_of(member: Member) -> Mapping[str, Any]:
    """The JSON schema of what a plain member takes."""
    assert not isinstance(member.read, Mapping)
    return member.read.schema


def members(shape: Shape, at: str = "") -> Iterator[tuple[str, Member]]:
    """Every member and its path, also the objects and lists that hold others."""
    for name, member in shape.items():
        yield f"{at}{name}", member
        if isinstance(member.read, Mapping):
            yield from members(member.read, f"{at}{name}{'[]' if member.many else ''}.")


def lacking(resource: Resource) -> Iterator[tuple[str, Any]]:
    """Documents that each lack one required member, with the JSON path of what is missing."""
    for path, member in members(resource.told_shape):
        if member.required:
            yield _json(path), changed(resource, path, None)


def of_wrong_type(resource: Resource) -> Iterator[tuple[str, Any]]:
    """Documents of which each has one member of another type, with its JSON path."""
    for path, member in members(resource.told_shape):
        plain = not isinstance(member.read, Mapping)
        yield _json(path), changed(resource, path, _NOT_OF_TYPE[schema_of(member)["type"]] if plain else CANARY)


def too_long(resource: Resource) -> Iterator[tuple[str, Any]]:
    """Documents of which each has one text that is a character too long, with its JSON path."""
    for path, member in leaves(resource.told_shape):
        longest = schema_of(member).get("maxLength")
        if longest is not None:
            yield _json(path), changed(resource, path, ("x#" + CANARY * longest)[: longest + 1])


def another(resource: Resource) -> dict[str, Any] | None:
    """A good document with the same natural key that says something else; ``None`` where all members identify."""
    heads = {path.partition(".")[0] for path in resource.identity}
    heads |= {reference.at.partition("[")[0].partition(".")[0] for reference in resource.references}
    free = [path for path, _ in leaves(resource.shape) if path.partition(".")[0].removesuffix("[]") not in heads]
    check = resource.check
    if isinstance(check, InOrder):
        free.sort(key=lambda path: path != check.then)
    return changed(resource, free[0], _OTHER.get(free[0].rpartition(".")[2], "other")) if free else None


def changed(resource: Resource, path: str, value: Any) -> Any:
    """A good document but for the member at ``path``; ``None`` takes it away."""
    whole = document(resource.told_shape)
    *steps, last = path.split(".")
    within: Any = whole
    for step in steps:
        within = within[step.removesuffix("[]")]
        within = within[0] if step.endswith("[]") else within
    if value is None:
        del within[last]
    else:
        within[last] = value
    return whole


def _json(path: str) -> str:
    return "$." + path.replace("[]", "[0]")
