"""Who may do what: each route declares it, and one filter bounds every query on student rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from sqlalchemy import ColumnElement

from common.auth import PERMISSIONS, STAFF_ROLES, Principal, principal_of
from common.errors import Forbidden, PermissionMissing, SecondFactorMissing, Unauthenticated
from common.runtime import Runtime

_SEES_ALL = frozenset({"district", "sis", "service"})


class UndeclaredPermission(Exception):
    """A route says nothing about who may call it, so the service does not start."""


@dataclass(frozen=True)
class Permission:
    """Roles that may call a route, and sister services that may; both empty: anybody, for the reason given.

    ``named``: the permission that a token of these roles must carry besides, if any. ``second_factor``: whether a person must
    have signed in with one, where the district's settings say what counts as one.
    """

    roles: frozenset[str]
    services: frozenset[str]
    public: str = ""
    named: str | None = None
    second_factor: bool = False

    async def __call__(self, request: Request) -> Principal:
        """The principal behind the request.

        Raises:
            Unauthenticated: no valid bearer token, or that of an OAuth client that was revoked.
            Forbidden: the role, or the calling service, is not among those permitted.
            PermissionMissing: the role is, and the token does not carry the permission that the route demands.
            SecondFactorMissing: the person signed in without a second factor, which the route and the district demand.
            TooManyRequests, Overloaded: it asks too often.
        """
        principal = await self._permitted(request)
        client = request.scope.get("client")
        request.app.state.limits.take(principal, client[0] if client else None)
        return principal

    async def _permitted(self, request: Request) -> Principal:
        if self.public:
            return Principal(role="public", subject="public")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated(reason="there is none")
        runtime = request.app.state.runtime
        principal = await _principal(runtime, token.strip())
        if principal.client:
            principal = await request.app.state.admit(runtime, principal)
        permitted = principal.service in self.services if principal.service else principal.role in self.roles
        if not permitted:
            raise Forbidden
        if self.named and not principal.service and self.named not in principal.permissions:
            raise PermissionMissing(permission=self.named)
        if self.second_factor and not principal.second_factor:
            raise SecondFactorMissing
        return principal


async def _principal(runtime: Runtime, token: str) -> Principal:
    if runtime.provider and runtime.provider.issued(token):
        return await runtime.provider.principal_of(token)
    return principal_of(token, service=runtime.name, trusted=runtime.keys.trusted)


def require(
    *roles: str, services: tuple[str, ...] = (), permission: str | None = None, second_factor: bool = False
) -> Any:
    """The dependency that lets in these roles and these sister services, and gives the :class:`Principal`.

    Use it as ``who: Annotated[Principal, require("district")]``, or in ``dependencies=[…]``. With ``permission`` the role
    is not enough: a staff token must carry it by name. ``second_factor`` asks a person for one, see :class:`Permission`.
    """
    unknown = set(roles) - STAFF_ROLES | {permission} - PERMISSIONS - {None}
    if unknown or not (roles or services):
        raise ValueError(f"unknown or missing roles or permissions: {sorted(map(str, unknown))}")
    return Depends(Permission(frozenset(roles), frozenset(services), named=permission, second_factor=second_factor))


def public(reason: str) -> Any:
    """The dependency of a route that needs no token; the reason is for the reader."""
    return Depends(Permission(frozenset(), frozenset(), reason))


def visible_to(principal: Principal, school: ColumnElement[str] | Any) -> ColumnElement[bool]:
    """Which rows ``principal`` sees, by the school of the row: the one filter on every query of student rows.

    The district sees all; principal, counselor and facilitator their schools; a client of the door those that it is bound
    to, if it is; a service what its route gives it.
    """
    if principal.role in _SEES_ALL and not (principal.client and principal.schools):
        return sa.true()
    bounded: ColumnElement[bool] = school.in_(sorted(principal.schools))
    return bounded


def check_declared(app: FastAPI) -> None:
    """Raise :class:`UndeclaredPermission` unless each route declares exactly one permission."""
    for route, permissions in declared(app):
        if len(permissions) != 1:
            raise UndeclaredPermission(f"{route} must declare exactly one permission")


def declared(app: FastAPI) -> Iterator[tuple[str, set[Permission]]]:
    """Each route by methods and path, with what it declares, itself or through what it depends on."""
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, APIRoute):
            yield f"{context.methods} {context.path}", permissions_of(context.dependant)


def permissions_of(dependant: Dependant) -> set[Permission]:
    """What a route declares, itself or through what it depends on."""
    own = {dependant.call} if isinstance(dependant.call, Permission) else set()
    return own.union(*map(permissions_of, dependant.dependencies))
