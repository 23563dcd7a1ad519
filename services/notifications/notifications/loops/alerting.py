"""District IT hears by e-mail of what does not arrive from the SIS, if an address is set; never about a student."""

from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from typing import Any

import sqlalchemy as sa
import structlog

from common.events import AlertKind
from common.runtime import Runtime
from notifications.mail import hand_over, mail_server
from notifications.policy import POLICY

log = structlog.get_logger(__name__)

# Committed before the call, as every message is: a worker that dies then has told nobody, and the next set age comes.
_TAKE = sa.text(
    """
    UPDATE notifications_alert SET told_at = now() WHERE told_at IS NULL AND NOT over
    RETURNING kind, about, since, school_days, told_at
    """
)
_GIVE_BACK = sa.text("UPDATE notifications_alert SET told_at = NULL WHERE told_at = :at")
_SAYS = {
    AlertKind.SCHOOL_NOT_SUBMITTED: "School {about} has not submitted its attendance since {since}: {days}.",
    AlertKind.SOURCE_SILENT: "The source {about} has pushed nothing since {since}: {days}.",
    AlertKind.ROWS_WAITING: "Rows of the source {about} have waited since {since} for what they refer to.",
}


async def tell_district_it(runtime: Runtime) -> None:
    """Send what has come to a set age since the last time, in one e-mail; what the server refuses is sent another time."""
    settings = runtime.settings
    server = mail_server(settings.smtp_url)
    if server is None or not settings.alert_email:
        return
    async with runtime.transaction() as session:
        alerts = (await session.execute(_TAKE)).all()
    if not alerts:
        return
    answer = await hand_over(_mail(runtime, alerts), server, only_catcher=False, seconds=float(POLICY.call_seconds))
    if answer.state != "accepted":
        log.warning("district IT was not told", service=runtime.name, outcome=answer.state, count=len(alerts))
    if answer.state == "rejected":
        async with runtime.transaction() as session:
            await session.execute(_GIVE_BACK, {"at": alerts[0].told_at})


def _mail(runtime: Runtime, alerts: Sequence[Any]) -> EmailMessage:
    settings = runtime.settings
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"] = settings.mail_from, settings.alert_email
    mail["Subject"] = f"Trellis: {len(alerts)} {'alert' if len(alerts) == 1 else 'alerts'} about what the SIS sends"
    mail["Date"], mail["Message-ID"] = (
        format_datetime(runtime.now()),
        make_msgid(domain=mail["From"].addresses[0].domain),
    )
    mail["Auto-Submitted"] = "auto-generated"
    lines = sorted(_line(alert) for alert in alerts)
    where = (
        f"What arrived and what did not: {settings.public_url.rstrip('/')}/sis/v1/sources.html, or `trellis sources`."
    )
    mail.set_content("\n\n".join([*lines, where]) + "\n")
    return mail


def _line(alert: Any) -> str:
    days = "1 school day" if alert.school_days == 1 else f"{alert.school_days} school days"
    return _SAYS[AlertKind(alert.kind)].format(about=alert.about, since=alert.since, days=days)
