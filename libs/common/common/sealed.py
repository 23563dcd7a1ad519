"""Sealed columns: AES-256-GCM in the application, so that the database and its backups hold no readable address."""

import hmac
import os
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.types import TypeDecorator

_MARK = b"\x01T"  # version 1 of the format, then: key id (1 byte length + text), nonce (12), ciphertext with tag
_NONCE = 12


class SealBroken(Exception):
    """A sealed value does not open: another key, another row, or changed bytes."""


class Sealed(TypeDecorator[bytes]):
    """A column of values made by :meth:`Vault.seal`. Anything else is refused, so plain text cannot slip in."""

    impl: Any = sa.LargeBinary
    cache_ok: bool | None = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> bytes | None:
        """Refuse what no vault made."""
        if value is not None and not (isinstance(value, bytes) and value.startswith(_MARK)):
            raise TypeError("a Sealed column takes only what Vault.seal returned")
        return value


class Vault:
    """Seals and opens values with the keys of one service.

    The first key seals; every key opens, so keys rotate without a pause. Table, column and row are authenticated: a
    value copied to another row does not open.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise ValueError("a vault needs at least one key")
        self._ciphers = {name: AESGCM(key) for name, key in keys.items()}
        self._current = next(iter(keys))
        self._digests = [hmac.digest(key, b"trellis digest", "sha256") for key in keys.values()]

    def seal(self, text: str, *, table: str, column: str, row: UUID | str) -> bytes:
        """``text`` as sealed bytes that open only for this table, column and row."""
        nonce, name = os.urandom(_NONCE), self._current.encode()
        head = _MARK + bytes((len(name),)) + name + nonce
        return head + self._ciphers[self._current].encrypt(nonce, text.encode(), _place(table, column, row))

    def digest(self, text: str) -> bytes:
        """The same 32 bytes for the same text, as long as the first key is the same; without the key nobody can guess it."""
        return self.digests(text)[0]

    def digests(self, text: str) -> list[bytes]:
        """What :meth:`digest` answers and answered with each of the keys, for those who look for a text seen before."""
        return [hmac.digest(key, text.encode(), "sha256") for key in self._digests]

    def open(self, sealed: bytes, *, table: str, column: str, row: UUID | str) -> str:
        """The text that was sealed.

        Raises:
            SealBroken: it was sealed for another place, with an unknown key, or was changed.
        """
        start = len(_MARK) + 1
        end = start + (sealed[start - 1] if sealed.startswith(_MARK) and len(sealed) >= start else 0)
        cipher = self._ciphers.get(sealed[start:end].decode(errors="replace"))
        if cipher is None:
            raise SealBroken("unknown key")
        nonce, body = sealed[end : end + _NONCE], sealed[end + _NONCE :]
        try:
            return cipher.decrypt(nonce, body, _place(table, column, row)).decode()
        except (InvalidTag, ValueError):
            raise SealBroken("it does not open here") from None


def _place(table: str, column: str, row: UUID | str) -> bytes:
    return "\x1f".join((table, column, str(row))).encode()
