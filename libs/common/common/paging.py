"""Keyset paging: ``limit``, ``cursor`` and ``next``, which is good for the list that gave it and for no other."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime
from typing import Annotated, Any, Generic, TypeVar, TypeVarTuple
from uuid import UUID

import sqlalchemy as sa
from fastapi import Query
from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter
from sqlalchemy.orm import Mapped

from common.errors import Invalid

Item = TypeVar("Item")
Column = Mapped[Any] | sa.ColumnElement[Any]
Columns = TypeVarTuple("Columns")
_KINDS: Mapping[type, TypeAdapter[Any]] = {
    UUID: TypeAdapter(UUID),
    date: TypeAdapter(date),
    datetime: TypeAdapter(AwareDatetime),
    int: TypeAdapter(Annotated[int, Field(ge=0, lt=2**31)]),
    str: TypeAdapter(Annotated[str, Field(pattern=r"^[^\x00]*$")]),
}
"""What a list may be ordered by, as PostgreSQL can hold it."""
Limit = Annotated[int, Query(ge=1, le=500, description="How many at most.")]
Cursor = Annotated[str | None, Query(max_length=400, description="The `next` of the page before.")]


_list = ContextVar("list", default="")
"""Which list is being answered."""
_DIGITS = 8


@contextmanager
def listing(route: str) -> Iterator[None]:
    """While the list at ``route`` is answered: its cursors are good there alone."""
    before = _list.set(hashlib.sha256(route.encode()).hexdigest()[:_DIGITS])
    try:
        yield
    finally:
        _list.reset(before)


class Page(BaseModel, Generic[Item]):
    """Some items, and the cursor of those that follow, or null at the end."""

    items: list[Item]
    next: str | None = None


def encode_cursor(*values: str) -> str:
    """A cursor that stands for the last item's sort values."""
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def decode_cursor(text: str, parts: int) -> tuple[str, ...]:
    """The values that :func:`encode_cursor` was given.

    Raises:
        Invalid: this is no cursor of ours.
    """
    try:
        values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        values = None
    if not isinstance(values, list) or len(values) != parts or not all(isinstance(value, str) for value in values):
        raise Invalid(field="cursor", rule="must be the next of an earlier page")
    return tuple(values)


def last_of(cursor: str, *kinds: type[Any]) -> tuple[Any, ...]:
    """What the page before ended with, each value of its kind: an id, a day, a moment, a number up to 2³¹ or a name.

    Raises:
        Invalid: this is no cursor of this list.
    """
    of, *last = decode_cursor(cursor, 1 + len(kinds))
    try:
        if of == _list.get():
            return tuple(_KINDS[kind].validate_python(each) for kind, each in zip(kinds, last, strict=True))
    except ValueError:
        pass
    raise Invalid(field="cursor", rule="must be the next of an earlier page")


def keyset(
    asked: sa.Select[*Columns],
    by: Column | Sequence[Column],
    cursor: str | None,
    limit: int,
    *,
    latest_first: bool = False,
) -> sa.Select[*Columns]:
    """The rows of one page by a column, or columns, in which no two of them are alike, and one row more; see :func:`next_of`.

    Raises:
        Invalid: this is no cursor of this list.
    """
    columns: Any = by if isinstance(by, Sequence) else [by]
    if cursor is not None:
        last = last_of(cursor, *(getattr(each.type, "impl_instance", each.type).python_type for each in columns))
        ends = sa.tuple_(*(sa.literal(value, each.type) for each, value in zip(columns, last, strict=True)))
        asked = asked.where(sa.tuple_(*columns) < ends if latest_first else sa.tuple_(*columns) > ends)
    return asked.order_by(*(each.desc() if latest_first else each for each in columns)).limit(limit + 1)


def next_of(found: Sequence[Item], limit: int, *by: Callable[[Item], object]) -> str | None:
    """The cursor of what follows the first ``limit`` of ``found``; None: nothing does."""
    if len(found) <= limit:
        return None
    return encode_cursor(_list.get(), *(str(each(found[limit - 1])) for each in by))


def part_of(
    items: Sequence[Item], by: Callable[[Item], str], cursor: str | None, limit: int
) -> tuple[Sequence[Item], str | None]:
    """One page of what has to be made whole, in the order of ``by``, and the cursor of what follows.

    Raises:
        Invalid: this is no cursor of ours.
    """
    (last,) = last_of(cursor, str) if cursor is not None else ("",)
    found = sorted((each for each in items if by(each) > last), key=by)
    return found[:limit], next_of(found, limit, by)
