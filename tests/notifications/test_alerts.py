"""District IT hears what does not arrive from the SIS, where an address is set: once at each set age, and of no student."""

from datetime import date
from email import message_from_string
from email.policy import default
from typing import Any

import pytest

from common.events import AlertKind, AlertRaised
from notifications.loops.alerting import tell_district_it
from tests.harness import Running
from tests.notifications.made_up import FRIDAY, MailServer

IT = "it@district.example"


def alert(revision: int, school_days: int = 1, kind: str = "school-not-submitted", **more: Any) -> AlertRaised:
    school = "255901001" if kind == "school-not-submitted" else None
    known = {"kind": AlertKind(kind), "about": school or "sis", "school_id": school, "since": FRIDAY}
    return AlertRaised(**{**known, "school_days": school_days, "revision": revision, **more})


@pytest.fixture
def addressed(notifications: Running, monkeypatch: pytest.MonkeyPatch) -> Running:
    settings = notifications.runtime.settings.model_copy(update={"alert_email": IT})
    monkeypatch.setattr(notifications.runtime, "settings", settings)
    return notifications


async def told(running: Running, mail: MailServer) -> list[str]:
    """What one pass sends: subject and text."""
    before = len(mail.accepted)
    await tell_district_it(running.runtime)
    sent = [message_from_string(text, policy=default) for text in mail.messages()[before:]]
    return [f"{message['Subject']}\n{message.get_content()}" for message in sent]


async def test_alerts_reach_the_address_together_and_once_at_each_age(addressed: Running, mail: MailServer) -> None:
    await addressed.deliver(alert(1), alert(1, 3, "source-silent"), alert(1, 0, "rows-waiting"))
    (message,) = await told(addressed, mail)
    assert mail.recipients() == [IT]
    assert "Trellis: 3 alerts about what the SIS sends" in message
    assert f"School 255901001 has not submitted its attendance since {FRIDAY}: 1 school day." in message
    assert f"The source sis has pushed nothing since {FRIDAY}: 3 school days." in message
    assert f"Rows of the source sis have waited since {FRIDAY} for what they refer to." in message

    await addressed.deliver(alert(1))
    assert await told(addressed, mail) == []
    await addressed.deliver(alert(2, 3))
    (message,) = await told(addressed, mail)
    assert "3 school days." in message


async def test_what_is_over_before_it_was_told_is_not_told(addressed: Running, mail: MailServer) -> None:
    await addressed.deliver(alert(1), alert(2, deleted=True))
    assert await told(addressed, mail) == []


async def test_without_an_address_nobody_is_told_and_who_sets_one_hears_what_stands(
    notifications: Running, mail: MailServer, request: pytest.FixtureRequest
) -> None:
    await notifications.deliver(
        alert(1), alert(1, since=date(2026, 1, 7)), alert(2, since=date(2026, 1, 7), deleted=True)
    )
    assert await told(notifications, mail) == []
    (message,) = await told(request.getfixturevalue("addressed"), mail)
    assert "1 alert about" in message


@pytest.mark.parametrize(("answer", "again"), [("RCPT", 1), ("END", 0)])
async def test_what_the_server_refuses_is_told_again_and_what_it_may_have_taken_is_not(
    addressed: Running, mail: MailServer, answer: str, again: int
) -> None:
    mail.refuse[answer] = "451 later"
    await addressed.deliver(alert(1))
    await tell_district_it(addressed.runtime)
    mail.refuse.clear()
    assert len(await told(addressed, mail)) == again
