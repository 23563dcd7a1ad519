"""OAuth 2.0 client credentials: with what a client asks for a token, and in which words it is refused."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_plus


@dataclass(frozen=True, slots=True)
class ClientPolicy:
    """How long a client's token holds and its earlier secret, and what checking one may cost."""

    token_seconds: int
    argon2_kibibytes: int
    argon2_passes: int
    argon2_lanes: int
    checks_at_once: int
    checks_waiting: int
    checks_niceness: int
    overlap_hours: int
    overlap_most_hours: int


class TokenRefused(Exception):
    """A request for a token is refused with this error code.

    ``description`` is for whoever sets up the client; it never quotes the request. Source: RFC 6749, section 5.2.
    """

    def __init__(self, error: str, description: str = "") -> None:
        self.error, self.description = error, description
        super().__init__(error)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client says it is, and the secret it says so with."""

    client_id: str
    secret: str = field(repr=False)


def fields_of(pairs: Iterable[tuple[str, object]]) -> dict[str, str]:
    """Parameters by name in small letters, as some Ed-Fi clients write them otherwise; those without a value are left out.

    Raises:
        TokenRefused: one stands twice, or is no text.
    """
    fields: dict[str, str] = {}
    for name, value in pairs:
        if value is None or value == "":
            continue
        if not isinstance(value, str):
            raise TokenRefused("invalid_request", "A parameter is no text.")
        if name.lower() in fields:
            raise TokenRefused("invalid_request", "A parameter stands twice.")
        fields[name.lower()] = value
    return fields


def check_grant(fields: Mapping[str, str]) -> None:
    """Raise :class:`TokenRefused` unless client credentials are asked for."""
    if "grant_type" not in fields:
        raise TokenRefused("invalid_request", "grant_type is missing.")
    if fields["grant_type"].lower() != "client_credentials":
        raise TokenRefused("unsupported_grant_type", "grant_type must be client_credentials.")


def credentials_of(authorization: str, fields: Mapping[str, str]) -> Credentials:
    """The credentials in an ``Authorization`` header or among the fields.

    Raises:
        TokenRefused: there are none, they do not read, or there are two that differ.
    """
    inside = Credentials(fields.get("client_id", ""), fields.get("client_secret", ""))
    given = _basic(authorization) if authorization else inside
    if not given.client_id or not given.secret:
        raise TokenRefused("invalid_client")
    if inside.secret and inside != given:
        raise TokenRefused("invalid_request", "The header and the body hold different credentials.")
    return given


def _basic(authorization: str) -> Credentials:
    scheme, _, encoded = authorization.partition(" ")
    try:
        client_id, _, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise TokenRefused("invalid_client") from None
    if scheme.lower() != "basic":
        raise TokenRefused("invalid_client")
    return Credentials(unquote_plus(client_id), unquote_plus(secret))
