"""Who may do what: each route declares it, and one filter bounds every query on student rows."""

from collections.abc import Callable, Collection, Coroutine, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from fastapi import Depends, FastAPI, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from sqlalchemy import ColumnElement

from common.auth import DOOR_ROLE, PERMISSIONS, STAFF_ROLES, Principal, principal_of, verified
from common.errors import FieldsForbidden, Forbidden, PermissionMissing, SecondFactorMissing, Unauthenticated
from common.limits import address_of
from common.scope import FIELD_CLASSES, PURPOSES, access_policy, sight
from common.security_log import log_let_in


class UndeclaredPermission(Exception):
    """A route says nothing about who may call it, so the service does not start."""


@dataclass(frozen=True)
class Permission:
    """Roles that may call a route, and sister services that may; both empty: anybody, for the reason given.

    ``link``: the part of the path that is a personal link, where the route is for whoever holds one. ``machine``: without a
    token, it is machines that ask, and they are slowed as machines are.

    ``named``: the permission that a token of these roles must carry besides, if any. ``second_factor``: whether a person must
    have signed in with one, where the district's settings say what counts as one. ``reads`` and ``mixes``: the classes of
    fields that the route gives, for ``purpose``; who may not read one of ``reads`` is refused, of ``mixes`` it is left out.
    """

    roles: frozenset[str]
    services: frozenset[str]
    reads: frozenset[str]
    purpose: str
    mixes: frozenset[str] = frozenset()
    public: str = ""
    link: str = ""
    machine: bool = False
    named: str | None = None
    second_factor: bool = False

    def __post_init__(self) -> None:
        named = {self.named} - PERMISSIONS - {None}
        unknown = self.roles - STAFF_ROLES | named | self._gives - {*FIELD_CLASSES} | {self.purpose} - {*PURPOSES}
        if unknown or not self.reads or not (self.roles or self.services or self.public):
            raise ValueError(
                f"unknown or missing roles, permissions, field classes or purpose: {sorted(map(str, unknown))}"
            )

    @property
    def _gives(self) -> frozenset[str]:
        return self.reads | self.mixes

    @property
    def machines_only(self) -> bool:
        """Whether nobody but machines ask, so that whoever asks too often is told so with 503."""
        return self.machine or not (self.public or self.roles - {DOOR_ROLE})

    async def __call__(self, request: Request) -> Principal:
        """The principal behind the request.

        Raises:
            Unauthenticated: no valid bearer token, or that of an OAuth client that was revoked.
            Forbidden: the role, or the calling service, is not among those permitted.
            PermissionMissing: the role is, and the token does not carry the permission that the route demands.
            SecondFactorMissing: the person signed in without a second factor, which the route and the district demand.
            FieldsForbidden: the route gives a class of fields that the role may not read.
            TooManyRequests, MachineTooFast: it asks too often, or too many tokens from its address were refused.
        """
        # Who may ask is asked before the body is read, and again where the route takes the principal: it counts once.
        known: Principal | None = getattr(request.state, "principal", None)
        if known is None:
            asking = await self._asking(request)
            self._count(request, asking)  # before it is refused for its role, so that this is bounded too
            known = request.state.principal = self._reading(self._permitted(asking))
        return known

    def _count(self, request: Request, asking: Principal) -> None:
        limits = request.app.state.limits
        limits.take(asking, address_of(request), machine=self.machines_only)
        if self.link:
            limits.take_link(request.path_params[self.link])

    async def _asking(self, request: Request) -> Principal:
        if self.public:
            return Principal(role="public", subject="public")
        try:
            return await _known(request)
        except (Unauthenticated, Forbidden):
            # Found out first: a good token is not refused for bad ones from the same school's address.
            request.app.state.limits.take_unknown(address_of(request), machine=self.machines_only)
            raise

    def _permitted(self, principal: Principal) -> Principal:
        if self.public:
            return principal
        permitted = principal.service in self.services if principal.service else principal.role in self.roles
        if not permitted:
            raise Forbidden
        if self.named and not principal.service and self.named not in principal.permissions:
            raise PermissionMissing(permission=self.named)
        if self.second_factor and not principal.second_factor:
            raise SecondFactorMissing
        return principal

    def _reading(self, principal: Principal) -> Principal:
        if self.public or principal.service:
            return replace(principal, reads=self._gives)
        may = access_policy().may_read(principal.role, self.purpose)
        if not self.reads <= may:
            raise FieldsForbidden
        return replace(principal, reads=self._gives & may)


