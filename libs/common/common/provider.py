"""The district's identity provider at work: its keys, fetched over HTTP and kept for a while, and whom a token is of."""

import asyncio
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey, import_key
from joserfc.jwt import Token

from common.auth import ALGORITHMS, Principal, unverified, verified
from common.clients import Clients
from common.errors import ProviderUnavailable, SisterUnavailable, StaffUnknown, Unauthenticated
from common.keys import Trusted
from common.oidc import Oidc, check_access_token, permissions_of, role_of, second_factor, staff_name

FRESH_SECONDS = 300.0
"""How long keys are used before they are asked for anew, and how long an unknown key id stays unknown. Ours: so long may a
key that the provider withdrew be believed."""
STALE_SECONDS = 12 * 3600.0
"""How long keys, and who a person is, are believed while nobody answers. Ours: one working day."""
COOL_DOWN_SECONDS = 10.0
"""The least time between two fetches, whatever asks for them. Ours: six requests a minute harm no provider."""
STAFF_SECONDS = 60.0
"""How long the SIS's answer about a person is remembered: as long as a verified token."""
_TIMEOUT_SECONDS = 5.0
_LARGEST_BYTES = 1024 * 1024
_SMALLEST_RSA_BITS = 2048
"""Source: NIST SP 800-131A revision 2, table 2."""
_MOST_PEOPLE = 10_000
_PUBLIC = frozenset({"kty", "kid", "use", "alg", "n", "e", "crv", "x", "y"})

log = structlog.get_logger(__name__)


class Provider:
    """Whom the tokens of the district's identity provider are of."""

    def __init__(self, oidc: Oidc, clients: Clients) -> None:
        self.oidc, self.keys, self.people = oidc, ProviderKeys(oidc.issuer), People(oidc, clients)

    def issued(self, token: str) -> bool:
        """Whether ``token`` says that it is the provider's; that it is, is for ``principal_of`` to find out."""
        try:
            return bool(unverified(token).claims.get("iss") == self.oidc.issuer)
        except Unauthenticated:
            return False

    async def verified(self, token: str) -> Token:
        """Header and claims of ``token``, which the provider signed.

        Raises:
            Unauthenticated: it did not.
            ProviderUnavailable: its keys cannot be had.
        """
        return verified(token, await self.keys.with_key(unverified(token).header.get("kid")))

    async def principal_of(self, signed: Token) -> Principal:
        """The member of staff behind a token, in the widest role of their groups. Which schools are theirs, the SIS says.

        Raises:
            Unauthenticated: it is not an access token for Trellis, good now.
            Forbidden: the person has no role here, or is not known as staff.
            SisterUnavailable: sis does not answer, and has not said lately who this is.
        """
        check_access_token(signed, self.oidc)
        claims = signed.claims
        role, name = role_of(claims, self.oidc), staff_name(claims, self.oidc)
        staff = await self.people.staff_id(name)
        return Principal(
            role=role,
            subject=str(staff),
            staff_id=staff,
            permissions=permissions_of(claims, self.oidc),
            second_factor=second_factor(claims, self.oidc),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self.keys.close()


@cache
def _authorities() -> ssl.SSLContext:
    # Read once: it takes a tenth of a second, and one process may run five services.
    return httpx.create_ssl_context()


class ProviderKeys:
    """The provider's public keys: fetched when first needed, then now and then, and when a token names one that is not among them."""

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self._http = httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, verify=_authorities())
        self._trusted, self._ids, self._fetched_at = Trusted({}), frozenset[str](), float("-inf")
        self._fetching: asyncio.Task[None] | None = None
        self._next_fetch_at = float("-inf")
        self._unknown: dict[str, float] = {}

    async def with_key(self, kid: object) -> Trusted:
        """The keys as they are known now, after asking for them if ``kid`` is not among them.

        Raises:
            ProviderUnavailable: none are known that are not too old, and none can be had.
            Unauthenticated: the token does not say which key it was made with.
        """
        if not isinstance(kid, str):
            raise Unauthenticated(reason="it does not name its key")
        if self._age() > STALE_SECONDS:
            self._begin()
            await self._fetched()
        elif self._age() > FRESH_SECONDS:
            self._begin()  # and nobody waits for it
        if self._ids and kid not in self._ids:
            await self._look_for(kid)
        if self._age() > STALE_SECONDS:
            raise ProviderUnavailable
        return self._trusted

    async def close(self) -> None:
        """Close every connection."""
        if self._fetching:
            self._fetching.cancel()
        await self._http.aclose()

    def _age(self) -> float:
        return time.monotonic() - self._fetched_at

    async def _look_for(self, kid: str) -> None:
        now = time.monotonic()
        self._unknown = {each: at for each, at in self._unknown.items() if now - at < FRESH_SECONDS}
        if kid in self._unknown:
            return
        begun = self._begin()
        await self._fetched()
        if begun and self._fetched_at >= now and kid not in self._ids:
            self._unknown[kid] = now

    def _begin(self) -> bool:
        """Begin a fetch, unless one is under way or was a moment ago; whether it was begun."""
        if time.monotonic() < self._next_fetch_at or (self._fetching and not self._fetching.done()):
            return False
        self._next_fetch_at = time.monotonic() + COOL_DOWN_SECONDS
        self._fetching = asyncio.create_task(self._renew())
        return True

    async def _fetched(self) -> None:
        """Wait for the fetch that is under way, if one is."""
        if self._fetching:
            await asyncio.shield(self._fetching)

    async def _renew(self) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                keys = await self._read_keys()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError, RecursionError) as error:
            reason = str(error) if isinstance(error, Unusable) else ""
            log.warning("the identity provider's keys could not be had", error=type(error).__name__, reason=reason)
            return
        self._trusted = Trusted({self._issuer: KeySet(list(keys.values()))})
        self._ids, self._fetched_at = frozenset(keys), time.monotonic()

    async def _read_keys(self) -> dict[str, "PublicKey"]:
        described = await self._read(self._issuer.rstrip("/") + "/.well-known/openid-configuration")
        if described.get("issuer") != self._issuer:
            raise Unusable("its description names another issuer")
        address = str(described.get("jwks_uri"))
        if urlsplit(address).scheme not in ("https", urlsplit(self._issuer).scheme):
            raise Unusable("its keys are not at an https address")
        return public_keys(await self._read(address))

    async def _read(self, address: str) -> Mapping[str, Any]:
        async with self._http.stream("GET", address, headers={"Accept": "application/json"}) as response:
            if response.status_code != 200:
                raise Unusable(f"it answers {response.status_code}")
            body = b""
            async for part in response.aiter_bytes():
                body += part
                if len(body) > _LARGEST_BYTES:
                    raise Unusable("its answer is too large")
        document = json.loads(body)
        if not isinstance(document, dict):
            raise Unusable("its answer is no object")
        return document


