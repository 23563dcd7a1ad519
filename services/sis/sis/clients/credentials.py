"""Secrets of clients: kept as argon2id, two at most, checked a few at a time, known again once they were right."""

import asyncio
import hmac
import os
import secrets
from collections.abc import MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from uuid import UUID, uuid4
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from sqlalchemy.ext.asyncio import AsyncSession

from common.auth import DOOR_ROLE
from common.errors import DomainError, Overloaded
from common.runtime import Runtime
from sis.policy import CLIENTS
from sis.rules.oauth import Credentials

SECRET_BYTES = 32

_HASHER = PasswordHasher(
    time_cost=CLIENTS.argon2_passes, memory_cost=CLIENTS.argon2_kibibytes, parallelism=CLIENTS.argon2_lanes
)
_ADD = sa.text(
    """
    INSERT INTO sis_client (id, name, role, resources, schools, created_at, created_by)
    VALUES (:id, :name, :role, CAST(:resources AS text[]), CAST(:schools AS text[]), now(), :by)
    ON CONFLICT (name) DO NOTHING RETURNING id
    """
)
_ADD_SECRET = sa.text(
    """
    INSERT INTO sis_client_secret (id, client_id, digest, made_at, made_by) VALUES (:id, :client, :digest, now(), :by)
    """
)
_HOLD = sa.text("SELECT revoked_at FROM sis_client WHERE id = :client FOR UPDATE")
_GOOD = "(s.until IS NULL OR s.until > now())"
_OLDER = sa.text(
    f"SELECT s.until FROM sis_client_secret AS s WHERE s.client_id = :client AND {_GOOD}"  # noqa: S608 (a constant of ours)
)
_END = sa.text(
    f"""
    UPDATE sis_client_secret AS s SET until = now() + make_interval(hours => :hours) WHERE s.client_id = :client AND {_GOOD}
    RETURNING s.until
    """  # noqa: S608 (only a constant of ours is filled in)
)
_READ = sa.text(
    f"""
    SELECT s.digest FROM sis_client AS c JOIN sis_client_secret AS s ON s.client_id = c.id
    WHERE c.id = :id AND c.role = :role AND c.revoked_at IS NULL AND {_GOOD} ORDER BY s.made_at DESC
    """  # noqa: S608 (the same)
)
# A client that renews without end writes no more than once a minute.
_NOTE_TOKEN = sa.text(
    """
    UPDATE sis_client_secret SET last_token_at = now()
    WHERE client_id = :id AND digest = :digest AND coalesce(last_token_at, '-infinity') < now() - interval '1 minute'
    """
)


class TwoSecrets(DomainError):
    """The client has two secrets already, the older until {until}: wait for that, or end both with --now."""


class ClientRevoked(DomainError):
    """The client was revoked, and gets no other secret: make a new client."""


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


async def add_client(
    session: AsyncSession,
    name: str,
    secret: str,
    *,
    role: str,
    by: str,
    resources: Sequence[str] | None = None,
    schools: Sequence[str] | None = None,
) -> UUID | None:
    """The id of the new client, bound to what is named; ``None`` if there is one of that name."""
    values = {"id": uuid4(), "name": name, "role": role, "resources": resources, "schools": schools, "by": by}
    added: UUID | None = (await session.execute(_ADD, values)).scalar()
    if added:
        await _add_secret(session, added, secret, by)
    return added


async def rotate(session: AsyncSession, client: UUID, secret: str, *, by: str, overlap_hours: int) -> datetime | None:
    """Let ``secret`` be good besides the one that is, and until when that one still is; ``None`` if there was none.

    Raises:
        ClientRevoked: nothing of it is good any more.
        TwoSecrets: two are good, and neither shall end at once.
    """
    if (await session.execute(_HOLD, {"client": client})).scalar_one():
        raise ClientRevoked
    ends = list((await session.execute(_OLDER, {"client": client})).scalars())
    if len(ends) > 1 and overlap_hours:
        raise TwoSecrets(until=f"{min(filter(None, ends)):%Y-%m-%d %H:%M} UTC")
    ended = (await session.execute(_END, {"client": client, "hours": overlap_hours})).scalars().all()
    await _add_secret(session, client, secret, by)
    return max(ended, default=None)


async def _add_secret(session: AsyncSession, client: UUID, secret: str, by: str) -> None:
    digest = await asyncio.to_thread(_HASHER.hash, secret)
    await session.execute(_ADD_SECRET, {"id": uuid4(), "client": client, "digest": digest, "by": by})


async def client_of(runtime: Runtime, given: Credentials) -> UUID | None:
    """The client whose credentials these are; ``None`` if nobody's. An unknown client costs what a wrong secret does.

    Raises:
        Overloaded: too many secrets wait to be checked.
    """
    checks = _checks.get(runtime) or _checks.setdefault(runtime, _Checks())
    identity = _identity(given.client_id)
    digests = await _digests(runtime, identity)
    secret = given.secret.encode(errors="surrogatepass")
    fitting = await _fitting_of(checks, digests, secret)
    if fitting is None:
        return None
    async with runtime.transaction() as session:
        await session.execute(_NOTE_TOKEN, {"id": identity, "digest": fitting})
    return identity


async def _fitting_of(checks: _Checks, digests: Sequence[str], secret: bytes) -> str | None:
    mark = hmac.digest(checks.key, secret, "sha256")
    for each in digests:
        if hmac.compare_digest(checks.right.get(each, b""), mark):
            return each
    fitting = await _in_turn(checks, digests or checks.nobodys, secret)
    if fitting is not None:
        checks.right[fitting] = mark
    return fitting


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
        return (await session.execute(_READ, {"id": identity, "role": DOOR_ROLE})).scalars().all()


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
