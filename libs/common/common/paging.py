"""Keyset paging: ``limit``, ``cursor`` and ``next``."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Generic, TypeVar, TypeVarTuple
from uuid import UUID

import sqlalchemy as sa
from fastapi import Query
from pydantic import BaseModel, Field, TypeAdapter
from sqlalchemy.orm import Mapped

from common.errors import Invalid

Item = TypeVar("Item")
Columns = TypeVarTuple("Columns")
_KINDS: Mapping[type, TypeAdapter[Any]] = {
    UUID: TypeAdapter(UUID),
    date: TypeAdapter(date),
    int: TypeAdapter(Annotated[int, Field(ge=0, lt=2**31)]),
    str: TypeAdapter(Annotated[str, Field(pattern=r"^[^\x00-\x1f]*$")]),
}
"""What a list may be ordered by, as PostgreSQL can hold it."""
Limit = Annotated[int, Query(ge=1, le=500, description="How many at most.")]
Cursor = Annotated[str | None, Query(max_length=400, description="The `next` of the page before.")]


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


def last_of(cursor: str, kind: type[Any]) -> Any:
    """What the page before ended with, in lists by one value of a kind: an id, a day, a number up to 2³¹ or a name.

    Raises:
        Invalid: this is no cursor of such a list.
    """
    (last,) = decode_cursor(cursor, 1)
    try:
        return _KINDS[kind].validate_python(last)
    except ValueError:
        raise Invalid(field="cursor", rule="must be the next of an earlier page") from None


def keyset(
    asked: sa.Select[*Columns], by: Mapped[Any], cursor: str | None, limit: int, *, latest_first: bool = False
) -> sa.Select[*Columns]:
    """The rows of one page by a column that no two of them share, and one row more; see :func:`next_of`.

    Raises:
        Invalid: this is no cursor of such a list.
    """
    if cursor is not None:
        last = last_of(cursor, by.type.python_type)  # type: ignore[attr-defined]  # a column to SQLAlchemy
        asked = asked.where(by < last if latest_first else by > last)
    return asked.order_by(by.desc() if latest_first else by).limit(limit + 1)


def next_of(found: Sequence[Item], limit: int, by: Callable[[Item], object]) -> str | None:
    """The cursor of what follows the first ``limit`` of ``found``; None: nothing does."""
    return encode_cursor(str(by(found[limit - 1]))) if len(found) > limit else None


def part_of(
    items: Sequence[Item], by: Callable[[Item], str], cursor: str | None, limit: int
) -> tuple[Sequence[Item], str | None]:
    """One page of what has to be made whole, in the order of ``by``, and the cursor of what follows.

    Raises:
        Invalid: this is no cursor of ours.
    """
    last = decode_cursor(cursor, 1)[0] if cursor is not None else ""
    found = sorted((each for each in items if by(each) > last), key=by)
    return found[:limit], next_of(found, limit, by)
