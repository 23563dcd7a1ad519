"""Whether a client may still come in, and what it is bound to: asked of the database once a second, not for each request."""

import asyncio
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from common.auth import Principal
from common.errors import Unauthenticated
from common.runtime import Runtime
from sis.clients.bounds import Bounds, bounds_of

TRUSTED_SECONDS = 1.0
"""How long what was read is taken for true. Whoever revokes a client waits as long, and then no process lets it in any more."""

_READ = sa.text("SELECT CAST(id AS text), resources, schools FROM sis_client WHERE revoked_at IS NULL")


@dataclass(slots=True)
class _Register:
    """The clients that are not revoked, by id, as they were at some moment after ``asked_at``."""

    asked_at: float = float("-inf")
    clients: Mapping[str, Bounds] = field(default_factory=dict)
    reading: asyncio.Task[None] | None = None


_registers: MutableMapping[Runtime, _Register] = WeakKeyDictionary()


async def admit(runtime: Runtime, who: Principal) -> Principal:
    """The client as it is bound.

    Raises:
        Unauthenticated: it was revoked.
    """
    register = _registers.get(runtime) or _registers.setdefault(runtime, _Register())
    came = time.monotonic()
    await _read_since(runtime, register, came - TRUSTED_SECONDS)
    if who.subject not in register.clients:  # it may have been made a moment ago
        await _read_since(runtime, register, came)
    bounds = register.clients.get(who.subject)
    if bounds is None:
        raise Unauthenticated(reason="the client was revoked")
    return replace(who, resources=bounds.resources, schools=bounds.schools) if bounds.any else who


async def _read_since(runtime: Runtime, register: _Register, moment: float) -> None:
    """Have the register read anew unless that began after ``moment``; who waits for it at the same time waits together."""
    while register.asked_at < moment:
        if register.reading is None or register.reading.done():
            register.reading = asyncio.create_task(_read(runtime, register))
        await asyncio.shield(register.reading)


async def _read(runtime: Runtime, register: _Register) -> None:
    asked_at = time.monotonic()
    async with runtime.transaction() as session:
        found = (await session.execute(_READ)).all()
    register.clients = {client: bounds_of(resources, schools) for client, resources, schools in found}
    register.asked_at = asked_at
