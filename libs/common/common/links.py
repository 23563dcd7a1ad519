"""Personal links: 128 random bits of which only the digest is stored, for one purpose, until they run out or are taken back."""

import hashlib
import secrets
from datetime import datetime
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from common.audit.writing import about
from common.db import Table
from common.scope import see_by_key, see_student

_TOKEN_BYTES = 16

log = structlog.get_logger(__name__)


class PersonalLink(Table):
    """A link about one student. A service's table of links adds what its own lead to.

    Its table is protected with ``also="digest = (SELECT scope_key())"``, so that who shows the link finds its row.
    """

    __tablename__: ClassVar[Any]

    digest: bytes = Field(primary_key=True, sa_type=sa.LargeBinary)
    student_id: UUID
    issued_at: datetime = Field(sa_type=sa.DateTime(timezone=True))
    revoked_at: datetime | None = Field(default=None, sa_type=sa.DateTime(timezone=True))


Link = TypeVar("Link", bound=PersonalLink)


def new_token() -> str:
    """What stands in a link: 128 random bits."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def digest_of(token: str) -> bytes:
    """What is stored of a link."""
    return hashlib.sha256(token.encode()).digest()


async def opened(session: AsyncSession, links: type[Link], token: str, *, lock: bool = False) -> Link | None:
    """The link with this token, and from here on this transaction sees its student; ``None``: never issued, or taken back.

    ``lock``: whoever opens it to do something waits for who did so before.
    """
    digest = digest_of(token)
    await see_by_key(session, digest)
    asked = sa.select(links).where(col(links.digest) == digest, col(links.revoked_at).is_(None))
    link: Link | None = await session.scalar(asked.with_for_update() if lock else asked)
    if link is None:
        opened_nothing(links, "it was never issued, or was taken back")
    else:
        about(link.student_id)
        await see_student(session, link.student_id)
    return link


def opened_nothing(links: type[Table], reason: str) -> None:
    """Say in the log that a link of this table opened nothing, and why; never which."""
    log.warning("a personal link opened nothing", table=str(links.__tablename__), reason=reason)


async def revoke(session: AsyncSession, links: type[Link], at: datetime, *which: sa.ColumnElement[bool]) -> bool:
    """Take back links that work; whether there were any."""
    standing: Any = sa.update(links).where(col(links.revoked_at).is_(None), *which).values(revoked_at=at)
    return (await session.execute(standing.returning(col(links.digest)))).first() is not None
