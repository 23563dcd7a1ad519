"""What persons and families may ask and do over HTTP."""

import re
from datetime import timedelta
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import pypdf
import pytest
import sqlalchemy as sa

from common.policy import LINK
from notifications.policy import POLICY
from notifications.texts import TEXTS
from tests.harness import Running, buckets_not_refilling
from tests.notifications.made_up import (
    FRIDAY_MORNING,
    SCHOOL,
    MailServer,
    Sisters,
    address,
    contact,
    enrolled,
    notices,
    offered,
    restricted,
    rows,
    send_through,
    switch,
    targeted,
    tasks,
    withdrawn,
    work,
)

HERE = "/notifications/v1"


async def get(running: Running, path: str, role: str = "district", **who: Any) -> Any:
    return await running.http.get(f"{HERE}{path}", headers=running.headers(role, **who))


async def post(
    running: Running, path: str, body: dict[str, Any] | None = None, role: str = "district", **who: Any
) -> Any:
    return await running.http.post(f"{HERE}{path}", json=body or {}, headers=running.headers(role, **who))


async def held_back(running: Running) -> dict[str, int]:
    summary = (await get(running, "/summary")).json()
    return {each["reason"]: each["families"] for each in summary["held_back"]}


def stop_link(mail: MailServer) -> str:
    found = re.search(r"/notifications/v1/unsubscribe/[\w-]+", mail.messages()[-1].replace("=\r\n", ""))
    assert found is not None
    return found.group()


async def test_the_summary_counts_told_waiting_and_held_back(
    notifications: Running, sisters: Sisters, mail: MailServer
) -> None:
    spanish, somali, nobody, late, sibling = (uuid4() for _ in range(5))
    sisters.families |= {
        spanish: [contact(language="es", emails=["a@example.org"])],
        somali: [contact(language="so", address=address())],
        nobody: [contact()],
        late: [contact(emails=["d@example.org"])],
        sibling: [contact(emails=["e@example.org"], restriction=restricted("uncoded"))],
    }
    await notifications.deliver(*(targeted(each) for each in (spanish, somali, nobody, sibling)))
    await notifications.deliver(targeted(late, on=FRIDAY_MORNING.date()))
    await work(notifications)

    summary = (await get(notifications, "/summary")).json()
    assert summary == {
        "told": [
            {"channel": "email", "language": "es", "fallback": False, "families": 1},
            {"channel": "letter", "language": "so", "fallback": True, "families": 1},
        ],
        "waiting": [{"until": "2026-11-23T15:00:00Z", "families": 1}],
        "held_back": [{"reason": "no_address", "families": 1}, {"reason": "restriction_not_coded", "families": 1}],
        "sending": "mail_catcher",
    }


async def test_a_family_of_several_children_is_counted_once_wherever_families_are_counted(
    notifications: Running, sisters: Sisters, mail: MailServer
) -> None:
    mother, father = (contact(emails=["home@example.org"]) for _ in range(2))
    with_her, with_him, late, elsewhere = (uuid4() for _ in range(4))
    sisters.families |= {
        with_her: [mother, father | {"lives_with": False}],
        with_him: [father, mother | {"lives_with": False}],  # the other parent is named first, the family is the same
        late: [mother, father],
        elsewhere: [contact(emails=["other@example.org"])],
    }
    mail.catcher = False
    await notifications.deliver(*map(targeted, (with_her, with_him, elsewhere)))
    await work(notifications)
    assert await held_back(notifications) == {"sending_is_off": 2}
    preview = (await get(notifications, "/preview")).json()
    by_channel = [{"channel": "email", "language": "en", "fallback": False, "families": 2}]
    assert (preview["families"], preview["told"]) == (2, by_channel)

    assert (await switch(notifications, on=True, seen=3)).status_code == 409
    assert (await switch(notifications, on=True, seen=2)).status_code == 200
    await work(notifications)
    assert len(mail.accepted) == 3, "siblings are separate notices"
    assert (await get(notifications, "/summary")).json()["told"] == by_channel
    today = FRIDAY_MORNING.date()
    await notifications.deliver(targeted(late, on=today), targeted(with_her, on=today, before=None, revision=2))
    await work(notifications)
    assert [each["families"] for each in (await get(notifications, "/summary")).json()["waiting"]] == [1]


async def test_while_sending_is_off_the_summary_says_so(
    notifications: Running, student: UUID, mail: MailServer
) -> None:
    mail.catcher = False
    await notifications.deliver(targeted(student))
    await work(notifications)
    summary = (await get(notifications, "/summary")).json()
    assert (summary["waiting"], summary["held_back"]) == ([], [{"reason": "sending_is_off", "families": 1}])
    preview = (await get(notifications, "/preview")).json()
    assert preview["families"] == 1
    assert preview["told"] == [{"channel": "email", "language": "en", "fallback": False, "families": 1}]


