"""Who changed something, and who read something sensitive: a row of the audit log in the transaction of what it records.

Every route passes here and none needs to know it. Which students an answer tells of, its ``student_id`` members say, and the path;
where they do not, whoever finds the row says it with :func:`about`.
"""

import re
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from fastapi import Request, Response
from fastapi.dependencies.models import Dependant

from common.access import Handle, Permission, permissions_of
from common.audit.tables import WRITTEN
from common.auth import Principal
from common.db import fetch, hold_session
from common.ids import new_id
from common.logs import current_trace
from common.scope import access_policy

_SAFE = frozenset({"GET", "HEAD"})
_OWN_ANSWERS = "survey_answer"
_NAMED = re.compile(rb'"student_id":\s?"([0-9a-f-]{36})"')
_KINDS = {"students": "uuid[]", "reads": "text[]"}
_WRITE = sa.text(
    f"INSERT INTO audit ({', '.join(WRITTEN)}) "  # noqa: S608 (columns of our own)
    f"VALUES ({', '.join(f'CAST(:{name} AS {_KINDS[name]})' if name in _KINDS else f':{name}' for name in WRITTEN)})"
)
_told: ContextVar[set[UUID] | None] = ContextVar("told", default=None)
"""Of whom the request that is being answered tells; ``None`` outside one that is recorded."""


def about(*students: UUID | None) -> None:
    """Note of whom the answer tells, or whom the change concerns, for the audit log."""
    told = _told.get()
    if told is not None:
        told.update(filter(None, students))


def audited(handle: Handle, dependant: Dependant, methods: Iterable[str], route: str) -> Handle:
    """``handle``, with a row of the audit log for each change by a person and each reading of sensitive fields."""
    changes, sensitive = not _SAFE & {*methods}, access_policy().recorded
    declared = [each for each in permissions_of(dependant) if _is_recorded(each, sensitive, changes=changes)]
    if not declared:
        return handle
    (permission,) = declared
    changes = changes and not permission.machines_only

    async def recorded(request: Request) -> Response:
        who: Principal = request.state.principal
        if not changes and sensitive.isdisjoint(who.reads):
            return await handle(request)
        session, told = await hold_session(request), set[UUID]()
        outside = _told.set(told)
        try:
            response = await handle(request)
        finally:
            _told.reset(outside)
        await fetch(session, _WRITE, _row(request, response, permission, told) | {"route": route})
        return response

    return recorded


def _is_recorded(permission: Permission, sensitive: frozenset[str], *, changes: bool) -> bool:
    gives = permission.reads | permission.mixes
    if permission.link and _OWN_ANSWERS in gives:  # what a student answers: no time of ours is to be laid beside it
        return False
    return (changes and not permission.machines_only) or not sensitive.isdisjoint(gives)


def _row(request: Request, response: Response, permission: Permission, told: set[UUID]) -> dict[str, Any]:
    who: Principal = request.state.principal
    return {
        "id": new_id(),
        "subject": "link" if permission.link else who.subject,
        "role": who.role,
        "method": request.method,
        "purpose": permission.purpose,
        "reads": sorted(who.reads),
        "students": sorted(told | _named_in(request, response)),
        "status": response.status_code,
        "repeated": "Idempotent-Replayed" in response.headers,
        "request": request.scope.get("correlation_id") or current_trace(),
    }


def _named_in(request: Request, response: Response) -> set[UUID]:
    # What is streamed has no body yet: who streams says of whom it tells.
    of_path = [request.path_params[name] for name in ("student_id",) if name in request.path_params]
    return {*map(UUID, of_path), *(UUID(found.decode()) for found in _NAMED.findall(getattr(response, "body", b"")))}
