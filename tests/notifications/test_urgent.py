"""Somebody asks for help that cannot wait: staff are told at once, and again while nobody answers."""

import re
from email import message_from_string
from email.policy import default
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from common.events import UrgentHelpRequested
from common.telemetry import metrics_page
from notifications.loops.urgent import TEXTS, tell_of_urgent_help
from notifications.policy import POLICY
from tests.harness import Running
from tests.notifications.made_up import SCHOOL, MailServer, Sisters

PRINCIPAL, COUNSELOR, DISTRICT, IT = (
    f"{name}@district.example" for name in ("principal", "counselor", "superintendent", "it")
)
REQUEST = uuid4()


def asked(revision: int = 1, request: UUID = REQUEST, school: str = SCHOOL, **more: Any) -> UrgentHelpRequested:
    return UrgentHelpRequested(request_id=request, school_id=school, revision=revision, **more)


async def told(running: Running, mail: MailServer) -> dict[str, str]:
    """What one pass sends: by address subject and text."""
    before = len(mail.accepted)
    await tell_of_urgent_help(running.runtime)
    sent = [message_from_string(text, policy=default) for text in mail.messages()[before:]]
    return {str(message["To"]): f"{message['Subject']}\n{message.get_content()}" for message in sent}


async def later(running: Running) -> None:
    """The pause until staff are told again is over."""
    async with running.admin.begin() as connection:
        await connection.execute(sa.text("UPDATE notifications_urgent_help SET tell_at = now() WHERE tell_at > now()"))


@pytest.fixture
def staffed(notifications: Running, sisters: Sisters) -> Running:
    sisters.staff = {"emails": [COUNSELOR, PRINCIPAL], "district_emails": [DISTRICT]}
    return notifications


async def test_staff_of_the_school_are_told_at_once_and_of_nobody(staffed: Running, mail: MailServer) -> None:
    await staffed.deliver(asked(), asked())
    sent = await told(staffed, mail)
    assert set(sent) == {COUNSELOR, PRINCIPAL}
    for text in sent.values():
        assert all(words in text for words in ("cannot wait", "Mesa School", "answered today", "911", "988", SCHOOL))
        assert all(words in text for words in ("no puede esperar", "responder hoy", "llame al 911", "llame al 988"))
        assert str(REQUEST) not in text
    assert await told(staffed, mail) == {}


def test_staff_are_told_in_spanish_all_that_they_are_told_in_english() -> None:
    english, spanish = TEXTS["en"], TEXTS["es"]
    assert list(english) == list(spanish)
    for name in english:
        assert set(re.findall(r"{\w+}|\d{3}", english[name])) == set(re.findall(r"{\w+}|\d{3}", spanish[name]))


async def test_while_nobody_answers_staff_are_told_again_and_the_district_with_them(
    staffed: Running, mail: MailServer
) -> None:
    await staffed.deliver(asked())
    await told(staffed, mail)
    for _ in POLICY.urgent_again_minutes:
        await later(staffed)
        sent = await told(staffed, mail)
        assert set(sent) == {COUNSELOR, PRINCIPAL, DISTRICT}
        assert all("Nobody has answered yet" in text and "Nadie ha respondido" in text for text in sent.values())
    await later(staffed)
    assert await told(staffed, mail) == {}


async def test_of_what_is_answered_nobody_is_told_again(staffed: Running, mail: MailServer) -> None:
    other = uuid4()
    await staffed.deliver(asked(), asked(2, deleted=True), asked(request=other))
    assert len(await told(staffed, mail)) == 2
    await staffed.deliver(asked(2, request=other, deleted=True))
    await staffed.deliver(asked(request=other))
    await later(staffed)
    assert await told(staffed, mail) == {}


async def test_while_sis_is_away_or_the_mail_server_refuses_it_is_tried_again(
    staffed: Running, mail: MailServer, sisters: Sisters
) -> None:
    await staffed.deliver(asked())
    sisters.away.add("sis")
    assert await told(staffed, mail) == {}
    sisters.away.clear()
    mail.refuse["RCPT"] = "451 later"
    await later(staffed)
    assert await told(staffed, mail) == {}
    assert 'state="urgent-help-untold"' in bytes(metrics_page().body).decode()
    mail.refuse.clear()
    await later(staffed)
    assert set(await told(staffed, mail)) == {COUNSELOR, PRINCIPAL}


@pytest.mark.parametrize("school", [SCHOOL, "unheard-of"])
async def test_where_sis_names_no_address_the_district_is_told_and_where_it_has_none_district_it(
    notifications: Running, mail: MailServer, sisters: Sisters, school: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = notifications.runtime.settings.model_copy(update={"alert_email": IT})
    monkeypatch.setattr(notifications.runtime, "settings", settings)
    await notifications.deliver(asked(school=school))
    sent = await told(notifications, mail)
    assert set(sent) == {IT}
    assert "names no address" in sent[IT]
    sisters.staff = {"district_emails": [DISTRICT]}
    await notifications.deliver(asked(request=uuid4()))
    assert set(await told(notifications, mail)) == {DISTRICT}
