"""The language of policies as a JSON Schema, made from the tables of the signals: what editors complete and check."""

from collections.abc import Iterable, Mapping
from typing import Any

from mtss.rules.policy.reading import (
    CONFIRM,
    DWELL,
    HOW,
    LANGUAGE,
    LONG_TEXT,
    MAY,
    PARTS,
    PLACES,
    REVIEW,
    SHORT_TEXT,
    VERSION,
    WHEN_UNKNOWN,
)
from mtss.rules.signals import SIGNALS, Range, Signal

Schema = dict[str, Any]


def schema() -> Schema:
    """JSON Schema 2020-12 of a policy document. What it lets through is still read and checked."""
    numbers = {"type": "object", "additionalProperties": _ref("number")}
    parts: Mapping[str, Schema] = {
        "language": {"const": LANGUAGE, "description": "The version of this language."},
        "version": {
            "type": "string",
            "pattern": VERSION,
            "description": "What decisions name. A version never changes.",
        },
        "title": _text("What people read.", LONG_TEXT),
        "clauses": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"oneOf": [_ref(name) for name in sorted(SIGNALS)]},
        },
        "tiers": _object({"targeted": _ref("support"), "intensive": _ref("support")}),
        "variants": {"type": "array", "items": _ref("variant")},
        "schools": {
            "type": "object",
            "additionalProperties": numbers,
            "description": "By schoolId: numbers of that school, by their path, within the bounds.",
        },
        "bounds": {
            "type": "object",
            "additionalProperties": _object({"from": _ref("number"), "to": _ref("number")}),
            "description": "What schools may change, by its path, and how far.",
        },
        "exempt_grades": _texts("Of these grades nothing is asked."),
        "confirm_above": {
            **_number(CONFIRM),
            "description": "How many percent of students the next adoption may change without being confirmed again.",
        },
        "review": {
            **_object({name: _number(allowed) for name, allowed in REVIEW.items()}, ()),
            "description": "Days within which people act; what is left out is as in the default policy.",
        },
        "places": {
            "type": "object",
            "additionalProperties": _object({tier: _number(allowed) for tier, allowed in PLACES.items()}, ()),
            "description": "By schoolId: how many students can be supported at once. Rehearsals tell where there are more.",
        },
    }
    shared = {
        "number": _number(None),
        "codes": _object(
            {"codes": {**_texts("Codes of the SIS, in any spelling."), "minItems": 1}, "source": _source()}
        ),
        "support": _support(),
        "condition": _condition(),
        "variant": _object(
            {"name": _text("What people call it.", SHORT_TEXT), "grades": _texts(""), "changes": numbers}
        ),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:trellis:tier-policy.v{LANGUAGE}",
        "title": "A tier policy of Trellis",
        **_object({name: parts[name] for name in (*sorted(PARTS), *sorted(MAY))}, PARTS),
        "$defs": shared | {name: _clause(signal) for name, signal in sorted(SIGNALS.items())},
    }


def _clause(signal: Signal) -> Schema:
    said = " ".join((signal.measure.__doc__ or "").split())
    fixed: Schema = {"signal": {"const": signal.name}, "when_unknown": {"enum": list(WHEN_UNKNOWN)}}
    for name, choices in signal.texts.items():
        fixed[name] = {"enum": sorted(choices)} if choices else _text("", SHORT_TEXT)
    fixed |= {name: _ref("codes") for name in sorted(signal.lists)}
    tree = _tree({**signal.numbers, **signal.may, **DWELL}, signal.numbers)
    return {"description": said, **_object(fixed | tree["properties"], {*fixed, *tree["required"]})}


def _tree(numbers: Mapping[str, Range], needed: Iterable[str]) -> Schema:
    """Numbers by their paths as objects within objects."""
    found: dict[str, Schema] = {}
    for path, allowed in numbers.items():
        group, _, name = path.rpartition(".")
        if group:
            found.setdefault(group, _object({}, ()))["properties"][name] = _number(allowed)
        else:
            found[name] = _number(allowed)
    for group, name in (path.split(".") for path in needed if "." in path):
        found[group]["required"].append(name)
    return _object(found, {path.rpartition(".")[0] or path for path in needed})


def _number(allowed: Range | None) -> Schema:
    value: Schema = {"type": "number"}
    if allowed is not None:
        value |= {"minimum": float(allowed.least), "maximum": float(allowed.most)}
        value |= {"multipleOf": 1} if not allowed.places else {}
    return _object({"value": value, "unit": _text("", SHORT_TEXT), "source": _source()})


def _source() -> Schema:
    return _text("Where it comes from, or: local.", LONG_TEXT)


def _support() -> Schema:
    how = {"enum": list(HOW)}
    tells = {
        "type": "boolean",
        "default": True,
        "description": "Whether families are told of what the facts bring about.",
    }
    parts = {"when": _ref("condition"), "entry": how, "exit": how, "tells_families": tells}
    return _object(parts, ("when", "entry", "exit"))


def _condition() -> Schema:
    several = {"type": "array", "minItems": 1, "items": _ref("condition")}
    return {
        "oneOf": [
            {"type": "string", "description": "The name of a clause."},
            _object({"all": several}),
            _object({"any": several}),
            _object({"at_least": _ref("number"), "of": several}),
        ]
    }


def _object(properties: Mapping[str, Schema], required: Iterable[str] | None = None) -> Schema:
    needed = sorted(properties if required is None else required)
    return {"type": "object", "additionalProperties": False, "required": needed, "properties": dict(properties)}


def _text(description: str, most: int) -> Schema:
    said = {"description": description} if description else {}
    return {"type": "string", "minLength": 1, "maxLength": most, **said}


def _texts(description: str) -> Schema:
    said = {"description": description} if description else {}
    return {"type": "array", "items": _text("", SHORT_TEXT), **said}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}
