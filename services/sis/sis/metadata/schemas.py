"""The schemas of what the door takes and answers, made from the shapes by which documents are read."""

from collections.abc import Collection, Mapping
from typing import Any

from sis.metadata.names import capital, definition, reference, singular
from sis.resources import Resource
from sis.resources.dropped import dropped_lists
from sis.rules.members import Member, Shape

Schema = dict[str, Any]

IDENTITY = {"x-Ed-Fi-isIdentity": True}
_NULLABLE = {"nullable": True}

_ITEM_KEYS: Mapping[str, tuple[str, ...]] = {
    "addresses": (
        "addressTypeDescriptor",
        "streetNumberName",
        "city",
        "stateAbbreviationDescriptor",
        "postalCode",
    ),
    "periods": ("beginDate",),
    "telephones": ("telephoneNumber", "telephoneNumberTypeDescriptor"),
}
"""What tells the items of a list apart, where that is not just what must be there. Source: Ed-Fi Data Standard 5.2."""

_OWN: Mapping[str, Schema] = {
    "id": {"type": "string", "readOnly": True, "description": "Names the document as long as it stands."},
    "_etag": {"type": "string", "readOnly": True, "description": "Which revision of the document this is."},
    "_lastModifiedDate": {
        "type": "string",
        "format": "date-time",
        "description": "When it was last changed. Where the SIS says when, an older row changes nothing.",
    },
}
NOT_KEPT = "Taken, and nothing of it is kept."
# Named all the same: some clients look up every list that they are about to send, and compare its items.
_IGNORED: Schema = {"writeOnly": True, "description": NOT_KEPT}
_VERSION: Schema = {"type": "integer", "format": "int64"}


def ref(name: str, kind: str = "schemas") -> Schema:
    """A pointer to a component of the document."""
    return {"$ref": f"#/components/{kind}/{name}"}


def definitions(name: str, resource: Resource) -> dict[str, Schema]:
    """The schemas of one resource by name: itself, its references and lists, and what its change queries answer."""
    found: dict[str, Schema] = {}
    own = definition(name)
    found[own] = _object(found, own, resource.told_shape, resource.told_identity)
    properties = found[own]["properties"]
    for sealed in resource.sealed:
        properties[sealed]["writeOnly"] = True
    for member, keys in dropped_lists(resource.name).items():
        if member not in properties:
            item = own + capital(singular(member))
            found[item] = {
                "type": "object",
                "properties": {key: {"type": "string", **_IGNORED, **IDENTITY} for key in keys},
            }
            properties[member] = {"type": "array", "items": ref(item), **_NULLABLE, **_IGNORED}
    found[own]["properties"] = {"id": _OWN["id"], **properties, **_OWN}
    return {**found, **_tracked(own, resource)}


def leaves(resource: Resource) -> dict[str, Schema]:
    """The members of the natural key by leaf name, as they stand in a query."""
    return {path.rpartition(".")[2]: dict(at_path(resource.told_shape, path)) for path in resource.told_identity}


def at_path(shape: Shape, path: str) -> Mapping[str, Any]:
    """The schema of the plain member that ``path`` leads to through objects."""
    head, _, rest = path.partition(".")
    read = shape[head].read
    return at_path(read, rest) if isinstance(read, Mapping) else read.schema


def _object(found: dict[str, Schema], name: str, shape: Shape, identity: Collection[str]) -> Schema:
    required = [member for member, each in shape.items() if each.required]
    properties = {
        member: _property(found, name, member, each) | (IDENTITY if _identifies(member, each, identity) else {})
        for member, each in shape.items()
    }
    return {"type": "object", **({"required": required} if required else {}), "properties": properties}


def _identifies(name: str, member: Member, identity: Collection[str]) -> bool:
    # A reference identifies by what it holds.
    return name in identity and not isinstance(member.read, Mapping)


def _property(found: dict[str, Schema], owner: str, name: str, member: Member) -> Schema:
    optional = {} if member.required else _NULLABLE
    inner = _inner(found, owner, name, member)
    if member.many:
        return {"type": "array", "items": inner, **optional}
    # Beside a pointer nothing else is read.
    return inner if "$ref" in inner else {**inner, **optional}


def _inner(found: dict[str, Schema], owner: str, name: str, member: Member) -> Schema:
    shape = member.read
    if not isinstance(shape, Mapping):
        return dict(shape.schema)
    if name.endswith("Reference"):
        target = reference(name)
        found[target] = _reference(found, target, shape)
    else:
        target = owner + capital(singular(name) if member.many else name)
        identity = _ITEM_KEYS.get(name) or tuple(each for each in shape if shape[each].required)
        found[target] = _object(found, target, shape, identity)
    return ref(target)


def _reference(found: dict[str, Schema], name: str, shape: Shape) -> Schema:
    # Half a reference identifies nothing: where the door could do without any one member, clients learn to send them all.
    return {"required": list(shape), **_object(found, name, shape, shape.keys())}


def _tracked(own: str, resource: Resource) -> dict[str, Schema]:
    key, gone, changed = (f"trackedChanges_{own}{what}" for what in ("Key", "Delete", "KeyChange"))
    properties = {leaf: schema | IDENTITY for leaf, schema in leaves(resource).items()}
    return {
        key: {"type": "object", "properties": properties},
        gone: _change(keyValues=ref(key)),
        changed: _change(oldKeyValues=ref(key), newKeyValues=ref(key)),
    }


def _change(**keys: Schema) -> Schema:
    properties = {"id": {"type": "string"}, "changeVersion": _VERSION, **keys}
    return {"type": "object", "required": list(properties), "properties": properties}
