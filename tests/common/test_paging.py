"""Lists page by page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Invalid
from common.paging import encode_cursor, part_of


@given(items=st.sets(st.text(min_size=1)), limit=st.integers(min_value=1, max_value=10))
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


@pytest.mark.parametrize("cursor", ["nonsense", encode_cursor("a", "b")])
def test_a_cursor_of_another_list_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid):
        part_of(["a"], str, cursor, 1)
