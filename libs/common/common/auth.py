"""A bearer token becomes a principal: who asks, in which role, for which schools."""

import hashlib
import json
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jws import extract_compact
from joserfc.jwt import Token

from common.errors import Unauthenticated
from common.keys import DOOR, DOOR_SERVICE, STAFF, SigningKey, Trusted

AUDIENCE = "trellis"
"""The audience of staff tokens. The audience of any other token is the one service it is good for."""
STAFF_ROLES = frozenset({"sis", "district", "principal", "counselor", "facilitator", "teacher"})
StaffPermission = Literal["audit.read", "surveys.import-paper"]
READ_AUDIT: StaffPermission = "audit.read"
PERMISSIONS = frozenset(get_args(StaffPermission))
"""What no role brings by itself: a staff token carries it by name, for the routes that demand it."""
DOOR_ROLE = "sis"
"""The only role that a token of the door's key may have."""
SERVICE_TOKEN_SECONDS = 60
ALGORITHMS = ("Ed25519", "EdDSA", "ES256", "PS256", "RS256")
"""How a token may be signed: by a public key alone. EdDSA is what most identity providers call Ed25519."""
_TYPE = "at+jwt"
_KEYS_IN_THE_TOKEN = frozenset({"jwk", "jku", "x5c", "x5u", "crit"})
"""Headers by which a token would say itself how it is to be believed."""
_LEEWAY_SECONDS = 10
_REMEMBERED_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a person or a SIS in a staff role, an OAuth client by its id, or a sister service in the role ``service``."""

    role: str
    subject: str
    """Who it is on record. Of staff our own id: an identity provider may call one person by several names, and by their own."""
    schools: frozenset[str] = frozenset()
    staff_id: UUID | None = None
    service: str | None = None
    permissions: frozenset[str] = frozenset()
    second_factor: bool = False
    """Whether a second factor was shown, or none is to be asked for: a machine, or who holds a key of the deployment."""
    client: bool = False
    """An OAuth client of the door: ``schools`` and ``resources`` are what it is bound to, and nothing is all of them."""
    resources: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()
    """The field classes of the route that this role may read, for the route's purpose."""


def staff_token(
    key: SigningKey,
    *,
    role: str,
    schools: Sequence[str] = (),
    staff: UUID | None = None,
    permissions: Sequence[str] = (),
    lifetime_seconds: int = 12 * 3600,
) -> str:
    """A signed token for one of ``STAFF_ROLES``, with what it may do besides, of ``PERMISSIONS``."""
    claims = {"sub": str(staff) if staff else role, "role": role, "schools": list(schools)}
    if permissions:
        claims["permissions"] = list(permissions)
    if staff:
        claims["staff"] = str(staff)
    return _sign(key, STAFF, AUDIENCE, claims, lifetime_seconds)


def service_token(key: SigningKey, *, caller: str, callee: str) -> str:
    """A token with which ``caller`` may ask ``callee`` for a minute."""
    return _sign(key, caller, callee, {"sub": caller, "role": "service"}, SERVICE_TOKEN_SECONDS)


def door_token(key: SigningKey, *, client: str, lifetime_seconds: int) -> str:
    """A token with which an OAuth client may use the door whose ``key`` this is; ``client`` becomes the subject."""
    return _sign(key, DOOR, DOOR_SERVICE, {"sub": client, "role": DOOR_ROLE}, lifetime_seconds)


def principal_of(signed: Token, *, service: str) -> Principal:
    """Whom a token that is signed by its issuer speaks for, at ``service``.

    Raises:
        Unauthenticated: for another audience, expired, or with a role that its issuer may not give.
    """
    if signed.header.get("typ") != _TYPE:
        raise Unauthenticated(reason="it is not an access token")
    claims = signed.claims
    issuer, role = claims["iss"], claims.get("role")
    audience, roles = _given_by(issuer, service)
    if claims.get("aud") != audience:
        raise Unauthenticated(reason="the audience is another one")
    if not in_time(claims):
        raise Unauthenticated(reason="it has expired or is not valid yet")
    if not isinstance(role, str) or role not in roles:
        raise Unauthenticated(reason="its issuer may not give this role")
    if role == "service" and not _is_short(claims):
        raise Unauthenticated(reason="it was made for longer than a minute")
    if issuer != STAFF:  # what bounds or widens a person is for staff tokens alone
        claims = {name: value for name, value in claims.items() if name in ("sub", "role")}
    return _principal(claims, service=issuer if role == "service" else None, client=issuer == DOOR)