async def test_what_is_not_decided_yet_waits(notifications: Running, student: UUID, sisters: Sisters) -> None:
    sisters.away.add("sis")
    await notifications.deliver(targeted(student))
    await work(notifications)
    assert [each["families"] for each in (await get(notifications, "/summary")).json()["waiting"]] == [1]


async def test_without_a_mail_server_letters_are_printed_once_somebody_says_so(
    notifications: Running, student: UUID, sisters: Sisters
) -> None:
    by_letter = uuid4()
    sisters.families[by_letter] = [contact(address=address())]
    send_through(notifications, "")
    await notifications.deliver(targeted(student), targeted(by_letter))
    await work(notifications)
    waiting = {"no_mail_server": 1, "sending_is_off": 1}
    assert await rows(notifications, "letter") == []
    assert await held_back(notifications) == waiting

    preview = (await get(notifications, "/preview")).json()
    assert [each["channel"] for each in preview["told"]] == ["letter"]
    assert (await switch(notifications, on=True, seen=preview["families"])).status_code == 200
    await work(notifications)
    assert len(await rows(notifications, "letter")) == 1
    assert await held_back(notifications) == {"no_mail_server": 1}


async def test_a_letter_that_becomes_an_e_mail_waits_for_a_mail_server(
    notifications: Running, student: UUID, sisters: Sisters
) -> None:
    sisters.families[student] = [contact(address=address())]
    send_through(notifications, "")
    assert (await switch(notifications, on=True)).status_code == 200
    notifications.clock.set(FRIDAY_MORNING.replace(hour=7))
    await notifications.deliver(targeted(student))
    await work(notifications)
    sisters.families[student][0]["emails"] = ["alma@example.org"]
    notifications.clock.set(FRIDAY_MORNING)
    await work(notifications)
    assert await notices(notifications) == [("pending", "", "email")]
    assert await rows(notifications, "letter") == []
    assert await held_back(notifications) == {"no_mail_server": 1}


