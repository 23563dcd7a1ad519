"""Staff hear by e-mail at once that help cannot wait, and again while nobody answers; never for whom."""

from collections.abc import Mapping
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from urllib.parse import quote

import sqlalchemy as sa
import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from common.errors import SisterUnavailable
from common.runtime import Runtime
from common.telemetry import record_alert
from notifications.mail import MailServer, hand_over, mail_server
from notifications.policy import POLICY

log = structlog.get_logger(__name__)

# Put off before the call and counted after it: a worker that dies between tells them twice, which harms nobody, and never not at all.
_TAKE = sa.text(
    """
    UPDATE notifications_urgent_help SET tell_at = now() + make_interval(secs => :lease)
    WHERE tell_at <= now() AND NOT answered RETURNING request_id, school_id, told
    """
)
_TOLD = sa.text(
    """
    UPDATE notifications_urgent_help SET told = told + 1, tell_at = now() + make_interval(mins => CAST(:again AS int))
    WHERE request_id = :request
    """
)


class _Staff(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    school_name: str
    emails: list[str]
    district_emails: list[str]

    def reached(self, told: int) -> list[str]:
        """Those of the school; where it has nobody, or nobody of it answered when told, those of the district too."""
        return list(dict.fromkeys([*self.emails, *(self.district_emails if told or not self.emails else ())]))


async def tell_of_urgent_help(runtime: Runtime) -> None:
    """Tell staff of each request that cannot wait and is not answered. Whoever switched sending to families off did not mean these.

    Where the SIS names no address at all, district IT is told instead, if theirs is set.
    """
    server = mail_server(runtime.settings.smtp_url)
    if server is None:
        return
    async with runtime.transaction() as session:
        due = (await session.execute(_TAKE, {"lease": POLICY.lease_seconds})).all()
    for each in due:
        try:
            staff = await _ask(runtime, each.school_id)
        except SisterUnavailable as away:
            log.warning("staff wait for an answer", error="SisterUnavailable", reason=away.detail)
            return
        if await _tell(runtime, server, staff, each.school_id, each.told):
            pauses = POLICY.urgent_again_minutes[each.told : each.told + 1]
            async with runtime.transaction() as session:
                await session.execute(_TOLD, {"request": each.request_id, "again": next(iter(pauses), None)})
        else:
            record_alert(runtime.name, state="urgent-help-untold")
            log.warning("nobody was told that help cannot wait", service=runtime.name, where=each.school_id)


async def _ask(runtime: Runtime, school_id: str) -> _Staff:
    response = await runtime.clients.request("sis", "GET", f"/sis/v1/schools/{quote(school_id, safe='')}/urgent-staff")
    if response.status_code == 404:
        return _Staff(school_name=school_id, emails=[], district_emails=[])
    try:
        if response.status_code == 200:
            return _Staff.model_validate_json(response.content)
    except ValidationError:
        pass
    raise SisterUnavailable(service="sis")


async def _tell(runtime: Runtime, server: MailServer, staff: _Staff, school_id: str, told: int) -> bool:
    """Whether a mail server took it for anybody, or may have."""
    recipients = staff.reached(told) or [each for each in [runtime.settings.alert_email] if each]
    seconds = float(POLICY.call_seconds)
    answers = [
        await hand_over(_mail(runtime, each, staff, school_id, told), server, only_catcher=False, seconds=seconds)
        for each in recipients
    ]
    return any(answer.state != "rejected" for answer in answers)


def _mail(runtime: Runtime, recipient: str, staff: _Staff, school_id: str, told: int) -> EmailMessage:
    settings, mail = runtime.settings, EmailMessage(policy=SMTP)
    mail["From"], mail["To"] = settings.mail_from, recipient
    mail["Subject"] = "Trellis: a request for help cannot wait / una solicitud de ayuda no puede esperar"
    mail["Date"] = format_datetime(runtime.now())
    mail["Message-ID"] = make_msgid(domain=mail["From"].addresses[0].domain)
    mail["Auto-Submitted"], mail["Importance"] = "auto-generated", "high"
    mail.set_content("\n\n".join(_says(settings.public_url, staff, school_id, told)) + "\n")
    return mail


def _says(public_url: str, staff: _Staff, school_id: str, told: int) -> list[str]:
    """The same in each language, one below the other: in which of them somebody reads, nobody is asked when it cannot wait."""
    queue = f"{public_url.rstrip('/')}/mtss/v1/schools/{quote(school_id, safe='')}/reviews"
    which = ["asked", *(["again"] if told else []), *([] if staff.reached(told) else ["nobody"]), *_ALWAYS]
    facts = {"school": staff.school_name, "queue": queue, "command": f"trellis reviews {school_id}"}
    return [TEXTS[language][each].format(**facts) for language in TEXTS for each in which]


_ALWAYS = ("today", "danger", "names")
TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "asked": "At {school} somebody asked for help for a student and said that it cannot wait.",
        "again": "Nobody has answered yet. Those who lead the district are told with you.",
        "nobody": "The SIS names no address of who leads this school or its district. Please reach them now.",
        "today": "It is to be answered today. Who decides about support finds it first in the queue of the school: {queue}, "
        "or `{command}`.",
        "danger": "If somebody is in danger now, call 911. If somebody thinks of suicide, call or text 988, day and night.",
        "names": "This e-mail names nobody, on purpose. Please do not answer it.",
    },
    "es": {
        "asked": "En {school} alguien pidió ayuda para un estudiante y dijo que no puede esperar.",
        "again": "Nadie ha respondido todavía. También se avisa a quienes dirigen el distrito.",
        "nobody": "El sistema escolar no da la dirección de quien dirige esta escuela ni su distrito. Avíseles ahora, por favor.",
        "today": "Hay que responder hoy. Quien decide sobre el apoyo lo encuentra primero en la lista de la escuela: {queue}, "
        "o con `{command}`.",
        "danger": "Si alguien está en peligro ahora, llame al 911. Si alguien piensa en el suicidio, llame al 988 y marque 2, o mande "
        "AYUDA al 988, de día o de noche.",
        "names": "Este correo no nombra a nadie, a propósito. Por favor, no lo responda.",
    },
}
"""What staff are told, by language."""
