"""OAuth 2.0 client credentials for the door, and what a token may do."""

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import parse_qsl

import sqlalchemy as sa
import structlog
from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from common.access import public, require
from common.app import Router
from common.auth import Principal, door_token, principal_of, verified
from common.errors import MalformedJson, Unauthenticated
from common.idempotency import repeatable
from common.json import parse
from common.keys import SigningKey
from common.runtime import Runtime, RuntimeOf
from sis.clients.credentials import client_of
from sis.policy import CLIENTS
from sis.resources import RESOURCES, key_text
from sis.rules.oauth import TokenRefused, check_grant, credentials_of, fields_of

router = Router("sis", tags=["OAuth"])
log = structlog.get_logger(__name__)

_BODY_BYTES = 16 * 1024
"""Many times what a request for a token holds; more is not read from somebody unknown."""
_NOT_KEPT = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_FORM = "application/x-www-form-urlencoded"
_PUBLIC = public(
    "a client proves itself by its secret, and has no token yet",
    reads=["non_personal"],
    purpose="operations",
    machine=True,
)
_SCHOOLS = sa.text(
    """
    SELECT school_id, body ->> 'nameOfInstitution' AS name FROM sis_document
    WHERE resource = 'schools' AND key = ANY(CAST(:keys AS text[])) AND NOT deleted
    """
)
_OPERATIONS = ["Create", "Read", "Update", "Delete"]


class Token(BaseModel):
    """A token and how many seconds it holds. Source: RFC 6749, section 5.1."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 (the kind of token, no secret)
    expires_in: int


class TokenError(BaseModel):
    """Why there is no token. Source: RFC 6749, section 5.2."""

    error: str
    error_description: str | None = None


class ClaimSet(BaseModel):
    """What a client may do, by the name of its role here."""

    name: str


class Permitted(BaseModel):
    """What a client may do with one resource."""

    resource: str
    operations: list[str]


class Organization(BaseModel):
    """An education organisation that a client is bound to."""

    education_organization_id: int
    name_of_institution: str | None
    type: str | None


class TokenInfo(BaseModel):
    """What a token may do, in Ed-Fi's words; without education organisations it is bound to none."""

    active: bool = True
    client_id: str
    namespace_prefixes: list[str]
    education_organizations: list[Organization]
    assigned_profiles: list[str]
    claim_set: ClaimSet
    resources: list[Permitted]
    services: list[str]


class NoToken(BaseModel):
    """A token that is not good, or not the caller's: nothing more is said. Source: RFC 7662, section 2.2."""

    active: bool = False


_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": TokenError, "description": "The request is malformed, or asks for another grant."},
    401: {"model": TokenError, "description": "The client or its secret is not known, or it was revoked."},
}


def _fields_of(example: dict[str, str]) -> dict[str, Any]:
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in example}}
    content = {each: {"schema": schema, "example": example} for each in (_FORM, "application/json")}
    return {"requestBody": {"required": True, "content": content}}


# Clients of an API that is kept by school year put the year first; it is not interpreted.
@router.post("/{school_year:int}/oauth/token", include_in_schema=False, dependencies=[_PUBLIC])
@router.post(
    "/oauth/token",
    response_model=Token,
    responses=_ERRORS,
    dependencies=[_PUBLIC],
    openapi_extra=_fields_of({"grant_type": "client_credentials", "client_id": "6d0f…", "client_secret": "shown once"}),
)
@repeatable("each token is another, and none is kept")
async def grant_token(request: Request, runtime: RuntimeOf) -> JSONResponse:
    """A token for a client that proves itself by HTTP Basic, or by ``client_id`` and ``client_secret`` in the body."""
    fields = await _fields(request)
    check_grant(fields)
    client = await client_of(runtime, credentials_of(request.headers.get("authorization", ""), fields))
    if client is None:
        raise TokenRefused("invalid_client")
    log.info("a client proved itself", service=runtime.name, subject=str(client))
    token = door_token(_door(runtime), client=str(client), lifetime_seconds=CLIENTS.token_seconds)
    granted = Token(access_token=token, expires_in=CLIENTS.token_seconds)
    return JSONResponse(granted.model_dump(), headers=_NOT_KEPT)


