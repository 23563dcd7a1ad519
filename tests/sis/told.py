"""Documents made from the schemas that clients are told."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from jsonschema import Draft4Validator

from sis.metadata.names import singular

Json = dict[str, Any]
_SAID = {"calendarEventDescriptor": "Instructional day", "attendanceEventCategoryDescriptor": "Unexcused Absence"}


def resolved(schemas: Json, schema: Json) -> Json:
    """The schema itself, or the one that it points to."""
    found: Json = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return found


def value(schemas: Json, name: str, schema: Json, *, whole: bool = False) -> Any:
    """Something that the schema of a member takes; the same for the same member everywhere, so that references hold."""
    schema = resolved(schemas, schema)
    if schema["type"] == "object":
        return body(schemas, schema, whole=whole)
    if schema["type"] == "array":
        return [value(schemas, singular(name), schema["items"], whole=whole)]
    if schema.get("format") in ("date", "date-time"):
        return "2027-01-15" if schema["format"] == "date" else "2020-01-15T08:00:00Z"
    if name.endswith("Descriptor"):
        return f"uri://ed-fi.org/{name}#{_SAID.get(name, 'Some code')}"
    by_type = {"string": "x", "integer": max(1, schema.get("minimum", 1)), "number": 1, "boolean": True}
    return by_type[schema["type"]]


def body(schemas: Json, schema: Json, *, whole: bool = False, also: tuple[str, ...] = ()) -> Json:
    """A document of what is required, or with ``whole`` of everything that may be sent."""
    members = schema["properties"]
    sent = [name for name in members if not members[name].get("readOnly")] if whole else schema.get("required", ())
    return {name: value(schemas, name, members[name], whole=whole) for name in (*sent, *also)}


def members(
    schemas: Json, schema: Json, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Json]]:
    """Every member by its path in a whole document, those of references and of the first of each list too."""
    for name, each in schema["properties"].items():
        here = (*path, name)
        yield here, {**each, "required": name in schema.get("required", ())}
        inner = each.get("items", each)
        if "$ref" in inner:
            yield from members(schemas, resolved(schemas, inner), (*here, 0) if "items" in each else here)


def changed(document: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """A copy of a document that says something else at one path."""
    copy: Any = deepcopy(document)
    at = copy
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return copy


def nodes(value: Any) -> Iterator[Json]:
    """Every object in a JSON value."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(inner)


def fits(schema: Json, value: Any) -> bool:
    """Whether the schema takes it."""
    return "$ref" not in schema and Draft4Validator(schema | {"required": []}).is_valid(value)