class Unusable(ValueError):
    """The provider answers, and not as it should. The message is ours alone, without a word of the answer."""


PublicKey = RSAKey | ECKey | OKPKey


def public_keys(document: Mapping[str, Any]) -> dict[str, PublicKey]:
    """The keys of a JSON Web Key Set that may sign access tokens, by their ids; others are left out.

    Raises:
        Unusable: there is none.
    """
    listed = document.get("keys")
    found = [_public_key(each) for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    keys = {key.kid: key for key in found if key and key.kid}
    if not keys:
        raise Unusable("it has no key that Trellis can use")
    return keys


def _public_key(listed: Mapping[str, Any]) -> PublicKey | None:
    # Keys for encryption, of kinds that are not for us, or too short stand in the same sets.
    if listed.get("use", "sig") != "sig" or listed.get("alg", ALGORITHMS[0]) not in ALGORITHMS:
        return None
    if not isinstance(listed.get("kid"), str) or listed.get("crv", "P-256") not in ("P-256", "Ed25519"):
        return None
    try:
        key = import_key({name: value for name, value in listed.items() if name in _PUBLIC})
    except (JoseError, TypeError, ValueError):
        return None
    if isinstance(key, RSAKey) and key.public_key.key_size < _SMALLEST_RSA_BITS:
        return None
    return key if isinstance(key, RSAKey | ECKey | OKPKey) else None


@dataclass(frozen=True, slots=True)
class Known:
    """Whom a name is of, nobody if ``None``, as sis said ``at`` some time; it may be asked again from ``ask_at`` on."""

    staff_id: UUID | None = None
    at: float = float("-inf")
    ask_at: float = float("-inf")


class People:
    """Which member of staff a sign-in name is of, as the SIS says, remembered in this process."""

    def __init__(self, oidc: Oidc, clients: Clients) -> None:
        self._claim, self._clients = oidc.staff_claim_is, clients
        self._known: dict[str, Known] = {}

    async def staff_id(self, name: str) -> UUID:
        """The id of the member of staff whom the SIS knows by ``name``.

        Raises:
            StaffUnknown: it knows nobody by it.
            SisterUnavailable: sis does not answer, and has not within the last ``STALE_SECONDS``.
        """
        known, now = self._known.get(name, Known()), time.monotonic()
        if now >= known.ask_at:
            known = await self._ask(name, known)
        if now - known.at > STALE_SECONDS:
            raise SisterUnavailable(service="sis")
        if known.staff_id is None:
            raise StaffUnknown(reason="the student information system does not know the name in the token")
        return known.staff_id

    async def _ask(self, name: str, before: Known) -> Known:
        now = time.monotonic()
        try:
            known = Known(await self._answer(name), at=now, ask_at=now + STAFF_SECONDS)
        except SisterUnavailable:
            known = replace(before, ask_at=now + COOL_DOWN_SECONDS)
        if name not in self._known and len(self._known) >= _MOST_PEOPLE:
            del self._known[next(iter(self._known))]
        self._known[name] = known
        return known

    async def _answer(self, name: str) -> UUID | None:
        body = {"claim": self._claim, "value": name}
        response = await self._clients.request("sis", "POST", "/sis/v1/staff/sign-in", json=body)
        if response.status_code == 200:
            return UUID(response.json()["staff_id"])
        if response.status_code in (404, 422):  # nobody has such a name, or nobody can
            return None
        raise SisterUnavailable(service="sis")