def _given_by(issuer: str, service: str) -> tuple[str, frozenset[str]]:
    """The audience and the roles that a token of ``issuer`` may have at ``service``."""
    if issuer == STAFF:
        return AUDIENCE, STAFF_ROLES
    return service, frozenset({DOOR_ROLE if issuer == DOOR else "service"})


def _sign(key: SigningKey, issuer: str, audience: str, claims: dict[str, Any], lifetime_seconds: int) -> str:
    now = int(time.time())
    algorithm = "Ed25519" if key.key_type == "OKP" else "RS256"
    header = {"alg": algorithm, "typ": _TYPE, "kid": key.kid}
    times = {"iss": issuer, "aud": audience, "iat": now, "exp": now + lifetime_seconds}
    return jwt.encode(header, times | claims, key, algorithms=ALGORITHMS)


def verified(token: str, trusted: Trusted) -> Token:
    """Header and claims of ``token``, signed by a key of the issuer that it names. Its times are still to be checked.

    Raises:
        Unauthenticated: malformed, too large, not signed so, or with a key of its own.
    """
    # The signature of one token stays what it is, and checking it anew was a sixth of what a push costs. What was refused is not
    # remembered, and what was not no longer than a minute.
    known = _known(hashlib.sha256(token.encode()).digest(), trusted, int(time.monotonic() // _REMEMBERED_SECONDS))
    if not known:
        known.append(_verify(token, trusted))
    return known[0]


def unverified(token: str) -> Token:
    """Header and claims that ``token`` says it has, only to choose whose keys must have made it.

    Raises:
        Unauthenticated: malformed.
    """
    try:
        parts = extract_compact(token.encode())
        claims = json.loads(parts.payload)
        header = parts.headers()
    except (JoseError, RecursionError, TypeError, ValueError):
        raise Unauthenticated(reason="it is malformed") from None
    if not isinstance(claims, dict) or not isinstance(header, dict):
        raise Unauthenticated(reason="it is malformed")
    return Token(header, claims)


@lru_cache(maxsize=1000)
def _known(digest: bytes, trusted: Trusted, minute: int) -> list[Token]:
    """What is known of a token in this minute: nothing at first, then its header and claims."""
    return []


def _verify(token: str, trusted: Trusted) -> Token:
    said = unverified(token)
    if _KEYS_IN_THE_TOKEN & said.header.keys():
        raise Unauthenticated(reason="it names a key of its own")
    try:
        keys = trusted.of[said.claims["iss"]]
        with warnings.catch_warnings():  # the name EdDSA is deprecated, and what most identity providers still send
            warnings.simplefilter("ignore")
            return jwt.decode(token, keys, algorithms=ALGORITHMS)
    except (JoseError, KeyError, TypeError, ValueError):
        raise Unauthenticated(reason="it is not signed by an issuer known here") from None


def in_time(claims: Mapping[str, Any]) -> bool:
    """Whether a token of these claims is good now, give or take ten seconds."""
    now, expires, not_before = time.time(), claims.get("exp"), claims.get("nbf", 0)
    if not isinstance(expires, int | float) or not isinstance(not_before, int | float):
        return False
    return not_before - _LEEWAY_SECONDS <= now < expires + _LEEWAY_SECONDS


def _is_short(claims: Mapping[str, Any]) -> bool:
    """Whether a token lives no longer than a sister service's may: one that leaks is good for no time."""
    made, expires = claims.get("iat"), claims["exp"]
    return (
        isinstance(made, int | float)
        and expires - made <= SERVICE_TOKEN_SECONDS
        and made <= time.time() + _LEEWAY_SECONDS
    )


def _principal(claims: Mapping[str, Any], *, service: str | None, client: bool) -> Principal:
    schools, named = claims.get("schools", []), claims.get("staff")
    try:
        staff = UUID(named) if named else None
        return Principal(
            role=claims["role"],
            subject=str(staff or claims["sub"]),
            schools=frozenset(map(str, schools)),
            staff_id=staff,
            service=service,
            permissions=_names(claims.get("permissions", [])),
            second_factor=True,
            client=client,
        )
    except (KeyError, TypeError, ValueError):
        raise Unauthenticated(reason="a claim is malformed") from None


def _names(claim: object) -> frozenset[str]:
    if not isinstance(claim, list) or not all(isinstance(name, str) for name in claim):
        raise TypeError("names are a list of texts")
    return frozenset(claim)
