"""Cursors of lists that are ordered by id."""

from uuid import UUID

from common.errors import Invalid
from common.paging import decode_cursor


def after_of(cursor: str | None) -> UUID:
    """The id after which a page begins.

    Raises:
        Invalid: this is no cursor of such a list.
    """
    if cursor is None:
        return UUID(int=0)
    (text,) = decode_cursor(cursor, 1)
    try:
        return UUID(text)
    except ValueError:
        raise Invalid(field="cursor", rule="must be the next of an earlier page") from None