async def _known(request: Request) -> Principal:
    """Whom the request's token is of; what is known of them on the way is noted, for the log of who is refused."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated(reason="there is none")
    runtime, state = request.app.state.runtime, request.state
    if runtime.provider and runtime.provider.issued(token):
        state.signed = await runtime.provider.verified(token)
        state.asking = await runtime.provider.principal_of(state.signed)
    else:
        state.signed = verified(token, runtime.keys.trusted)
        state.asking = principal_of(state.signed, service=runtime.name)
    if state.asking.client:
        state.asking = await request.app.state.admit(runtime, state.asking)
    log_let_in(state.asking, token, runtime.name)
    known: Principal = state.asking
    return known


def require(
    *roles: str,
    reads: Collection[str],
    purpose: str,
    mixes: Collection[str] = (),
    services: tuple[str, ...] = (),
    permission: str | None = None,
    second_factor: bool = False,
) -> Any:
    """The dependency that lets in these roles and these sister services, and gives the :class:`Principal`.

    Use it as ``who: Annotated[Principal, require("district", reads=["directory"], purpose="support")]``, or in
    ``dependencies=[…]``. The answer tells of the classes of fields that the route ``reads``, and of those that it ``mixes``
    in for who may read them (``who.reads``), for ``purpose``. With ``permission`` the role is not enough: a staff token must
    carry it by name. ``second_factor`` asks a person for one, see :class:`Permission`.
    """
    return Depends(
        Permission(
            frozenset(roles),
            frozenset(services),
            frozenset(reads),
            purpose,
            mixes=frozenset(mixes),
            named=permission,
            second_factor=second_factor,
        )
    )


def public(reason: str, *, reads: Collection[str], purpose: str, link: str = "", machine: bool = False) -> Any:
    """The dependency of a route that needs no token; the reason is for the reader.

    ``link`` names the part of the path that is a personal link: each link may be asked for so often, whoever asks. ``machine``
    says that exporters ask, which are told to come later with 503.
    """
    given = Permission(frozenset(), frozenset(), frozenset(reads), purpose, public=reason, link=link, machine=machine)
    return Depends(given)


def visible_to(principal: Principal, student: ColumnElement[UUID] | Any) -> ColumnElement[bool]:
    """Which rows ``principal`` sees, by the student of the row: the one filter on every query of student rows.

    The district sees all, a service what its route gives it, and everybody else whom the policy's grounds give them today.
    """
    return sa.true() if _sees_all(principal) else sight.seen(student)


def visible_school(principal: Principal, school: ColumnElement[str] | Any) -> ColumnElement[bool]:
    """Which rows ``principal`` sees, by their school, where a row is of a school and of no student."""
    return sa.true() if _sees_all(principal) else sight.seen_school(school)


def visible_numbers(principal: Principal, school: ColumnElement[str] | Any) -> ColumnElement[bool]:
    """Whether ``principal`` is told numbers of a school: one that they see, and at which somebody was enrolled.

    The latter is also what row security has to say: it shows enrolments to who sees the school, and to nobody else.
    """
    return sa.and_(visible_school(principal, school), sa.true() if _sees_all(principal) else sight.enrols(school))


def _sees_all(principal: Principal) -> bool:
    return sight.sight_of(principal, date.min).all


Handle = Callable[[Request], Coroutine[Any, Any, Response]]


def admitting(handle: Handle, dependant: Dependant) -> Handle:
    """``handle``, asked only by who may: of nobody else a body is read, and of strangers only so many are at work."""
    declared_here = permissions_of(dependant)

    async def admitted(request: Request) -> Response:
        strange = False
        for permission in declared_here:
            await permission(request)
            strange = strange or bool(permission.public)
        if not strange:
            return await handle(request)
        with request.app.state.limits.stranger_at_work():
            return await handle(request)

    return admitted


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
