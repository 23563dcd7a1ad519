"""A district's identity provider as a process: discovery, keys and the authorization code flow, in the shapes of others.

``http://…/keycloak``, ``/entra``, ``/google`` and ``/rfc9068`` are issuers of their own, whose tokens have the header and claims
that the product of that name sends. ``/{shape}/sign`` signs whatever a test wants signed, and ``/{shape}/behave`` lets it rotate
its keys, break or count what it is asked.
"""

import asyncio
import base64
import hashlib
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import NAMESPACE_URL, uuid4, uuid5

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from tests.processes import free_port

AUDIENCE = "trellis-api"
CLIENT = "trellis-console"
TENANT = "2b4c8a54-6f0b-4d0f-9d0e-6f3b1c1f0a11"
HEADERS = {"rfc9068": {"typ": "at+jwt"}, "keycloak": {"typ": "JWT"}, "entra": {"typ": "JWT"}, "google": {"typ": "JWT"}}

Key = RSAKey | ECKey | OKPKey


def new_key(algorithm: str) -> Key:
    parameters: Any = {"use": "sig", "alg": algorithm, "kid": secrets.token_urlsafe(12)}
    if algorithm == "ES256":
        return ECKey.generate_key("P-256", parameters)
    if algorithm == "EdDSA":
        return OKPKey.generate_key("Ed25519", parameters)
    return RSAKey.generate_key(2048, parameters)


@dataclass
class Realm:
    """One issuer: its keys, the newest last, how it misbehaves, and how often it was asked."""

    issuer: str
    shape: str
    keys: list[Key]
    algorithm: str = "RS256"
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    behaviour: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=lambda: {"discovery": 0, "keys": 0})

    def sign(self, header: Mapping[str, Any], claims: Mapping[str, Any], key: Any = None) -> str:
        key = key or self.keys[-1]
        full = {"alg": self.algorithm, "kid": key.kid, **header}
        full = {name: value for name, value in full.items() if value is not None}
        payload = {name: value for name, value in claims.items() if value is not None}
        if isinstance(key, RSAKey):  # which would refuse to sign by another algorithm than its own
            key = RSAKey.import_key({name: value for name, value in key.as_dict(private=True).items() if name != "alg"})
        every = ["RS256", "PS256", "ES256", "EdDSA", "HS256", "RS384"]
        return jwt.encode(full, payload, key, algorithms=every, registry=_Anything(algorithms=every), default_type=None)


class _Anything(JWSRegistry):
    """Signs with any header: a test of what is refused needs them."""

    max_header_length = 100_000

    def check_header(self, header: Any) -> None: ...


def access_claims(realm: Realm, person: Mapping[str, Any]) -> dict[str, Any]:
    """The claims of an access token for ``AUDIENCE``, as the product sends them."""
    now, email = int(time.time()), person.get("email")
    sub = str(person.get("sub") or uuid5(NAMESPACE_URL, str(email)))
    common = {"iss": realm.issuer, "aud": AUDIENCE, "sub": sub, "iat": now, "exp": now + 300}
    groups = list(person.get("groups", []))
    if realm.shape == "entra":
        return common | {
            "nbf": now,
            "aio": secrets.token_urlsafe(20),
            "azp": str(uuid5(NAMESPACE_URL, CLIENT)),
            "azpacr": "0",
            "oid": str(uuid4()),
            "tid": TENANT,
            "uti": secrets.token_urlsafe(16),
            "scp": "access",
            "ver": "2.0",
            "roles": groups,
            "preferred_username": email,
            "upn": email,
            "acrs": person.get("acrs"),
        }
    named = {"email": email, "email_verified": person.get("email_verified", True), "groups": groups}
    if realm.shape == "keycloak":
        return (
            common
            | named
            | {
                "aud": [AUDIENCE, "account"],
                "jti": f"onrtac:{uuid4()}",
                "typ": "Bearer",
                "azp": CLIENT,
                "sid": str(uuid4()),
                "acr": person.get("acr", "1"),
                "realm_access": {"roles": ["offline_access"]},
                "scope": "openid email profile",
                "preferred_username": email,
            }
        )
    return common | named | {"client_id": CLIENT, "jti": str(uuid4()), "scope": "trellis", "amr": person.get("amr")}


def id_claims(realm: Realm, person: Mapping[str, Any]) -> dict[str, Any]:
    """The claims of the ID token that comes along: for the application, not for a service."""
    said = access_claims(realm, person)
    kept = {name: said.get(name) for name in ("iss", "sub", "iat", "exp", "email", "email_verified", "groups", "roles")}
    marks = {"aud": CLIENT, "azp": CLIENT, "nonce": person.get("nonce"), "at_hash": secrets.token_urlsafe(12)}
    if realm.shape == "keycloak":
        marks |= {"typ": "ID"}
    if realm.shape == "google":
        marks |= {"hd": "district.example", "at_hash": secrets.token_urlsafe(12)}
    if realm.shape == "entra":
        marks |= {"ver": "2.0", "tid": TENANT}
    return kept | marks


app, realms = FastAPI(openapi_url=None), dict[str, Realm]()


