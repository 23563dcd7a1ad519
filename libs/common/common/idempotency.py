"""What creates or contacts happens once, however often it is sent with the same ``Idempotency-Key``.

The answer is kept, sealed, in the transaction of its effect: either both are there or neither. A request that was refused
changed nothing, so nothing of it is kept, and its key may be sent again. A key belongs to one principal and one route, and
its answer is given again only while the route would let that principal see what it is about.

Source: draft-ietf-httpapi-idempotency-key-header-07: 422 for another request under the same key, 409 while the first is
being handled.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from http import HTTPStatus
from typing import Annotated, Any, ClassVar, TypeVar

import sqlalchemy as sa
from fastapi import Depends, Header, Request, Response
from fastapi.dependencies.models import Dependant
from sqlalchemy.ext.asyncio import AsyncSession

from common.access import Handle
from common.auth import Principal
from common.db import AFTERWARDS, hold_session
from common.errors import DomainError
from common.scope import see_by_key, sight_of
from common.sealed import Vault

Route = TypeVar("Route", bound=Callable[..., Any])

_HEADER = "Idempotency-Key"
_KEY = r"^[\x21-\x7e]{1,255}$"
_TABLE, _COLUMN = "answer", "sealed"
_NOT_FOR_YOU = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})
_UNSURE = frozenset({HTTPStatus.SERVICE_UNAVAILABLE})
"""Whether it is for them cannot be found out at the moment: so it is not repeated either."""
_LOCK = sa.text("SELECT pg_try_advisory_xact_lock(:number)")
_READ = sa.text("SELECT sealed FROM answer WHERE id = :id")
_KEEP = sa.text("INSERT INTO answer (id, sealed) VALUES (:id, :sealed)")

KeyHeader = Annotated[
    str | None,
    Header(
        alias=_HEADER,
        pattern=_KEY,
        description="A random name for this request, such as a UUID: sent again, it happens once and is answered the same.",
        examples=["0190f6a8-7b1c-7def-8a90-0b5f6a7c8d9e"],
    ),
]


class StillInProgress(DomainError):
    """The first request with this Idempotency-Key is still being handled; send it again shortly."""

    retry_after: int | None = 1


class KeyUsedOtherwise(DomainError):
    """This Idempotency-Key stood for another request: take a new one for each request, and the same to repeat it."""

    status: ClassVar[int] = 422


async def _declared(key: KeyHeader = None) -> None:
    """Nothing: it documents and checks the header; :func:`once` reads it."""


ONCE = Depends(_declared)
"""Declares in ``dependencies=[…]`` of a route that takes ``Session`` that its effect happens once for each key."""


def repeatable(reason: str) -> Callable[[Route], Route]:
    """Declares that a route needs no key, and why: sent twice it does no more than sent once."""

    def declare(route: Route) -> Route:
        route.__repeatable__ = reason  # type: ignore[attr-defined]  # a function carries what it declares
        return route

    return declare


def happens_once(dependant: Dependant) -> bool:
    """Whether a route declares ``ONCE``."""
    return any(each.call is _declared for each in dependant.dependencies)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request: under which id its answer is kept, and what tells it from another with the same key."""

    id: bytes
    content: str

    @property
    def number(self) -> int:
        """What stands for it among PostgreSQL's advisory locks."""
        return int.from_bytes(self.id[:8], signed=True)


def once(handle: Handle, route: str) -> Handle:
    """``handle``, but a request that was answered before under its key is answered the same, and does nothing."""

    async def answer(request: Request) -> Response:
        key = request.headers.get(_HEADER)
        if key is None or not re.match(_KEY, key):  # what is malformed is refused where all headers are checked
            return await handle(request)
        asked = await _asked(request, request.state.principal, route, key)
        session, vault = await hold_session(request), request.app.state.runtime.vault
        known = await _answered(session, vault, asked)
        if known is not None:
            await _check_may_still_ask(handle, request, session)
            return known
        response = await handle(request)
        await _keep(session, vault, asked, response)
        return response

    return answer


async def _asked(request: Request, who: Principal, route: str, key: str) -> _Asked:
    identity = f"{who.role}\x1f{who.subject}\x1f{route}\x1f{key}"
    address = f"{request.scope['path']}?{request.scope['query_string'].decode('latin-1')}"
    content = hashlib.sha256(address.encode() + b"\x1f" + await request.body()).hexdigest()
    return _Asked(hashlib.sha256(identity.encode()).digest(), content)


async def _answered(session: AsyncSession, vault: Vault, asked: _Asked) -> Response | None:
    """What was answered before; ``None`` if nothing was, and then nobody else is answered until the transaction ends."""
    if not await session.scalar(_LOCK, {"number": asked.number}):
        raise StillInProgress
    await see_by_key(session, asked.id)
    sealed = await session.scalar(_READ, {"id": asked.id})
    if sealed is None:
        return None
    kept = json.loads(vault.open(sealed, table=_TABLE, column=_COLUMN, row=asked.id.hex()))
    if kept["content"] != asked.content:
        raise KeyUsedOtherwise
    return Response(kept["body"].encode("latin-1"), kept["status"], kept["headers"] | {"Idempotent-Replayed": "true"})


async def _check_may_still_ask(handle: Handle, request: Request, session: AsyncSession) -> None:
    """Nothing if the route still lets who asks see what it is about: only the route knows, so it is asked, and undone.

    Raises:
        DomainError: it is 401, 403 or 404 by now, or nobody can tell. That it happened already is no refusal.
    """
    if sight_of(request.state.principal, date.min).all:
        return
    attempt, said = await session.begin_nested(), len(session.info[AFTERWARDS])
    try:
        await handle(request)
    except DomainError as refused:
        if refused.status in _NOT_FOR_YOU | _UNSURE:
            raise
    finally:
        await attempt.rollback()
        del session.info[AFTERWARDS][said:]


async def _keep(session: AsyncSession, vault: Vault, asked: _Asked, response: Response) -> None:
    body = bytes(response.body).decode("latin-1")
    kept = {"content": asked.content, "status": response.status_code, "headers": dict(response.headers), "body": body}
    text = json.dumps(kept, ensure_ascii=False)
    sealed = vault.seal(text, table=_TABLE, column=_COLUMN, row=asked.id.hex())
    await session.execute(_KEEP, {"id": asked.id, "sealed": sealed})
