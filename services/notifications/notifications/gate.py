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
    """Why messages and letters may go out, or not, and if so through which mail server."""

    reason: str
    server: MailServer | None = None
    only_catcher: bool = False


async def gate_of(runtime: Runtime) -> Gate:
    """The gate as it stands.

    It opens by itself only towards the mail catcher on this machine; for any other server a person opened it, after a
    preview, for just that server. A person's *off* always holds.
    """
    async with runtime.transaction() as session:
        shut, last = await why_shut(session, runtime), await _last_switch(session)
    if shut is not None:
        return Gate(shut)
    server = mail_server(runtime.settings.smtp_url)
    if server is None:
        return Gate("no_mail_server")
    if last is not None and last.server == server.name:
        return Gate("switched_on", server)
    if await is_catcher(server, _CATCHER_SECONDS):
        return Gate("mail_catcher", server, only_catcher=True)
    return Gate("sending_is_off")


async def why_shut(session: AsyncSession, runtime: Runtime) -> str | None:
    """Why nothing may go out whichever server it is, or ``None``. Cheap enough to be asked before every message."""
    if runtime.settings.kafka and runtime.lag is None:
        return "catching_up"  # a restored database is recognised only once Kafka has been asked
    if await database_was_set_back(session):
        return "database_set_back"
    last = await _last_switch(session)
    return "switched_off" if last is not None and not last.on else None


async def _last_switch(session: AsyncSession) -> Switch | None:
    """The last time a person switched sending, if ever."""
    rows = await session.execute(sa.select(Switch).order_by(col(Switch.id).desc()).limit(1))
    return rows.scalar_one_or_none()
