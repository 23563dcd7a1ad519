"""Mailboxes are known by a keyed digest only: enough to honour an opt-out, useless to whoever reads the database."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.links import digest_of, new_token, opened_nothing
from common.sealed import Vault
from notifications.models import OptOut, Pepper, StopLink
from notifications.policy import POLICY
from notifications.rules.contacts import mailbox

_ONLY = 1
_WHERE = {"table": "notifications_pepper", "column": "secret", "row": str(_ONLY)}
_NEW_PEPPER = sa.text("INSERT INTO notifications_pepper (id, secret) VALUES (:id, :secret) ON CONFLICT DO NOTHING")
_REFUSED = sa.text(
    """
    SELECT DISTINCT a.mailbox FROM notifications_attempt AS a JOIN notifications_notice AS n ON n.id = a.notice_id
    WHERE n.occasion_id = :occasion AND a.mailbox IS NOT NULL
      AND ((a.state = 'rejected' AND a.reached AND NOT a.again) OR a.state = 'failed')
    """
)
_STOP = sa.text("INSERT INTO notifications_opt_out (mailbox, at) VALUES (:mailbox, :at) ON CONFLICT DO NOTHING")


@dataclass(frozen=True, slots=True)
class Digests:
    """Makes the keyed digest of a mailbox."""

    secret: bytes

    def of(self, email: str) -> str:
        """The digest of one mailbox, however its address is written."""
        return hmac.new(self.secret, mailbox(email).encode(), hashlib.sha256).hexdigest()


async def digests(session: AsyncSession, vault: Vault) -> Digests:
    """The digests of this database, whose secret is made at first use and sealed."""
    row = await session.get(Pepper, _ONLY)
    if row is None:
        sealed = vault.seal(secrets.token_hex(32), **_WHERE)
        await session.execute(_NEW_PEPPER, {"id": _ONLY, "secret": sealed})
        row = await session.get_one(Pepper, _ONLY)
    return Digests(bytes.fromhex(vault.open(row.secret, **_WHERE)))


async def opted_out(session: AsyncSession, of: Digests, emails: Iterable[str]) -> set[str]:
    """Which of these mailboxes (as :func:`mailbox` writes them) want no more e-mail."""
    by_digest = {of.of(email): mailbox(email) for email in emails}
    rows = await session.execute(sa.select(col(OptOut.mailbox)).where(col(OptOut.mailbox).in_(by_digest)))
    return {by_digest[digest] for digest in rows.scalars()}


async def refused(session: AsyncSession, of: Digests, emails: Iterable[str], occasion: UUID) -> set[str]:
    """Which of these mailboxes were refused for good, or did not bring the message, on one occasion."""
    by_digest = {of.of(email): mailbox(email) for email in emails}
    rows = await session.execute(_REFUSED, {"occasion": occasion})
    return {by_digest[digest] for digest in rows.scalars() if digest in by_digest}


def stop_link(digest: str, at: datetime) -> tuple[str, StopLink]:
    """A token of 128 random bits for a link that stops e-mail to a mailbox, and the row that knows only its digest."""
    token = new_token()
    return token, StopLink(digest=digest_of(token).hex(), mailbox=digest, made_at=at)


async def revoke_stop_links(session: AsyncSession, digest: str, at: datetime) -> None:
    """Take back every link that stops e-mail to the mailbox with this digest."""
    standing = sa.update(StopLink).where(col(StopLink.mailbox) == digest, col(StopLink.revoked_at).is_(None))
    await session.execute(standing.values(revoked_at=at))


async def is_known(session: AsyncSession, token: str, at: datetime) -> bool:
    """Whether a stop link with this token was sent, and has neither run out nor been taken back."""
    return await _standing(session, token, at) is not None


async def stop(session: AsyncSession, token: str, at: datetime) -> bool:
    """Send no more e-mail to the mailbox that got this link; whether the link is known and still works."""
    link = await _standing(session, token, at)
    if link is None:
        return False
    await session.execute(_STOP, {"mailbox": link.mailbox, "at": at})
    return True


async def _standing(session: AsyncSession, token: str, at: datetime) -> StopLink | None:
    link = await session.get(StopLink, digest_of(token).hex())
    if link is None or link.revoked_at is not None:
        opened_nothing(StopLink, "it was never issued, or was taken back")
        return None
    if at - link.made_at >= timedelta(days=POLICY.stop_link_days):
        opened_nothing(StopLink, "it ran out")
        return None
    return link