@router.get("/{school_year:int}/oauth/token_info", include_in_schema=False)
@router.get("/oauth/token_info", response_model=TokenInfo)
async def read_token_info(
    runtime: RuntimeOf, who: Annotated[Principal, require("sis", reads=["non_personal"], purpose="operations")]
) -> JSONResponse:
    """What the token of this request may do."""
    return await _info(runtime, who)


@router.post("/{school_year:int}/oauth/token_info", include_in_schema=False)
@router.post(
    "/oauth/token_info",
    response_model=TokenInfo | NoToken,
    responses={400: _ERRORS[400]},
    openapi_extra=_fields_of({"token": "eyJ…"}),
)
@repeatable("it only reads")
async def read_info_of_token(
    request: Request,
    runtime: RuntimeOf,
    who: Annotated[Principal, require("sis", reads=["non_personal"], purpose="operations")],
) -> JSONResponse:
    """What a token of this same client may do; of any other token only that it is not active."""
    fields = await _fields(request)
    if "token" not in fields:
        raise TokenRefused("invalid_request", "token is missing.")
    try:
        asked = principal_of(verified(fields["token"], runtime.keys.trusted), service=runtime.name)
    except Unauthenticated:
        asked = None
    # Who asks was let in, so that the client is not revoked; what it is bound to is not in the token.
    return await _info(runtime, who if asked and (asked.subject, asked.client) == (who.subject, who.client) else None)


async def refuse(_: Request, refused: Exception) -> JSONResponse:
    """The answer to a request for a token that is refused."""
    if not isinstance(refused, TokenRefused):
        raise TypeError("only refused tokens are answered here") from refused
    log.warning("a request for a token was refused", service="sis", reason=refused.error)
    answer = TokenError(error=refused.error, error_description=refused.description or None)
    unknown = refused.error == "invalid_client"
    challenge = {"WWW-Authenticate": 'Basic realm="trellis"'} if unknown else {}
    return JSONResponse(answer.model_dump(exclude_none=True), 401 if unknown else 400, _NOT_KEPT | challenge)


async def _fields(request: Request) -> dict[str, str]:
    """A form or a JSON object, whatever the content type says: some clients send a form as JSON and the reverse."""
    body = await _body(request)
    if not body.lstrip().startswith(b"{"):
        return fields_of(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
    try:
        return fields_of(parse(body).items())
    except MalformedJson:
        raise TokenRefused("invalid_request", "The body is neither a form nor a JSON object.") from None


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_BYTES:
            raise TokenRefused("invalid_request", f"The body is larger than {_BODY_BYTES} bytes.")
    return body


def _door(runtime: Runtime) -> SigningKey:
    if runtime.keys.door is None:
        raise RuntimeError("sis does not start without the key of its door")
    return runtime.keys.door


async def _info(runtime: Runtime, who: Principal | None) -> JSONResponse:
    """A token of staff in the role sis is active as long as it is good; a client's also only while the client is."""
    if who is None:
        return JSONResponse(NoToken().model_dump(), headers=_NOT_KEPT)
    named = [name for name in RESOURCES if not who.resources or name in who.resources]
    info = TokenInfo(
        client_id=who.subject,
        namespace_prefixes=["uri://"],
        education_organizations=await _organizations(runtime, sorted(who.schools)) if who.client else [],
        assigned_profiles=[],
        claim_set=ClaimSet(name=who.role),
        resources=[Permitted(resource=f"/ed-fi/{name}", operations=_OPERATIONS) for name in named],
        services=[],
    )
    return JSONResponse(info.model_dump(), headers=_NOT_KEPT)


async def _organizations(runtime: Runtime, ids: Sequence[str]) -> list[Organization]:
    """What a client is bound to; one that was not pushed yet is known by its number alone."""
    if not ids:
        return []
    async with runtime.transaction() as session:
        rows = await session.execute(_SCHOOLS, {"keys": [key_text([one]) for one in ids]})
    names = {row.school_id: row.name for row in rows}
    return [
        Organization(
            education_organization_id=int(one),
            name_of_institution=names.get(one),
            type="edfi.School" if one in names else None,
        )
        for one in ids
    ]
