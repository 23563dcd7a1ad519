"""Whether anything may be sent at all, and who said so."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.inbox import database_was_set_back
from common.runtime import Runtime
from notifications.mail import MailServer, is_catcher, mail_server
from notifications.models import Switch

_CATCHER_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether letters may be printed and e-mails sent, why or why not, and through which mail server."""

    reason: str
    """Why e-mails may go out, or not."""
    server: MailServer | None = None
    only_catcher: bool = False
    letters: bool = False

    def why_waits(self, channel: str) -> str | None:
        """Why nothing goes out through this channel, or ``None`` if it does."""
        if channel == "email":
            return self.reason if self.server is None else None
        if self.letters:
            return None
        return "sending_is_off" if self.reason == "no_mail_server" else self.reason


async def gate_of(runtime: Runtime) -> Gate:
    """The gate as it stands.

    It opens by itself only towards the mail catcher on this machine; for any other server a person opened it, after a
    preview, for just that server. Letters need no server: they are printed once a person switched sending on, or while
    the mail catcher is there. A person's *off* always holds.
    """
    async with runtime.transaction() as session:
        shut, last = await why_shut(session, runtime), await last_switch(session)
    if shut is not None:
        return Gate(shut)
    server, switched_on = mail_server(runtime.settings.smtp_url), last is not None
    if server is None:
        return Gate("no_mail_server", letters=switched_on)
    if last is not None and last.server == server.name:
        return Gate("switched_on", server, letters=True)
    if await is_catcher(server, _CATCHER_SECONDS):
        return Gate("mail_catcher", server, only_catcher=True, letters=True)
    return Gate("sending_is_off", letters=switched_on)


async def why_shut(session: AsyncSession, runtime: Runtime) -> str | None:
    """Why nothing may go out whichever server it is, or ``None``. Cheap enough to be asked before every message."""
    if runtime.settings.kafka and runtime.lag is None:
        return "catching_up"  # a restored database is recognised only once Kafka has been asked
    if await database_was_set_back(session):
        return "database_set_back"
    last = await last_switch(session)
    return "switched_off" if last is not None and not last.on else None


async def last_switch(session: AsyncSession) -> Switch | None:
    """The last time a person switched sending, if ever."""
    rows = await session.execute(sa.select(Switch).order_by(col(Switch.id).desc()).limit(1))
    return rows.scalar_one_or_none()
