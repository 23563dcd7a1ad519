"""Rows as they come in: read, checked, and ready to be written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sis.resources import Reference, Resource
from sis.rules.documents import Content
from sis.rules.members import BrokenRule, InvalidMember, value_at
from sis.rules.values import moment
from sis.unsaid import Unsaid, unsaid_of

_MODIFIED = "_lastModifiedDate"
Target = tuple[str, str]
"""A resource and the natural key of a document of it."""


@dataclass(slots=True)  # not frozen: one is made for each row, and that would make it three times as dear
class Row:
    """One row for one document: its natural key, what it says, and what it refers to."""

    key: str
    content: Content
    targets: Sequence[tuple[Reference, Target]]
    school_id: str | None
    on: date | None
    unsaid: Unsaid | None = None
    """Sealed members that shall stay as they stand."""

    @property
    def deletes(self) -> bool:
        """Whether it takes the document away."""
        return self.content.deleted


def read_row(resource: Resource, document: Any, *, modified_at: datetime | None = None) -> Row:
    """The row that an Ed-Fi document makes; ``modified_at`` where the document does not say when it was changed.

    Raises:
        InvalidMember: a member that is used breaks a rule.
    """
    body = resource.read(document)
    secret = {name: body.pop(name) for name in resource.sealed if name in body}
    targets = [(reference, (reference.to, key)) for reference in resource.references for key in reference.keys(body)]
    day = value_at(body, resource.on) if resource.on else None
    return Row(
        key=resource.key(body),
        content=Content(body, secret, _modified_at(document) or modified_at),
        targets=list(dict.fromkeys(targets)),
        school_id=value_at(body, resource.school) if resource.school else None,
        on=date.fromisoformat(day) if day else None,
        unsaid=unsaid_of(resource, document),
    )


def read_deletion(resource: Resource, document: Any, *, modified_at: datetime | None = None) -> Row:
    """The row that takes away the document with this natural key, given nested as in Ed-Fi or by leaf names.

    Raises:
        InvalidMember: a member of the natural key is missing or breaks a rule.
    """
    body = resource.read_identity(document)
    content = Content(body, {}, _modified_at(document) or modified_at, deleted=True)
    return Row(resource.key(body), content, (), None, None)


def key_of(resource: Resource, document: Any) -> str:
    """The natural key of a document, given nested as in Ed-Fi or by leaf names.

    Raises:
        InvalidMember: a member of the natural key is missing or breaks a rule.
    """
    return resource.key(resource.read_identity(document))


def _modified_at(document: Mapping[str, Any]) -> datetime | None:
    said = document.get(_MODIFIED)
    try:
        return None if said is None else moment(said)
    except BrokenRule as broken:
        raise InvalidMember(field=f"$.{_MODIFIED}", rule=str(broken)) from None
