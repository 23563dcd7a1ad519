"""Lists page by page."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Invalid
from common.paging import encode_cursor, last_of, listing, next_of, part_of

STORABLE = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1)


@given(items=st.sets(STORABLE), limit=st.integers(min_value=1, max_value=10))
def test_every_item_comes_once_and_in_order_whatever_the_size_of_the_page(items: set[str], limit: int) -> None:
    told: list[str] = []
    cursor: str | None = None
    while True:
        some, cursor = part_of(list(items), str, cursor, limit)
        told += some
        assert len(some) <= limit
        if cursor is None:
            break
        assert len(some) == limit
    assert told == sorted(items)


@given(items=st.sets(st.integers(10, 99), min_size=3), limit=st.integers(min_value=1, max_value=2), gone=st.data())
def test_what_is_gone_meanwhile_takes_nothing_else_along(items: set[int], limit: int, gone: st.DataObject) -> None:
    first, cursor = part_of(list(items), str, None, limit)
    left = items - {gone.draw(st.sampled_from(sorted(items)))}
    rest, _ = part_of(list(left), str, cursor, 500)
    assert rest == sorted(left - set(first))


@pytest.mark.parametrize(
    ("kind", "last"),
    [
        (UUID, UUID(int=7)),
        (date, date(2026, 9, 1)),
        (datetime, datetime(2026, 9, 1, 8, 30, 1, 250, tzinfo=UTC)),
        (int, 2**31 - 1),
        (str, "Süd 7"),
    ],
)
def test_a_cursor_says_where_its_page_ended_to_its_own_list_alone(kind: type[Any], last: Any) -> None:
    with listing("/mtss/v1/students"):
        cursor = next_of([last, last], 1, lambda each: each, lambda _: "and more")
        assert cursor is not None
        assert last_of(cursor, kind, str) == (last, "and more")
    with listing("/mtss/v1/supports"), pytest.raises(Invalid):
        last_of(cursor, kind, str)


@pytest.mark.parametrize(
    ("kind", "cursor"),
    [
        (str, "nonsense"),
        (str, encode_cursor("a")),
        (str, encode_cursor("", "a", "b")),
        (str, encode_cursor("another", "a")),
        (str, encode_cursor("", "\x00")),
        (int, encode_cursor("", "9" * 40)),
        (int, encode_cursor("", "-1")),
        (UUID, encode_cursor("", "x")),
        (date, encode_cursor("", "2026-02-30")),
        (datetime, encode_cursor("", "2026-09-01T08:00:00")),
    ],
)
def test_what_is_no_cursor_of_a_list_is_refused(kind: type[Any], cursor: str) -> None:
    with pytest.raises(Invalid):
        last_of(cursor, kind)