async def test_sending_is_not_switched_on_while_somebody_is_undecided(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    mail.catcher = False
    sisters.away.add("sis")
    await notifications.deliver(targeted(student))
    await work(notifications)
    preview = (await get(notifications, "/preview")).json()
    assert (preview["families"], preview["undecided"]) == (0, 1)

    refused = await switch(notifications, on=True, seen=0)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:trellis:problem:still-undecided")
    assert "For 1 students" in refused.json()["detail"]
    sisters.away.clear()
    await work(notifications)
    assert (await switch(notifications, on=True, seen=1)).status_code == 200


async def test_a_household_that_is_held_back_counts_once(
    notifications: Running, student: UUID, sisters: Sisters
) -> None:
    sibling, unknown = uuid4(), uuid4()
    family = [contact()]
    sisters.families |= {student: family, sibling: family}
    await notifications.deliver(targeted(student), offered(student), targeted(sibling))
    await notifications.deliver(targeted(unknown), offered(unknown))
    await work(notifications)
    assert await held_back(notifications) == {"no_address": 1, "contacts_unknown": 1}


async def test_stopping_by_one_click_holds_for_every_later_message_to_that_mailbox(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    await notifications.deliver(targeted(student))
    await work(notifications)
    link = stop_link(mail)

    page = await notifications.http.get(link)
    assert page.status_code == 200
    assert '<form method="post">' in page.text
    assert await rows(notifications, "opt_out") == [], "looking changes nothing"

    clicked = await notifications.http.post(link, content=b"List-Unsubscribe=One-Click")
    assert clicked.status_code == 200
    assert (await notifications.http.post(link)).status_code == 200, "a second click does no harm"

    other_child = uuid4()
    sisters.families[other_child] = [contact(emails=["ALMA@example.org"])]
    await notifications.deliver(offered(student), targeted(other_child))
    await work(notifications)
    assert len(mail.accepted) == 1
    assert [reason for state, reason, _ in await notices(notifications) if state == "held"] == ["opted_out"] * 2


async def test_whoever_stopped_e_mail_while_a_message_waited_does_not_get_it(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    await notifications.deliver(targeted(student))
    await work(notifications)
    sisters.families[student][0]["address"] = address()
    mail.catcher = False
    await notifications.deliver(offered(student))
    await work(notifications)
    await notifications.http.post(stop_link(mail))
    mail.catcher = True
    await work(notifications)

    assert len(mail.accepted) == 1
    assert sorted(channel or "" for _, _, channel in await notices(notifications)) == ["email", "letter"]


async def test_an_unknown_stop_link_is_not_found(notifications: Running) -> None:
    for answer in (
        await notifications.http.get(f"{HERE}/unsubscribe/x"),
        await notifications.http.post(f"{HERE}/unsubscribe/x"),
    ):
        assert answer.status_code == 404
        assert "<form" not in answer.text


async def test_a_stop_link_runs_out(notifications: Running, student: UUID, mail: MailServer) -> None:
    await notifications.deliver(targeted(student))
    await work(notifications)
    link = stop_link(mail)

    notifications.clock.advance(timedelta(days=POLICY.stop_link_days, seconds=-1))
    assert (await notifications.http.get(link)).status_code == 200
    notifications.clock.advance(timedelta(seconds=1))
    assert [(await notifications.http.request(method, link)).status_code for method in ("GET", "POST")] == [404, 404]
    assert await rows(notifications, "opt_out") == []


async def test_the_stop_links_of_a_mailbox_are_taken_back(
    notifications: Running, student: UUID, mail: MailServer
) -> None:
    await notifications.deliver(targeted(student))
    await work(notifications)
    link, path = stop_link(mail), f"{HERE}/stop-links/revoke"
    district, nobody = notifications.headers("district"), notifications.headers("principal", schools=["7"])
    assert (await notifications.http.post(path, json={"email": "alma@example.org"}, headers=nobody)).status_code == 403
    await notifications.http.post(path, json={"email": "not-alma@example.org"}, headers=district)
    assert (await notifications.http.get(link)).status_code == 200

    taken = await notifications.http.post(path, json={"email": "ALMA@example.org"}, headers=district)

    assert taken.status_code == 204
    assert {(await notifications.http.get(link)).status_code, (await notifications.http.post(link)).status_code} == {
        404
    }
    assert await rows(notifications, "opt_out") == []


async def test_a_stop_link_that_is_asked_for_too_often_waits_and_others_do_not(notifications: Running) -> None:
    with buckets_not_refilling(notifications):
        for _ in range(LINK.burst):
            await notifications.http.get(f"{HERE}/unsubscribe/x")

        refused = await notifications.http.post(f"{HERE}/unsubscribe/x")

        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
        assert (await notifications.http.get(f"{HERE}/unsubscribe/y")).status_code == 404


async def test_the_database_holds_no_address_no_name_and_no_link(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    sisters.families[student] = [
        contact(emails=["alma@example.org"], first_name="Almudena"),
        contact(address=address("77 Canary Way")),
    ]
    sisters.names[student] = "Nicodemus"
    await notifications.deliver(targeted(student))
    await work(notifications)
    token = stop_link(mail).rpartition("/")[2]

    async with notifications.session() as session:
        names = await session.execute(sa.text("SELECT tablename FROM pg_tables WHERE tablename LIKE 'notifications_%'"))
        stored = ""
        for name in names.scalars().all():
            stored += str((await session.execute(sa.text(f"SELECT * FROM {name}"))).all()).casefold()
    assert [word for word in ("alma@", "almudena", "canary", "nicodemus", token.casefold()) if word in stored] == []


async def test_letters_are_listed_read_and_marked_as_printed(
    notifications: Running, student: UUID, sisters: Sisters
) -> None:
    sisters.families[student] = [contact(language="es", first_name="Almudena", address=address())]
    await notifications.deliver(targeted(student))
    await work(notifications)

    (letter,) = (await get(notifications, "/letters?printed=false")).json()["items"]
    assert (letter["student_id"], letter["language"], letter["printed_at"]) == (str(student), "es", None)
    pdf = await get(notifications, f"/letters/{letter['id']}.pdf")
    assert pdf.headers["content-type"] == "application/pdf"
    assert "Almudena Reyes" in pypdf.PdfReader(BytesIO(pdf.content)).pages[0].extract_text()

    assert (await post(notifications, f"/letters/{letter['id']}/printed")).status_code == 204
    assert (await get(notifications, "/letters?printed=false")).json()["items"] == []
    assert len((await get(notifications, "/letters?printed=true")).json()["items"]) == 1


async def test_the_school_that_decided_signs_also_after_a_transfer(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer
) -> None:
    sisters.families[student] = [contact(address=address()), contact(emails=["ben@example.org"])]
    sisters.transferred.add(student)
    await notifications.deliver(enrolled(student), targeted(student))
    await work(notifications)

    (letter,) = (await get(notifications, "/letters", "principal", schools=[SCHOOL])).json()["items"]
    pdf = await get(notifications, f"/letters/{letter['id']}.pdf")
    (message,) = mail.messages()
    for told in (pypdf.PdfReader(BytesIO(pdf.content)).pages[0].extract_text(), message):
        assert "Mesa School" in told
        assert "Pine School" not in told


async def test_letters_tasks_and_notices_are_seen_at_the_student_s_school_only(
    notifications: Running, student: UUID, sisters: Sisters
) -> None:
    sisters.families[student] = [contact(address=address()), contact(first_name="\U00013080", address=address("1 B"))]
    await notifications.deliver(enrolled(student), targeted(student))
    await work(notifications)
    letter = (await rows(notifications, "letter"))[0]["id"]
    task = (await rows(notifications, "task"))[0]["id"]

    for schools, seen in (([SCHOOL], True), (["other"], False)):
        who: dict[str, Any] = {"role": "principal", "schools": schools}
        assert len((await get(notifications, "/letters", **who)).json()["items"]) == seen
        assert len((await get(notifications, "/tasks", **who)).json()["items"]) == seen
        status = 200 if seen else 404
        assert (await get(notifications, f"/letters/{letter}.pdf", **who)).status_code == status
        assert (await get(notifications, f"/notices/{student}", **who)).status_code == status
        if not seen:
            assert (await post(notifications, f"/tasks/{task}/resolve", {"outcome": "done"}, **who)).status_code == 404
            assert (await post(notifications, f"/letters/{letter}/printed", **who)).status_code == 404


async def test_notices_say_how_and_why(notifications: Running, student: UUID) -> None:
    await notifications.deliver(enrolled(student), targeted(student))
    await work(notifications)
    (notice,) = (await get(notifications, f"/notices/{student}", "counselor", schools=[SCHOOL])).json()["items"]
    assert (notice["state"], notice["channel"], notice["purpose"]) == ("accepted", "email", "tier")
    assert notice["why"] == {
        "household": "one contact",
        "channel": "an e-mail address may be used",
        "language": "the text is approved in the home language",
        "text": f"en, version {TEXTS.languages['en']['version']}",
        "policy": "default-1",
    }
    assert [attempt["state"] for attempt in notice["attempts"]] == ["accepted"]


@pytest.mark.parametrize(("outcome", "state"), [("arrived", "delivered"), ("not_arrived", "accepted")])
async def test_a_person_finds_out_what_became_of_an_uncertain_message(
    notifications: Running, student: UUID, sisters: Sisters, mail: MailServer, outcome: str, state: str
) -> None:
    sisters.families[student] = [contact(emails=["alma@example.org"], address=address())]
    mail.refuse["END"] = "451 later"
    await notifications.deliver(targeted(student))
    await work(notifications)
    mail.refuse.clear()

    (task,) = (await get(notifications, "/tasks")).json()["items"]
    assert (task["kind"], task["outcomes"]) == ("uncertain", ["arrived", "not_arrived"])
    path = f"/tasks/{task['id']}/resolve"
    assert (await post(notifications, path, {"outcome": "perhaps"})).status_code == 422
    assert (await post(notifications, path, {"outcome": outcome})).json()["resolved_by"] == "district"
    assert (await post(notifications, path, {"outcome": outcome})).status_code == 409
    await work(notifications)

    assert len(mail.accepted) == 1
    assert [(s, c) for s, _, c in await notices(notifications)] == [
        (state, "email" if outcome == "arrived" else "letter")
    ]
    assert await tasks(notifications) == []


async def test_lists_are_paged(notifications: Running, sisters: Sisters) -> None:
    students = [uuid4() for _ in range(3)]
    for student in students:
        sisters.families[student] = [contact(address=address())]
    await notifications.deliver(*map(targeted, students))
    await work(notifications)
    await notifications.deliver(*map(withdrawn, students))

    for path in ("/letters", "/tasks"):
        first = (await get(notifications, f"{path}?limit=2")).json()
        second = (await get(notifications, f"{path}?limit=2&cursor={first['next']}")).json()
        assert (len(first["items"]), len(second["items"]), second["next"]) == (2, 1, None)
    assert (await get(notifications, "/letters?cursor=WyJ4Il0")).status_code == 422


@pytest.mark.parametrize("path", ["/summary", "/preview"])
async def test_numbers_are_for_the_district(notifications: Running, path: str) -> None:
    assert (await get(notifications, path, "principal", schools=[SCHOOL])).status_code == 403
    assert (await notifications.http.get(f"{HERE}{path}")).status_code == 401
