"""From a decision to a message in a mailbox: at most one, whatever a mail server does."""

import asyncio
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from fastapi import Response
from structlog.testing import capture_logs

from common.events import Cause, Tier
from notifications.loops import sending
from notifications.loops.attempts import call_abandoned_uncertain
from notifications.loops.sending import send_due
from notifications.mail import hand_over
from notifications.policy import POLICY
from tests.harness import Running
from tests.notifications.made_up import (
    FRIDAY,
    FRIDAY_MORNING,
    THURSDAY,
    ZONE,
    MailServer,
    Sisters,
    address,
    calendar,
    completed,
    contact,
    notices,
    offered,
    restricted,
    rows,
    send_through,
    serving,
    switch,
    targeted,
    tasks,
    weekdays,
    withdrawn,
    work,
)


async def execute(running: Running, statement: str, **values: Any) -> None:
    async with running.session() as session:
        await session.execute(sa.text(statement), values)


async def test_a_family_is_told_by_e_mail_once(notifications: Running, student: UUID, mail: MailServer) -> None:
    await notifications.deliver(targeted(student))
    for _ in range(3):
        await work(notifications)

    assert mail.recipients() == ["alma@example.org"]
    assert await notices(notifications) == [("accepted", "", "email")]
    (message,) = mail.messages()
    assert "Nico" in message
    assert "Mesa School" in message
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in message


async def test_no_subject_line_says_what_it_is_about(notifications: Running, student: UUID, mail: MailServer) -> None:
    await notifications.deliver(targeted(student), offered(student), completed(student))
    await work(notifications)

    subjects = {line for text in mail.messages() for line in text.splitlines() if line.startswith("Subject:")}
    assert len(mail.messages()) == 3
    assert subjects == {"Subject: A message from your child's school"}


async def test_the_message_id_is_the_same_in_every_copy_of_the_database(
    notifications: Running, student: UUID, mail: MailServer
) -> None:
    await notifications.deliver(targeted(student))
    await work(notifications)
    await notifications.empty()
    notifications.clock.set(FRIDAY_MORNING)
    await notifications.deliver(calendar(*weekdays()), targeted(student, revision=9))
    await work(notifications)

    ids = [line for text in mail.messages() for line in text.splitlines() if line.startswith("Message-ID:")]
    assert len(ids) == 2
    assert ids[0] == ids[1]


async def test_a_tier_waits_for_the_next_school_morning(
    notifications: Running, student: UUID, mail: MailServer
) -> None:
    notifications.clock.set(datetime(2026, 11, 20, 7, 59, tzinfo=ZONE))
    await notifications.deliver(targeted(student))
    await work(notifications)
    assert mail.accepted == []

    notifications.clock.set(datetime(2026, 11, 20, 8, 0, tzinfo=ZONE))
    await work(notifications)
    assert len(mail.accepted) == 1


async def test_a_closed_school_day_moves_the_morning(notifications: Running, student: UUID, mail: MailServer) -> None:
    notifications.clock.set(datetime(2026, 11, 20, 7, 0, tzinfo=ZONE))
    await notifications.deliver(targeted(student))
    await work(notifications)
    snow = [day for day in weekdays() if day != FRIDAY]
    await notifications.deliver(calendar(*snow, revision=2))
    notifications.clock.set(FRIDAY_MORNING)
    await work(notifications)
    assert mail.accepted == []

    notifications.clock.set(datetime(2026, 11, 23, 8, 0, tzinfo=ZONE))
    await work(notifications)
    assert len(mail.accepted) == 1


async def test_without_a_calendar_it_waits(notifications: Running, student: UUID, mail: MailServer) -> None:
    await execute(notifications, "DELETE FROM notifications_calendar")
    await notifications.deliver(targeted(student))
    await work(notifications)
    assert mail.accepted == []

    await notifications.deliver(calendar(*weekdays()))
    notifications.clock.advance(timedelta(hours=2))
    await work(notifications)
    assert len(mail.accepted) == 1


async def test_a_conference_is_told_at_once_also_at_night(
    notifications: Running, student: UUID, mail: MailServer
) -> None:
    notifications.clock.set(datetime(2026, 11, 19, 23, 0, tzinfo=ZONE))
    await notifications.deliver(offered(student))
    await work(notifications)
    assert len(mail.accepted) == 1


