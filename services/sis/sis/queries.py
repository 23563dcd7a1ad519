"""Documents as they are asked for: by members of the natural key, by change version, page after page."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel, Field
from pydantic_core import to_json
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from common.audit.writing import about
from common.auth import Principal
from common.errors import Invalid
from common.paging import decode_cursor, encode_cursor
from sis.clients.bounds import visible
from sis.models import Document
from sis.resources import Resource, key_text
from sis.resources.kinds import leaves
from sis.rows import key_of
from sis.rules.flat import document_of
from sis.rules.members import BrokenRule, InvalidMember
from sis.rules.values import code_value

DOCUMENTS = Document.metadata.tables["sis_document"]

_FIRST = UUID(int=0)
_LAST = UUID(int=2**128 - 1)
_Version = Annotated[int | None, Field(ge=0, le=2**63 - 1)]


class Paging(BaseModel):
    """How much of a list is asked for, under Ed-Fi's names."""

    offset: int = Field(0, ge=0, le=10_000_000)
    limit: int = Field(25, ge=0, le=500)
    pageToken: str | None = Field(None, max_length=400, description="The Next-Page-Token of an earlier page.")  # noqa: N815 (Ed-Fi's name)
    pageSize: int | None = Field(None, ge=1, le=500, description="How many at most, with pageToken.")  # noqa: N815 (Ed-Fi's name)
    totalCount: bool = Field(False, description="Answer with the header Total-Count.")  # noqa: N815 (Ed-Fi's name)
    minChangeVersion: _Version = Field(None, description="Only what changed at or after this version.")  # noqa: N815 (Ed-Fi's name)
    maxChangeVersion: _Version = Field(None, description="Only what changed at or before this version.")  # noqa: N815 (Ed-Fi's name)

    @property
    def size(self) -> int:
        """How many documents a page has at most."""
        return self.pageSize or self.limit


