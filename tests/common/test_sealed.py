"""Sealed values open only where they belong."""

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.sealed import SealBroken, Sealed, Vault

PLACE: dict[str, Any] = {"table": "sis_document", "column": "sealed", "row": uuid4()}


@given(st.text())
def test_what_was_sealed_opens_again(text: str) -> None:
    vault = Vault({"a": bytes(32)})

    assert vault.open(vault.seal(text, **PLACE), **PLACE) == text


@pytest.mark.parametrize("other", [{"table": "x"}, {"column": "x"}, {"row": uuid4()}])
def test_a_value_copied_to_another_place_does_not_open(other: dict[str, Any]) -> None:
    vault = Vault({"a": bytes(32)})

    with pytest.raises(SealBroken):
        vault.open(vault.seal("canary", **PLACE), **(PLACE | other))


def test_an_old_key_still_opens_and_the_first_seals() -> None:
    old = Vault({"old": bytes(32)}).seal("canary", **PLACE)
    vault = Vault({"new": bytes(range(32)), "old": bytes(32)})

    assert vault.open(old, **PLACE) == "canary"
    assert b"new" in vault.seal("canary", **PLACE)


@given(st.integers(min_value=0, max_value=40), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_breaks_the_seal(place: int, change: int) -> None:
    vault = Vault({"a": bytes(32)})
    sealed = bytearray(vault.seal("canary", **PLACE))
    sealed[place % len(sealed)] ^= change

    with pytest.raises(SealBroken):
        vault.open(bytes(sealed), **PLACE)


def test_a_value_that_was_cut_off_anywhere_does_not_open() -> None:
    vault = Vault({"a": bytes(32)})
    sealed = vault.seal("canary", **PLACE)

    for length in range(len(sealed)):
        with pytest.raises(SealBroken):
            vault.open(sealed[:length], **PLACE)


def test_equal_texts_do_not_look_alike() -> None:
    vault = Vault({"a": bytes(32)})

    assert vault.seal("canary", **PLACE) != vault.seal("canary", **PLACE)


@pytest.mark.parametrize("value", ["canary", b"canary", 7])
def test_a_sealed_column_refuses_what_no_vault_made(value: object) -> None:
    with pytest.raises(TypeError):
        Sealed().process_bind_param(value, None)  # type: ignore[arg-type]  # what types forbid


def test_a_digest_tells_the_same_text_again_and_nothing_without_the_key() -> None:
    vault, other = Vault({"a": bytes(32)}), Vault({"a": bytes(range(32))})

    assert vault.digest("canary") == vault.digest("canary") != vault.digest("canaries")
    assert other.digest("canary") != vault.digest("canary")
    assert Vault({"a": bytes(32), "old": bytes(range(32))}).digest("canary") == vault.digest("canary")