@app.get("/{shape}/.well-known/openid-configuration")
async def describe(shape: str) -> Response:
    realm = realms[shape]
    realm.asked["discovery"] += 1
    answer = {
        "issuer": realm.behaviour.get("issuer", realm.issuer),
        "authorization_endpoint": f"{realm.issuer}/authorize",
        "token_endpoint": f"{realm.issuer}/token",
        "jwks_uri": realm.behaviour.get("jwks_uri", f"{realm.issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": [realm.algorithm],
    }
    return await _answer(realm, answer)


@app.get("/{shape}/keys")
async def keys(shape: str) -> Response:
    realm = realms[shape]
    realm.asked["keys"] += 1
    listed = [key.as_dict(private=False) for key in realm.keys] + realm.behaviour.get("more_keys", [])
    if shape == "entra":  # which does not say the algorithm, and says more that nobody asked for
        listed = [{name: key[name] for name in key if name != "alg"} | {"issuer": realm.issuer} for key in listed]
    return await _answer(realm, {"keys": listed})


@app.get("/{shape}/authorize")
async def authorize(shape: str, request: Request) -> Response:
    asked = dict(request.query_params)
    code = secrets.token_urlsafe(16)
    realms[shape].codes[code] = asked
    query = urlencode({"code": code, "state": asked["state"], "iss": realms[shape].issuer})
    return RedirectResponse(f"{asked['redirect_uri']}?{query}", 302)


@app.post("/{shape}/token")
async def token(shape: str, request: Request) -> Response:
    realm, given = realms[shape], {name: one[0] for name, one in parse_qs((await request.body()).decode()).items()}
    asked = realm.codes.pop(given["code"], None)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(given["code_verifier"].encode()).digest()).rstrip(b"=")
    if asked is None or asked["code_challenge"] != challenge.decode() or asked["client_id"] != given["client_id"]:
        return JSONResponse({"error": "invalid_grant"}, 400)
    person = json.loads(asked["login_hint"]) | {"nonce": asked["nonce"]}
    # Google's access tokens are for Google alone: nobody else can read them.
    opaque = f"ya29.{secrets.token_urlsafe(40)}" if shape == "google" else None
    access = opaque or realm.sign(HEADERS[shape], access_claims(realm, person))
    answer = {"access_token": access, "id_token": realm.sign({"typ": "JWT"}, id_claims(realm, person))}
    return JSONResponse(answer | {"token_type": "Bearer", "expires_in": 300})


@app.post("/{shape}/sign")
async def sign(shape: str, request: Request) -> dict[str, str]:
    realm, asked = realms[shape], await request.json()
    claims = access_claims(realm, asked.get("person", {})) | asked.get("claims", {})
    key: Any = None
    if asked.get("key") == "unpublished":
        key = new_key(realm.algorithm)
    elif asked.get("key") == "public as secret":
        key = OctKey.import_key(json.dumps(realm.keys[-1].as_dict(private=False)), {"kid": "x"})
    header = HEADERS[shape] | asked.get("header", {})
    if asked.get("embed"):
        header["jwk"] = (key or realm.keys[-1]).as_dict(private=False)
    return {"token": realm.sign(header, claims, key)}


@app.post("/{shape}/behave")
async def behave(shape: str, request: Request) -> dict[str, int]:
    realm, asked = realms[shape], await request.json()
    if "rotate" in asked:
        realm.algorithm = asked.pop("rotate")
        realm.keys = [*(realm.keys[-1:] if asked.pop("keep", True) else []), new_key(realm.algorithm)]
    realm.behaviour = asked
    return realm.asked


async def _answer(realm: Realm, document: Mapping[str, Any]) -> Response:
    does = realm.behaviour
    if "sleep" in does:
        await asyncio.sleep(does["sleep"])
    if "redirect" in does:
        return RedirectResponse(does["redirect"], 302)
    if "body" in does:
        return Response(does["body"] * does.get("times", 1), does.get("status", 200), media_type="application/json")
    return JSONResponse(document, does.get("status", 200))


@dataclass
class Shape:
    """One issuer of the running provider, as a test uses it."""

    issuer: str
    http: httpx.Client

    def sign_in(self, **person: Any) -> dict[str, str]:
        """The tokens that the console gets when this person signs in."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {"client_id": CLIENT, "redirect_uri": "http://127.0.0.1/back", "response_type": "code", "state": "s"}
        asked |= {"nonce": secrets.token_hex(8), "code_challenge": challenge, "code_challenge_method": "S256"}
        described = self._get("/.well-known/openid-configuration").json()
        back = self.http.get(described["authorization_endpoint"], params=asked | {"login_hint": json.dumps(person)})
        code = parse_qs(urlsplit(back.headers["location"]).query)["code"][0]
        form = {"grant_type": "authorization_code", "code": code, "client_id": CLIENT, "code_verifier": verifier}
        answer: dict[str, str] = self.http.post(described["token_endpoint"], data=form).json()
        return answer

    def sign(self, **asked: Any) -> str:
        """A token with other header fields, claims or key than it should have."""
        return str(self._post("/sign", asked)["token"])

    def behave(self, **how: Any) -> dict[str, int]:
        """Behave so from now on; how often discovery and keys were asked for until now."""
        asked: dict[str, int] = self._post("/behave", how)
        return asked

    def _get(self, path: str) -> httpx.Response:
        return self.http.get(self.issuer + path)

    def _post(self, path: str, body: Any) -> Any:
        return self.http.post(self.issuer + path, json=body).json()


@contextmanager
def running_provider() -> Iterator[dict[str, Shape]]:
    """The provider as a process of its own, by the shape of its tokens; killed at the end."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.identity_provider", str(port)])
    with httpx.Client(trust_env=False, timeout=20) as http:
        try:
            _wait_until_it_answers(http, port, process)
            yield {shape: Shape(f"http://127.0.0.1:{port}/{shape}", http) for shape in HEADERS}
        finally:
            process.kill()
            process.wait()


def _wait_until_it_answers(http: httpx.Client, port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < until:
        try:
            http.get(f"http://127.0.0.1:{port}/keycloak/keys")
            return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("the identity provider did not start")


if __name__ == "__main__":
    for each in HEADERS:
        realms[each] = Realm(f"http://127.0.0.1:{sys.argv[1]}/{each}", each, [new_key("RS256")])
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