NOT_FILTERS = frozenset((*Paging.model_fields, "number"))
"""Parameters that ask for so much of a list."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which documents are asked for; ``fingerprint`` tells queries apart, so that a token goes on with its own only."""

    chosen: sa.Select[Any]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some documents in the order of their ids, the token of those that follow, and how many there are if that was asked."""

    rows: Sequence[sa.Row[Any]]
    token: str | None
    total: int | None


def query_of(
    resource: Resource, parameters: Mapping[str, str], paging: Paging, who: Principal, *, deleted: bool = False
) -> Query:
    """What a list asks for: documents that stand, or with ``deleted`` those that are gone.

    Raises:
        InvalidMember: a parameter is neither part of the natural key nor of paging, or cannot be a value of it.
    """
    wanted = {name: value for name, value in resource.by_leaf(parameters).items() if name not in NOT_FILTERS}
    window = (paging.minChangeVersion, paging.maxChangeVersion)
    chosen = sa.select(DOCUMENTS).where(
        DOCUMENTS.c.resource == resource.name,
        DOCUMENTS.c.deleted if deleted else ~DOCUMENTS.c.deleted,
        *_filters(resource, wanted),
        *_within(*window),
        visible(who, resource, deleted=deleted),
    )
    asked = json.dumps([resource.name, deleted, sorted(wanted.items()), window])
    return Query(chosen, hashlib.sha256(asked.encode()).hexdigest()[:16])


def key_asked_for(resource: Resource, parameters: Mapping[str, str], paging: Paging) -> str | None:
    """The natural key that a list asks for, at any version; ``None`` where it leaves some of it open."""
    if paging.pageToken or _within(paging.minChangeVersion, paging.maxChangeVersion):
        return None
    parameters = resource.by_leaf(parameters)
    told = {path: parameters.get(path.rpartition(".")[2], "") for path in resource.told_identity}
    try:
        return key_of(resource, document_of(told, resource.told_shape))
    except InvalidMember:
        return None


def agrees(document: Mapping[str, Any], resource: Resource, parameters: Mapping[str, str]) -> bool:
    """Whether a document with the natural key asked for also has what else is asked for beside it."""
    parameters = resource.by_leaf(parameters)
    beside = (name for name in parameters if name not in NOT_FILTERS and name not in resource.leaves)
    return all(str(document.get(name)) == parameters[name] for name in beside)


async def read_page(session: AsyncSession, query: Query, paging: Paging) -> Page:
    """One page of what ``query`` asks for.

    Raises:
        InvalidMember: the token is not one of this query's.
    """
    total = await _count(session, query) if paging.totalCount else None
    after, until = _range(query, paging.pageToken) if paging.pageToken else (_FIRST, _LAST)
    if not paging.size:
        return Page((), None, total)
    chosen = query.chosen.where(*_between(after, until)).order_by(DOCUMENTS.c.key)
    rows = (await session.execute(chosen.offset(paging.offset).limit(paging.size + 1))).all()
    token = _token(query, rows[paging.size - 1].id, until) if len(rows) > paging.size else None
    return Page(rows[: paging.size], token, total)


async def partition(session: AsyncSession, query: Query, number: int) -> list[str]:
    """Tokens of up to ``number`` parts of what ``query`` asks for, about as large as each other; none if it finds nothing."""
    shares = sa.cast([share / number for share in range(1, number + 1)], ARRAY(sa.Float))
    keys = query.chosen.with_only_columns(DOCUMENTS.c.key).subquery()
    last = sa.func.percentile_disc(shares).within_group(keys.c.key)
    found = (await session.execute(sa.select(sa.type_coerce(last, ARRAY(sa.Text))))).scalar_one()
    at_ends = query.chosen.with_only_columns(DOCUMENTS.c.id).where(DOCUMENTS.c.key.in_(found or ()))
    ends = (await session.execute(at_ends.order_by(DOCUMENTS.c.key))).scalars().all()
    return [_token(query, *edges) for edges in zip((_FIRST, *ends), (*ends[:-1], _LAST), strict=False)] if ends else []


def tell_of(rows: Iterable[sa.Row[Any]]) -> None:
    """Note of whom these documents are: of the student who one is, or to whom it belongs."""
    about(*(row.id if row.resource == "students" else row.student_id for row in rows))


def shown(row: Any) -> dict[str, Any]:
    """A document as it is answered: without its sealed members."""
    changed = row.source_modified_at or row.known_at
    return {"id": str(row.id), **row.body, "_etag": str(row.revision), "_lastModifiedDate": changed.isoformat()}


async def _count(session: AsyncSession, query: Query) -> int:
    counted = await session.execute(sa.select(sa.func.count()).select_from(query.chosen.subquery()))
    return counted.scalar_one()


def _token(query: Query, after: UUID, until: UUID) -> str:
    return encode_cursor(query.fingerprint, str(after), str(until))


def _range(query: Query, token: str) -> tuple[UUID, UUID]:
    try:
        fingerprint, after, until = decode_cursor(token, 3)
        edges = UUID(after), UUID(until)
    except (Invalid, ValueError):
        raise InvalidMember(field="pageToken", rule="must be the Next-Page-Token of an earlier page") from None
    if fingerprint != query.fingerprint:
        raise InvalidMember(field="pageToken", rule="must come with the parameters of the query that it was given for")
    return edges


# Pages go by natural key, as the index of resources and keys stands: by id the first page of students read every row of
# attendance, half a second for half a million. A token names ids, for a natural key may be a student's number.
def _between(after: UUID, until: UUID) -> list[sa.ColumnElement[bool]]:
    edges: list[sa.ColumnElement[bool]] = []
    if after != _FIRST:
        edges.append(DOCUMENTS.c.key > _key_of(after))
    if until != _LAST:
        edges.append(DOCUMENTS.c.key <= _key_of(until))
    return edges


def _key_of(identity: UUID) -> sa.ScalarSelect[str]:
    edge = DOCUMENTS.alias()
    return sa.select(edge.c.key).where(edge.c.id == identity).scalar_subquery()


def _within(first: int | None, last: int | None) -> list[sa.ColumnElement[bool]]:
    edges: list[sa.ColumnElement[bool]] = []
    if first is not None:
        edges.append(DOCUMENTS.c.change_version >= first)
    if last is not None:
        edges.append(DOCUMENTS.c.change_version <= last)
    return edges


def _filters(resource: Resource, wanted: Mapping[str, str]) -> list[sa.ColumnElement[bool]]:
    filters: list[sa.ColumnElement[bool]] = []
    for name, value in wanted.items():
        if name == "id":
            filters.append(DOCUMENTS.c.id == _identity(value))
            continue
        path = resource.leaves.get(name) or (name if name in required_beside_key(resource) else None)
        if path is None:
            raise InvalidMember(field=name, rule="is not part of the natural key")
        if "\x00" in value:
            raise InvalidMember(field=name, rule="must not hold control characters")
        filters += _filter(resource, path, value)
    return filters


def required_beside_key(resource: Resource) -> list[str]:
    """What every document says beside its natural key; clients that cannot tell the two apart ask for all of it."""
    plain = (name for name, each in resource.shape.items() if each.required and not isinstance(each.read, Mapping))
    return [name for name in plain if name not in resource.identity and name not in resource.sealed]


def _identity(value: str) -> UUID:
    try:
        return UUID(value)
    except ValueError:
        raise InvalidMember(field="id", rule="must be the id of a document") from None


def _as_kept(resource: Resource, path: str, value: str) -> str:
    """A value as a document that says it is kept; one that none can say stays as it is, and finds nothing."""
    (read,) = (member.read for at, member in leaves(resource.shape) if at == path)
    with suppress(BrokenRule):
        kept = value if isinstance(read, Mapping) else read(value)
        return kept if isinstance(kept, str) else to_json(kept).decode()
    return value


def _filter(resource: Resource, path: str, value: str) -> list[sa.ColumnElement[bool]]:
    """Where the member at ``path`` has this value; first by what an index knows, then exactly."""
    value = _as_kept(resource, path, value)
    if resource.identity == (path,):
        return [DOCUMENTS.c.key == key_text(iter([value]))]
    member = DOCUMENTS.c.body[tuple(path.split("."))].astext
    if path in resource.codes:
        return [sa.func.lower(sa.func.substring(member, "[^#]*$")) == code_value(value).lower()]
    narrower = []
    if path == resource.school:
        narrower.append(DOCUMENTS.c.school_id == value)
    if path == "studentReference.studentUniqueId":
        student = sa.select(DOCUMENTS.c.id).where(
            DOCUMENTS.c.resource == "students", DOCUMENTS.c.key == key_text(iter([value]))
        )
        narrower.append(DOCUMENTS.c.refs.contains(sa.func.array(student.scalar_subquery())))
    return [*narrower, member == value]
