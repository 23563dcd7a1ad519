"""Clients of the door and their secrets: kept as argon2id, checked a few at a time, known again once they were right."""

import asyncio
import hmac
import os
import secrets
from collections.abc import MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from sqlalchemy.ext.asyncio import AsyncSession

from common.auth import DOOR_ROLE
from common.errors import Overloaded
from common.runtime import Runtime
from sis.policy import CLIENTS
from sis.rules.oauth import Credentials

SECRET_BYTES = 32

_HASHER = PasswordHasher(
    time_cost=CLIENTS.argon2_passes, memory_cost=CLIENTS.argon2_kibibytes, parallelism=CLIENTS.argon2_lanes
)
_ADD = sa.text(
    """
    INSERT INTO sis_client (id, name, role, secret_digests, created_at, created_by)
    VALUES (:id, :name, :role, CAST(:digests AS text[]), now(), :by) ON CONFLICT (name) DO NOTHING RETURNING id
    """
)
_READ = sa.text("SELECT secret_digests FROM sis_client WHERE id = :id AND role = :role AND revoked_at IS NULL")


class _Checks:
    """The checking of secrets in one running service."""

    def __init__(self) -> None:
        self.under_way = 0
        self.nobodys = [_HASHER.hash(new_secret())]
        self.key = os.urandom(32)
        self.right: dict[str, bytes] = {}
        """By digest, the keyed hash of the secret that fitted it: a client that renews without end costs nothing."""


def _give_way() -> None:
    os.nice(CLIENTS.checks_niceness)  # on Linux that is this thread's alone


_THREADS = ThreadPoolExecutor(CLIENTS.checks_at_once, "checks a secret", _give_way)
_checks: MutableMapping[Runtime, _Checks] = WeakKeyDictionary()


def new_secret() -> str:
    """256 random bits in letters that need no escaping."""
    return secrets.token_urlsafe(SECRET_BYTES)


async def add_client(session: AsyncSession, name: str, secret: str, *, role: str, by: str) -> UUID | None:
    """The id of the new client; ``None`` if there is one of that name."""
    digest = await asyncio.to_thread(_HASHER.hash, secret)
    values = {"id": uuid4(), "name": name, "role": role, "digests": [digest], "by": by}
    added: UUID | None = (await session.execute(_ADD, values)).scalar()
    return added


async def is_client(runtime: Runtime, client_id: str) -> bool:
    """Whether there is such a client, not revoked."""
    return bool(await _digests(runtime, _identity(client_id)))


async def client_of(runtime: Runtime, given: Credentials) -> UUID | None:
    """The client whose credentials these are; ``None`` if nobody's. An unknown client costs what a wrong secret does.

    Raises:
        Overloaded: too many secrets wait to be checked.
    """
    checks = _checks.get(runtime) or _checks.setdefault(runtime, _Checks())
    identity = _identity(given.client_id)
    digests = await _digests(runtime, identity)
    secret = given.secret.encode(errors="surrogatepass")
    mark = hmac.digest(checks.key, secret, "sha256")
    if any(hmac.compare_digest(checks.right.get(each, b""), mark) for each in digests):
        return identity
    fitting = await _in_turn(checks, digests or checks.nobodys, secret)
    if fitting is None:
        return None
    checks.right[fitting] = mark
    return identity


def _identity(client_id: str) -> UUID | None:
    try:
        return UUID(client_id)
    except ValueError:
        return None


async def _digests(runtime: Runtime, identity: UUID | None) -> Sequence[str]:
    if identity is None:
        return ()
    # Not the request's own session: while a secret waits for its turn no connection is held.
    async with runtime.transaction() as session:
        return (await session.execute(_READ, {"id": identity, "role": DOOR_ROLE})).scalar() or ()


async def _in_turn(checks: _Checks, digests: Sequence[str], secret: bytes) -> str | None:
    if checks.under_way >= CLIENTS.checks_at_once + CLIENTS.checks_waiting:
        raise Overloaded
    checks.under_way += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(_THREADS, _fitting, digests, secret)
    finally:
        checks.under_way -= 1


def _fitting(digests: Sequence[str], secret: bytes) -> str | None:
    for each in digests:
        try:
            _HASHER.verify(each, secret)
        except VerifyMismatchError:
            continue
        return each
    return None
