"""Keyset paging: ``limit``, ``cursor`` and ``next``."""

import base64
import json
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel

from common.errors import Invalid

Item = TypeVar("Item")
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
