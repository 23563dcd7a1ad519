"""The clients as an operator sees them, with their history; and the end of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

_CLIENTS = sa.text(
    """
    SELECT id, name, role, resources, schools, created_at, created_by, revoked_at, revoked_by FROM sis_client
    WHERE CAST(:named AS text) IS NULL OR name = :named OR CAST(id AS text) = lower(:named) ORDER BY created_at, id
    """
)
_SECRETS = sa.text(
    """
    SELECT client_id, made_at, made_by, until, last_token_at, until IS NULL OR until > now() AS good FROM sis_client_secret
    WHERE client_id = ANY(CAST(:ids AS uuid[])) ORDER BY made_at, id
    """
)
_REVOKE = sa.text(
    "UPDATE sis_client SET revoked_at = now(), revoked_by = :by WHERE id = :id AND revoked_at IS NULL RETURNING revoked_at"
)


@dataclass(frozen=True, slots=True)
class SecretKnown:
    """A secret by its history; ``until`` when it ends or ended."""

    made_at: datetime
    made_by: str
    until: datetime | None
    last_token_at: datetime | None
    good: bool


@dataclass(frozen=True, slots=True)
class ClientKnown:
    """A client, what it is bound to (``None``: nothing), its secrets from the oldest on, and who ended it when."""

    id: UUID
    name: str
    role: str
    resources: Sequence[str] | None
    schools: Sequence[str] | None
    created_at: datetime
    created_by: str
    revoked_at: datetime | None
    revoked_by: str | None
    secrets: Sequence[SecretKnown]

    @property
    def last_token_at(self) -> datetime | None:
        """When it last got a token, to the minute."""
        return max((one.last_token_at for one in self.secrets if one.last_token_at), default=None)


async def clients_known(session: AsyncSession, named: str | None = None) -> list[ClientKnown]:
    """Every client in the order in which they were made, also those revoked; or the one of that name or id."""
    rows = (await session.execute(_CLIENTS, {"named": named})).all()
    secrets = await _secrets(session, [row.id for row in rows])
    return [ClientKnown(**row._asdict(), secrets=secrets[row.id]) for row in rows]


async def revoke(session: AsyncSession, client: UUID, *, by: str) -> datetime | None:
    """End the client, and when that was; ``None`` if it had ended before."""
    ended: datetime | None = (await session.execute(_REVOKE, {"id": client, "by": by})).scalar()
    return ended


async def _secrets(session: AsyncSession, ids: Sequence[UUID]) -> Mapping[UUID, list[SecretKnown]]:
    secrets: dict[UUID, list[SecretKnown]] = {identity: [] for identity in ids}
    for client, *known in await session.execute(_SECRETS, {"ids": list(ids)}):
        secrets[client].append(SecretKnown(*known))
    return secrets