async def test_what_took_effect_too_long_ago_is_told_to_nobody(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    await notifications.deliver(targeted(student, on=date(2022, 3, 1)))
    await work(notifications)

    assert mail.accepted == []
    assert sisters.asked == []
    assert [(o["state"], o["reason"]) for o in await rows(notifications, "occasion")] == [("held", "too_old")]
    assert await tasks(notifications) == []


async def test_what_grew_too_old_while_it_waited_goes_to_a_person(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    await notifications.deliver(targeted(student))
    await execute(notifications, "UPDATE notifications_occasion SET heard_at = '2026-11-20'")
    sisters.away.add("sis")
    await work(notifications)
    sisters.away.clear()
    notifications.clock.advance(timedelta(days=14))
    await work(notifications)

    assert mail.accepted == []
    assert await tasks(notifications) == ["too_old"]


async def test_a_pending_notice_grows_too_old_as_well(notifications: Running, student: UUID, mail: MailServer) -> None:
    send_through(notifications, "")
    await notifications.deliver(targeted(student))
    await work(notifications)
    notifications.clock.advance(timedelta(days=14))
    await work(notifications)

    assert await notices(notifications) == [("held", "too_old", "email")]
    assert await tasks(notifications) == ["too_old"]


@pytest.mark.parametrize("away", ["sis", "mtss"])
async def test_while_a_sister_is_away_it_waits(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer, away: str
) -> None:
    sisters.away.add(away)
    await notifications.deliver(targeted(student))
    await work(notifications)
    assert mail.accepted == []

    sisters.away.clear()
    await work(notifications)
    assert len(mail.accepted) == 1


_ELSEWHERE = [
    Response("<h1>Not Found</h1>", 404, media_type="text/html"),
    Response('{"detail": "Not Found"}', 404, media_type="application/json"),
    Response(
        '{"type": "urn:trellis:problem:not-found", "title": "Not found", "status": 404, "detail": "Not Found."}',
        404,
        media_type="application/problem+json",
    ),
    Response("<h1>It works!</h1>", 200, media_type="text/html"),
    Response("{}", 200, media_type="application/json"),
]


@pytest.mark.parametrize("page", _ELSEWHERE)
@pytest.mark.parametrize("sister", ["sis", "mtss"])
async def test_the_page_of_a_wrong_address_is_no_answer(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer, sister: str, page: Response
) -> None:
    sisters.misplaced[sister] = page
    await notifications.deliver(targeted(student))
    with capture_logs() as said:
        await work(notifications)
    assert mail.accepted == []
    assert [o["reason"] for o in await rows(notifications, "occasion")] == [""]
    warnings = [line for line in said if line["log_level"] == "warning"]
    assert [line["reason"] for line in warnings] == [f"The service {sister} does not answer at the moment."]

    sisters.misplaced.clear()
    await work(notifications)
    assert len(mail.accepted) == 1


async def test_an_unknown_student_holds_up_nobody_else(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    await notifications.deliver(targeted(uuid4()))
    await notifications.deliver(targeted(student))
    await work(notifications)
    assert len(mail.accepted) == 1
    assert {o["reason"] for o in await rows(notifications, "occasion")} == {"", "contacts_unknown"}


async def test_a_decision_that_no_longer_stands_is_told_to_nobody(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    decision = targeted(student)
    sisters.fallen.add(decision.decision_id)
    await notifications.deliver(decision)
    await work(notifications)

    assert mail.accepted == []
    assert await notices(notifications) == [("cancelled", "withdrawn", "email")]


async def test_a_corrected_decision_that_still_says_targeted_is_told(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    first = targeted(student)
    sisters.fallen.add(first.decision_id)
    await notifications.deliver(first)
    await work(notifications)
    await notifications.deliver(targeted(student, before=Tier.TARGETED, revision=2, on=date(2026, 11, 18)))
    await work(notifications)

    assert len(mail.accepted) == 1


async def test_a_withdrawn_tier_is_told_to_nobody_and_again_if_it_comes_back(
    notifications: Running, student: UUID, mail: MailServer
) -> None:
    send_through(notifications, "")
    await notifications.deliver(targeted(student))
    await work(notifications)
    await notifications.deliver(withdrawn(student))
    assert await notices(notifications) == [("cancelled", "withdrawn", "email")]
    await notifications.deliver(targeted(student, revision=3))
    await work(notifications)
    assert await notices(notifications) == [("pending", "", "email")]


async def test_what_was_told_and_is_taken_back_goes_to_a_person(
    notifications: Running, student: UUID, mail: MailServer
) -> None:
    await notifications.deliver(targeted(student))
    await work(notifications)
    await notifications.deliver(withdrawn(student))
    await notifications.deliver(targeted(student, revision=3, on=FRIDAY))
    notifications.clock.set(datetime(2026, 11, 23, 9, 0, tzinfo=ZONE))
    await work(notifications)

    assert len(mail.accepted) == 1
    assert await tasks(notifications) == ["told_recently", "withdrawn_after_told"]


async def test_a_tier_that_was_left_in_time_needs_no_person(
    notifications: Running, student: UUID, mail: MailServer
) -> None:
    await notifications.deliver(targeted(student))
    await work(notifications)
    left = withdrawn(student).model_copy(update={"cause": Cause.EXITED})
    await notifications.deliver(left)
    assert await tasks(notifications) == []


async def test_after_thirty_days_the_same_tier_is_told_again(
    notifications: Running, student: UUID, mail: MailServer
) -> None:
    await notifications.deliver(targeted(student))
    await work(notifications)
    later = THURSDAY + timedelta(days=34)
    await notifications.deliver(withdrawn(student, on=later).model_copy(update={"cause": Cause.EXITED}))
    await notifications.deliver(targeted(student, revision=3, on=later))
    notifications.clock.set(FRIDAY_MORNING + timedelta(days=35))
    await work(notifications)
    assert len(mail.accepted) == 2


async def test_parents_at_two_addresses_are_told_apart_and_those_who_share_one_together(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    sisters.families[student] = [
        contact(emails=["alma@example.org"], address=address("12 Ash Street")),
        contact(emails=["ben@example.org"], address=address("12  ash st."), relation="Father"),
        contact(emails=["cleo@example.org"], address=address("9 Elm Road"), relation="Father, step", lives_with=False),
    ]
    await notifications.deliver(targeted(student))
    await work(notifications)

    assert len(mail.accepted) == 2
    assert "cleo@example.org" in mail.recipients()


async def test_siblings_are_separate_notices_and_each_names_one_child(
    notifications: Running, sisters: Sisters, mail: MailServer
) -> None:
    mother, ana, ben = contact(emails=["alma@example.org"]), uuid4(), uuid4()
    sisters.families |= {ana: [mother], ben: [mother]}
    sisters.names |= {ana: "Ana", ben: "Benito"}
    await notifications.deliver(targeted(ana), targeted(ben))
    await work(notifications)

    assert len(mail.messages()) == 2
    assert all(("Ana" in text) != ("Benito" in text) for text in mail.messages())


async def test_a_restricted_contact_gets_nothing_until_a_person_codes_the_restriction(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    mother = contact(emails=["alma@example.org"], restriction=restricted("uncoded"))
    sisters.families[student] = [mother]
    await notifications.deliver(targeted(student))
    await work(notifications)
    assert await notices(notifications) == [("held", "restriction_not_coded", None)]

    mother["restriction"] = restricted("coded", "no_pick_up")
    notifications.clock.advance(timedelta(hours=2))
    await work(notifications)
    await work(notifications)
    assert mail.recipients() == ["alma@example.org"]


async def test_a_restriction_that_comes_just_before_sending_is_honoured(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    send_through(notifications, "")
    await notifications.deliver(targeted(student))
    await work(notifications)
    sisters.families[student][0]["restriction"] = restricted("coded", "no_records")
    await _open(notifications, mail)
    assert mail.accepted == []
    assert await notices(notifications) == [("held", "restricted", "email")]


async def test_the_address_of_the_moment_is_used(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    send_through(notifications, "")
    await notifications.deliver(targeted(student))
    await work(notifications)
    sisters.families[student][0]["emails"] = ["new@example.org"]
    await _open(notifications, mail)
    assert mail.recipients() == ["new@example.org"]


async def test_two_households_that_become_one_get_one_message(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    first, second = contact(emails=["a@example.org"]), contact(emails=["b@example.org"])
    sisters.families[student] = [first, second]
    send_through(notifications, "")
    await notifications.deliver(targeted(student))
    await work(notifications)
    first["phones"] = second["phones"] = ["(303) 555-0100"]
    await _open(notifications, mail)
    assert len(mail.accepted) == 1
    assert [state for state, _, _ in await notices(notifications)] == ["accepted", "cancelled"]


async def _open(running: Running, mail: MailServer) -> None:
    """Let a service whose mail server was missing send to ``mail``, in a second server of its own port."""
    async with serving(mail) as url:
        send_through(running, url)
        await send_due(running.runtime)


async def test_without_a_mail_address_a_letter_goes_into_the_print_queue(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    sisters.families[student] = [contact(language="es", address=address())]
    await notifications.deliver(targeted(student))
    await work(notifications)
    await work(notifications)

    assert mail.accepted == []
    assert await notices(notifications) == [("accepted", "", "letter")]
    assert len(await rows(notifications, "letter")) == 1


async def test_a_letter_that_no_font_here_can_show_goes_to_a_person(
    notifications: Running, student: UUID, sisters: Sisters
) -> None:
    sisters.families[student] = [contact(first_name="\U00013080", address=address())]
    await notifications.deliver(targeted(student))
    await work(notifications)
    assert await notices(notifications) == [("held", "letter_not_printable", "letter")]
    assert await tasks(notifications) == ["letter_not_printable"]


async def test_a_home_language_without_approved_text_gets_english_with_a_line_and_says_fallback(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    sisters.families[student] = [contact(language="so", emails=["alma@example.org"])]
    await notifications.deliver(targeted(student))
    await work(notifications)

    (notice,) = await rows(notifications, "notice")
    assert (notice["language"], notice["text_language"], notice["fallback"]) == ("so", "en", True)
    assert "turjumaan" in mail.messages()[0]


# What a mail server may do.


async def test_a_refused_mailbox_is_never_tried_again_and_the_letter_follows(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    sisters.families[student] = [contact(emails=["alma@example.org"], address=address())]
    mail.refuse["RCPT"] = "550 no such user"
    await notifications.deliver(targeted(student))
    await work(notifications)
    calls = mail.calls
    mail.refuse.clear()
    await work(notifications)
    await work(notifications)

    assert mail.accepted == []
    assert calls > 0
    assert await notices(notifications) == [("accepted", "", "letter")]
    assert [a["state"] for a in await rows(notifications, "attempt")] == ["rejected", "accepted"]


async def test_a_refused_mailbox_without_any_other_way_is_held(
    notifications: Running, student: UUID, mail: MailServer
) -> None:
    mail.refuse["RCPT"] = "550 no such user"
    await notifications.deliver(targeted(student))
    for _ in range(4):
        await work(notifications)
    assert await notices(notifications) == [("held", "mailbox_refused", None)]
    assert len(await rows(notifications, "attempt")) == 1


async def test_a_temporary_refusal_before_the_content_is_tried_again_later(
    notifications: Running, student: UUID, mail: MailServer
) -> None:
    mail.refuse["RCPT"] = "451 try later"
    await notifications.deliver(targeted(student))
    await work(notifications)
    await work(notifications)
    assert len(await rows(notifications, "attempt")) == 1

    mail.refuse.clear()
    notifications.clock.advance(timedelta(minutes=1))
    await work(notifications)
    assert len(mail.accepted) == 1


async def test_after_the_last_temporary_refusal_the_next_way_is_taken(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    sisters.families[student] = [contact(emails=["alma@example.org"], address=address())]
    mail.refuse["RCPT"] = "451 try later"
    await notifications.deliver(targeted(student))
    for _ in range(len(POLICY.retry_minutes) + 2):
        await work(notifications)
        notifications.clock.advance(timedelta(hours=4))
    assert await notices(notifications) == [("accepted", "", "letter")]


@pytest.mark.parametrize("answer", ["451 later", "554 no"])
async def test_an_error_after_the_content_is_uncertain_and_never_tried_again(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer, answer: str
) -> None:
    sisters.families[student] = [contact(emails=["alma@example.org"], address=address())]
    mail.refuse["END"] = answer
    await notifications.deliver(targeted(student))
    await work(notifications)
    mail.refuse.clear()
    notifications.clock.advance(timedelta(hours=9))
    await work(notifications)

    assert len(mail.accepted) == 1
    assert await notices(notifications) == [("uncertain", "no_clear_answer", "email")]
    assert await tasks(notifications) == ["uncertain"]


@pytest.mark.parametrize("misbehaviour", ["drop", "hang"])
async def test_a_cut_or_a_silence_after_the_content_is_uncertain(
    notifications: Running, student: UUID, mail: MailServer, misbehaviour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "POLICY", _with(call_seconds=1))
    mail.after_content = misbehaviour
    await notifications.deliver(targeted(student))
    await work(notifications)
    mail.after_content = ""
    await work(notifications)

    assert len(mail.accepted) == 1
    assert await notices(notifications) == [("uncertain", "no_clear_answer", "email")]


async def test_a_mail_server_that_is_away_is_left_alone_for_a_while(
    notifications: Running, student: UUID, mail: MailServer
) -> None:
    await _switch_on_for(notifications, "127.0.0.1:9")
    send_through(notifications, "smtp://127.0.0.1:9")
    await notifications.deliver(targeted(student))
    for _ in range(5):
        await work(notifications)
    assert [a["state"] for a in await rows(notifications, "attempt")] == ["rejected"] * POLICY.breaker_failures
    assert await notices(notifications) == [("pending", "", "email")]

    await execute(notifications, "UPDATE notifications_attempt SET ended_at = ended_at - interval '2 minutes'")
    async with serving(mail) as url:
        await _switch_on_for(notifications, url.removeprefix("smtp://"))
        send_through(notifications, url)
        await work(notifications)
    assert len(mail.accepted) == 1


async def test_a_server_that_refuses_the_sender_turns_no_e_mail_into_a_letter(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    sisters.families[student] = [contact(emails=["alma@example.org"], address=address())]
    mail.refuse["MAIL"] = "530 authentication required"
    await notifications.deliver(targeted(student))
    for _ in range(5):
        await work(notifications)
    assert await notices(notifications) == [("pending", "", "email")]


async def test_what_was_taken_back_is_not_sent_when_a_person_says_it_never_arrived(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    sisters.families[student] = [contact(emails=["alma@example.org"], address=address())]
    mail.refuse["END"] = "451 later"
    await notifications.deliver(targeted(student))
    await work(notifications)
    await notifications.deliver(withdrawn(student))
    district = notifications.headers("district")
    found = (await notifications.http.get("/notifications/v1/tasks", headers=district)).json()["items"]
    (uncertain,) = [task for task in found if task["kind"] == "uncertain"]
    path = f"/notifications/v1/tasks/{uncertain['id']}/resolve"
    await notifications.http.post(path, json={"outcome": "not_arrived"}, headers=district)
    await work(notifications)
    assert await notices(notifications) == [("cancelled", "withdrawn", "email")]
    assert len(mail.accepted) == 1


async def test_a_worker_that_died_leaves_an_uncertain_attempt(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    sisters.families[student] = [contact(emails=["alma@example.org"], address=address())]
    await _leave_attempting(notifications, student, lease="-1 second")
    await work(notifications)
    await work(notifications)

    assert mail.accepted == []
    assert await notices(notifications) == [("uncertain", "worker_did_not_come_back", "email")]
    assert await tasks(notifications) == ["uncertain"]


async def test_a_worker_still_within_its_lease_is_left_alone(
    notifications: Running, student: UUID, mail: MailServer
) -> None:
    await _leave_attempting(notifications, student, lease="1 minute")
    await work(notifications)
    assert mail.accepted == []
    assert await notices(notifications) == [("attempting", "", "email")]


async def test_an_answer_that_comes_after_the_lease_changes_nothing(
    notifications: Running, student: UUID, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slowly(*given: Any, **more: Any) -> Any:
        answer = await hand_over(*given, **more)
        await execute(notifications, "UPDATE notifications_attempt SET lease_until = now() - interval '1 second'")
        await call_abandoned_uncertain(notifications.runtime)
        return answer

    monkeypatch.setattr(sending, "hand_over", slowly)
    await notifications.deliver(targeted(student))
    await work(notifications)
    assert len(mail.accepted) == 1
    assert await notices(notifications) == [("uncertain", "worker_did_not_come_back", "email")]


async def test_the_attempt_is_committed_before_the_call(
    notifications: Running, student: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    async def watched(*given: Any, **more: Any) -> Any:
        seen.extend(await rows(notifications, "attempt"))
        return await hand_over(*given, **more)

    monkeypatch.setattr(sending, "hand_over", watched)
    await notifications.deliver(targeted(student))
    await work(notifications)
    assert [(a["state"], a["words"]) for a in seen] == [("attempting", "")]


async def test_many_workers_at_once_send_one_message_each(
    notifications: Running, sisters: Sisters, mail: MailServer
) -> None:
    students = [uuid4() for _ in range(12)]
    for n, student in enumerate(students):
        sisters.families[student] = [contact(emails=[f"family{n}@example.org"])]
    await notifications.deliver(*map(targeted, students))
    await asyncio.gather(*(work(notifications) for _ in range(4)))
    await asyncio.gather(*(work(notifications) for _ in range(4)))
    assert mail.recipients() == sorted(f"family{n}@example.org" for n in range(12))


async def _leave_attempting(running: Running, student: UUID, *, lease: str) -> None:
    url = running.runtime.settings.smtp_url
    send_through(running, "")
    await running.deliver(targeted(student))
    await work(running)
    send_through(running, url)
    await execute(running, "UPDATE notifications_notice SET state = 'attempting', told_on = '2026-11-20'")
    await execute(
        running,
        f"""
        INSERT INTO notifications_attempt (notice_id, number, channel, worker, lease_until, state, words, reached, again)
        SELECT id, 1, 'email', gen_random_uuid(), now() + interval '{lease}', 'attempting', '', true, false
        FROM notifications_notice
        """,
    )


def _with(**changes: Any) -> Any:
    from dataclasses import replace

    return replace(POLICY, **changes)


# Who lets messages out.


async def _switch_on_for(running: Running, server: str, *, on: bool = True) -> None:
    await execute(
        running,
        "INSERT INTO notifications_switch (is_on, server, seen, switched_by, switched_at) VALUES (:on, :server, 0, 'district', now())",
        on=on,
        server=server,
    )


async def test_a_server_that_is_no_catcher_gets_nothing_until_a_person_says_so(
    notifications: Running, student: UUID, mail: MailServer
) -> None:
    mail.catcher = False
    await notifications.deliver(targeted(student))
    await work(notifications)
    assert mail.accepted == []

    district = notifications.headers("district")
    wrong = await switch(notifications, on=True, seen=14)
    assert (wrong.status_code, wrong.json()["type"]) == (409, "urn:trellis:problem:preview-changed")
    preview = (await notifications.http.get("/notifications/v1/preview", headers=district)).json()
    assert preview["families"] == 1
    said = {"on": True, "seen": preview["families"]}
    switched = await switch(notifications, **said)
    assert switched.status_code == 200
    assert switched.json()["by"] == "district"
    await work(notifications)
    assert len(mail.accepted) == 1


async def test_a_switch_for_one_server_does_not_open_another(
    notifications: Running, student: UUID, mail: MailServer
) -> None:
    mail.catcher = False
    await _switch_on_for(notifications, "mail.example.org:587")
    await notifications.deliver(targeted(student))
    await work(notifications)
    assert mail.accepted == []


async def test_a_person_may_stop_even_the_catcher(notifications: Running, student: UUID, mail: MailServer) -> None:
    district = notifications.headers("district")
    off = await notifications.http.post("/notifications/v1/sending", json={"on": False}, headers=district)
    assert off.status_code == 200
    await notifications.deliver(targeted(student))
    await work(notifications)
    assert mail.accepted == []


async def test_letters_follow_the_same_switch(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    mail.catcher = False
    sisters.families[student] = [contact(address=address())]
    await notifications.deliver(targeted(student))
    await work(notifications)
    assert await rows(notifications, "letter") == []


async def test_more_families_than_usual_pause_and_ask(
    notifications: Running, sisters: Sisters, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "POLICY", _with(cap_until_known=2))
    students = [uuid4() for _ in range(4)]
    for n, student in enumerate(students):
        sisters.families[student] = [contact(emails=[f"family{n}@example.org"])]
    await notifications.deliver(*map(targeted, students))
    await work(notifications)
    await work(notifications)
    assert len(mail.accepted) == 2
    assert await tasks(notifications) == ["cap"]

    notifications.clock.advance(timedelta(days=1))
    await work(notifications)
    assert len(mail.accepted) == 2, "it stays paused until somebody answers"

    notifications.clock.set(FRIDAY_MORNING)
    district = notifications.headers("district")
    (task,) = (await notifications.http.get("/notifications/v1/tasks", headers=district)).json()["items"]
    path = f"/notifications/v1/tasks/{task['id']}/resolve"
    assert (await notifications.http.post(path, json={"outcome": "continue"}, headers=district)).status_code == 200
    await work(notifications)
    assert len(mail.accepted) == 4


# A backup of the database is restored.


async def test_after_a_restore_nothing_is_sent_and_everything_unsent_is_uncertain(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    other = uuid4()
    sisters.families[other] = [contact(emails=["other@example.org"])]
    send_through(notifications, "")
    await notifications.deliver(targeted(student))
    await work(notifications)
    await execute(
        notifications,
        "INSERT INTO inbox_set_back (topic, partition, stored_offset, committed_offset) VALUES ('mtss', 0, 3, 9)",
    )
    sisters.away.add("sis")
    await notifications.deliver(targeted(other))
    async with serving(mail) as url:
        send_through(notifications, url)
        await work(notifications)
        assert await notices(notifications) == [("uncertain", "after_restore", "email")]

        on = {"on": True, "seen": 0}
        refused = await switch(notifications, **on)
        assert refused.json()["type"] == "urn:trellis:problem:still-catching-up"
        await execute(
            notifications,
            "INSERT INTO inbox_offset (topic, partition, next_offset, last_event_id) VALUES ('mtss', 0, 9, gen_random_uuid())",
        )
        accepted = await switch(notifications, **on)
        assert accepted.status_code == 200
        sisters.away.clear()
        await work(notifications)
        await work(notifications)
        assert mail.accepted == []
        assert await tasks(notifications) == ["uncertain", "uncertain"]

        third = uuid4()
        sisters.families[third] = [contact(emails=["third@example.org"])]
        await notifications.deliver(targeted(third))
        await work(notifications)
        assert mail.recipients() == ["third@example.org"]


async def test_over_kafka_nothing_is_sent_before_kafka_was_asked(
    notifications: Running, student: UUID, mail: MailServer
) -> None:
    before = notifications.runtime.settings
    notifications.runtime.settings = before.model_copy(update={"kafka": "127.0.0.1:9092"})
    await notifications.deliver(targeted(student))
    await work(notifications)
    assert mail.accepted == []
    notifications.runtime.settings = before
    await work(notifications)
    assert len(mail.accepted) == 1


async def test_nobody_switches_on_over_an_off_that_they_did_not_see(notifications: Running) -> None:
    district = notifications.headers("district")
    address = "/notifications/v1/sending"
    seen = (await notifications.http.get(address, headers=district)).headers["ETag"]
    assert (await notifications.http.post(address, json={"on": False}, headers=district)).status_code == 200

    on = {"on": True, "seen": 0}
    blind = await notifications.http.post(address, json=on, headers=district)
    late = await notifications.http.post(address, json=on, headers=district | {"If-Match": seen})

    assert (blind.status_code, late.status_code) == (428, 412)
    assert (await notifications.http.get(address, headers=district)).json()["last"]["on"] is False


async def test_of_fifty_who_switch_at_once_over_the_same_one_does(notifications: Running) -> None:
    district = notifications.headers("district")
    address = "/notifications/v1/sending"
    seen = await notifications.http.get(address, headers=district)
    headers = district | {"If-Match": seen.headers["ETag"]}
    post = notifications.http.post

    answers = await asyncio.gather(*(post(address, json={"on": False}, headers=headers) for _ in range(50)))

    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 49
