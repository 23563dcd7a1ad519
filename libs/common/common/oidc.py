"""What a token of the district's own identity provider says: whether it is an access token for Trellis, of whom, in which role.

Providers mark access tokens in ways of their own. Three are understood, and whatever bears no such mark is refused:

- RFC 9068: the header's ``typ`` is ``at+jwt``.
- Keycloak: the claim ``typ`` is ``Bearer``. In its ID tokens it is ``ID``.
- Microsoft Entra, version 2: the claim ``scp`` names what the person let the application do. ID tokens have none.

Google signs ID tokens only, and its access tokens are not for others to read: docs/signing-in.md says what helps.
"""

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from joserfc.jwt import Token
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from common.auth import StaffPermission, in_time
from common.errors import RoleMissing, StaffUnknown, Unauthenticated

StaffRole = Literal["district", "principal", "counselor", "facilitator", "teacher"]
"""What a group may be: a person's roles, the widest first. What machines may do is in nobody's group."""
_ID_TOKEN_CLAIMS = frozenset({"nonce", "at_hash", "c_hash", "s_hash"})
"""What OpenID Connect puts into ID tokens alone. Source: OpenID Connect Core 1.0, 2 and 3.3.2.11; FAPI 1.0 part 2, 5.1."""
_SECOND_FACTOR_CLAIMS = ("acr", "amr", "acrs")
"""How a person signed in. Source: OpenID Connect Core 1.0, 2; ``acrs`` holds Entra's authentication contexts."""
_LONGEST = 255
"""Characters of a subject. Source: OpenID Connect Core 1.0, 2 (``sub``)."""


def _issuer(address: str) -> str:
    parts = urlsplit(address)
    if not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(
            "must be the address that the provider's tokens name, such as https://login.example.org/realms/staff"
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and is_this_machine(parts.hostname)):
        raise ValueError("must begin with https://")
    return address


def is_this_machine(host: str) -> bool:
    """Whether nothing that is said to ``host`` leaves this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Oidc(BaseModel):
    """The district's identity provider, and what its tokens' claims mean here."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    issuer: Annotated[str, AfterValidator(_issuer)] = Field(description="The `iss` of its tokens, to the letter.")
    audience: str = Field(min_length=1, description="The `aud` by which its tokens are meant for Trellis.")
    roles: dict[str, StaffRole] = Field(min_length=1, description="The role here of each group that has one.")
    permissions: dict[str, frozenset[StaffPermission]] = Field(
        default_factory=dict, description="What each group may do that no role brings by itself."
    )
    role_claim: str = Field(default="groups", description="The claim that names groups.")
    staff_claim: str = Field(default="email", description="The claim that names the member of staff.")
    staff_claim_is: Literal["email", "staff_unique_id"] = Field(default="email", description="What that claim holds.")
    second_factor: frozenset[str] = Field(
        default=frozenset(),
        description="Values of acr, amr or acrs that count as a second factor; none: it is not asked.",
    )


def check_access_token(signed: Token, oidc: Oidc) -> None:
    """Return if the token, whose signature was found good, is an access token for Trellis that is good now.

    Raises:
        Unauthenticated: it is of another kind, issuer, audience or time, or bound to a key that nobody showed.
    """
    claims = signed.claims
    if not _says_access(signed) or _ID_TOKEN_CLAIMS & claims.keys():
        raise Unauthenticated(reason="it is not an access token")
    if "cnf" in claims:
        raise Unauthenticated(reason="it is good only with a proof that was not shown")
    audience = claims.get("aud")
    if claims.get("iss") != oidc.issuer or oidc.audience not in (
        audience if isinstance(audience, list) else [audience]
    ):
        raise Unauthenticated(reason="the issuer or audience is another one")
    # Whoever asks for a token is the audience of the ID token alone.
    if oidc.audience in (claims.get("azp"), claims.get("client_id")):
        raise Unauthenticated(reason="its audience is the application that asked for it")
    if not in_time(claims):
        raise Unauthenticated(reason="it has expired or is not valid yet")
    if not _is_name(claims.get("sub")):
        raise Unauthenticated(reason="a claim is malformed")


def _says_access(signed: Token) -> bool:
    said, claims = signed.header.get("typ", "JWT"), signed.claims
    if not isinstance(said, str) or claims.get("typ", "Bearer") != "Bearer":
        return False
    if said.lower().removeprefix("application/") == "at+jwt":
        return True
    entra = claims.get("ver") == "2.0" and isinstance(claims.get("scp"), str) and bool(claims["scp"])
    return said.upper() == "JWT" and ("typ" in claims or entra)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST and value.isascii() and value.isprintable()


def role_of(claims: Mapping[str, Any], oidc: Oidc) -> str:
    """The widest role that any of the person's groups has.

    Raises:
        RoleMissing: none has one. Not 401: signing in again would change nothing.
    """
    given = {oidc.roles[group] for group in _texts(claims.get(oidc.role_claim)) if group in oidc.roles}
    role = next((role for role in get_args(StaffRole) if role in given), None)
    if role is None:
        raise RoleMissing
    return str(role)


def permissions_of(claims: Mapping[str, Any], oidc: Oidc) -> frozenset[str]:
    """What the person's groups may do besides their role."""
    groups = _texts(claims.get(oidc.role_claim))
    return frozenset[str]().union(*(given for group, given in oidc.permissions.items() if group in groups))


def staff_name(claims: Mapping[str, Any], oidc: Oidc) -> str:
    """What the token calls the member of staff, for the SIS to find.

    Raises:
        StaffUnknown: nothing, or an e-mail address that the provider does not vouch for.
    """
    name = claims.get(oidc.staff_claim)
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST:
        raise StaffUnknown(reason="the token does not name one")
    # An address that people may enter themselves would let them be anybody. Entra says so by a claim of its own.
    vouched = claims.get("email_verified") is True or claims.get("xms_edov") in (True, "1", "true")
    if oidc.staff_claim == "email" and not vouched:
        raise StaffUnknown(reason="the provider does not say that it verified the e-mail address")
    return name


def second_factor(claims: Mapping[str, Any], oidc: Oidc) -> bool:
    """Whether the person signed in with what the district counts as a second factor, or the district asks for none."""
    said = {text for claim in _SECOND_FACTOR_CLAIMS for text in _texts(claims.get(claim))}
    return not oidc.second_factor or not said.isdisjoint(oidc.second_factor)


def _texts(claim: object) -> set[str]:
    """The texts of a claim that holds one or several; whatever else it holds is none."""
    several = claim if isinstance(claim, list) else [claim]
    return {text for text in several if isinstance(text, str)}
