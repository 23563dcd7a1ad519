"""People decide: proposals answered, the policy overridden, and every decision that follows provable."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from common.db import transaction_time
from common.events import Cause, Event, Relation, Tier, TierDecided
from mtss.commands.reviews import hand_over, reviews
from mtss.models import Decision, Ruling, Student, verify
from mtss.rules import RULINGS
from tests.harness import Running, over_http
from tests.mtss.ledger import known_since
from tests.mtss.made_up import FIRST, STUDENT, School, districts, school_days
from tests.mtss.test_policies import adopted
from tests.mtss.test_rules_policy import changed
from tests.scoped import TEACHER, assigned, related

SCHOOL = School("north", days=school_days(120))
REASON = "Her counselor and family have met and agree."


def at_noon(day: int) -> datetime:
    on = SCHOOL.days[day]
    return datetime(on.year, on.month, on.day, 18, tzinfo=UTC)


@pytest_asyncio.fixture(loop_scope="session")
async def school(mtss: Running) -> AsyncIterator[Running]:
    """A student with two grounds, so that intensive support is proposed; it is noon of the day after day 29."""
    mtss.clock.set(at_noon(30))
    await mtss.deliver(
        SCHOOL.calendar(),
        SCHOOL.enrols(),
        *(SCHOOL.absent(day) for day in (18, 19)),
        SCHOOL.scores(20, 2.0),
        *SCHOOL.closes_through(30),
    )
    yield mtss


async def call(mtss: Running, method: str, path: str, role: str = "counselor", **more: Any) -> httpx.Response:
    who = mtss.headers(role, schools=more.pop("schools", ["north"]), staff=more.pop("staff", None))
    headers = who | more.pop("headers", {})
    return await mtss.http.request(method, f"/mtss/v1{path}", headers=headers, **more)


async def student(mtss: Running, **more: Any) -> Any:
    return (await call(mtss, "GET", f"/students/{STUDENT}", **more)).json()


async def act(mtss: Running, path: str, *, seen: str | None = None, **body: Any) -> httpx.Response:
    """Decide over what is seen now."""
    found = seen or (await call(mtss, "GET", f"/students/{STUDENT}")).headers["ETag"]
    return await call(mtss, "POST", path, json={"reason": REASON} | body, headers={"If-Match": found})


async def handed_over(mtss: Running, review: str, **body: Any) -> httpx.Response:
    """Hand over what waits, over what is seen now."""
    path = f"/reviews/{review}/hand-over"
    headers = {"If-Match": (await call(mtss, "GET", path)).headers["ETag"]}
    return await call(mtss, "POST", path, json={"reason": REASON} | body, headers=headers)


async def answer(mtss: Running, how: str) -> httpx.Response:
    return await act(mtss, f"/proposals/{(await student(mtss))['proposal']['id']}/{how}")


async def override(mtss: Running, tier: str, until: date) -> httpx.Response:
    return await act(mtss, f"/students/{STUDENT}/overrides", tier=tier, until=until.isoformat())


async def decisions(mtss: Running) -> list[tuple[Tier | None, Cause, date]]:
    return [(said.tier, said.cause, said.effective_on) for said in await mtss.said(TierDecided)]


async def differing(mtss: Running) -> list[str]:
    async with mtss.session() as session:
        ledger = (await session.scalars(sa.select(Decision))).all()
        return sorted({each.field for found in await verify(session, ledger, changes=True) for each in found})


# Proposals


async def test_accepting_a_proposal_leads_to_a_decision_that_says_a_person_did(school: Running) -> None:
    proposal = (await student(school))["proposal"]
    assert (proposal["tier"], proposal["tier_before"]) == ("intensive", "targeted")
    accepted = await answer(school, "accept")

    assert accepted.status_code == 201
    ruling = accepted.json()
    assert (ruling["kind"], ruling["tier"], ruling["made_on"]) == ("accepted", "intensive", SCHOOL.days[30].isoformat())
    assert (ruling["by"], ruling["reason"], ruling["proposal_id"]) == ("counselor", REASON, proposal["id"])
    assert (await decisions(school))[-1] == (Tier.INTENSIVE, Cause.ACCEPTED, SCHOOL.days[30])
    now = await student(school)
    assert (now["tier"], now["since"], now["proposal"]) == ("intensive", SCHOOL.days[30].isoformat(), None)
    assert now["flapping"] == {"ups": 1, "downs": 0}
    summary = (await call(school, "GET", "/schools/north/summary")).json()
    assert (summary["students"], summary["tiers"]) == (1, {"universal": 0, "targeted": 0, "intensive": 1})
    closed = (await call(school, "GET", f"/proposals/{proposal['id']}")).json()
    assert closed["closed_at"] is not None
    assert await differing(school) == []


async def test_where_a_student_stood_on_a_day_is_told_with_what_people_had_decided_by_then(school: Running) -> None:
    assert (await answer(school, "accept")).status_code == 201
    school.clock.set(at_noon(31))
    assert (await override(school, "universal", SCHOOL.days[40])).status_code == 201
    await known_since(school, "2024-09-01")
    for day, tier in ((29, "targeted"), (30, "intensive"), (31, "universal")):
        known = (await call(school, "GET", f"/students/{STUDENT}/known?on={SCHOOL.days[day]}")).json()
        assert (known["as_known_then"]["tier"], known["as_known_now"]["tier"], known["same"]) == (tier, tier, True)
        assert known["as_known_now"]["closed_through"] == SCHOOL.days[29].isoformat()


async def test_declining_leaves_the_tier_and_rests_until_the_ground_changes(school: Running) -> None:
    before = await decisions(school)
    assert (await answer(school, "decline")).status_code == 201
    await school.deliver(*SCHOOL.closes(30, 31))
    assert (await student(school))["proposal"] is None
    assert await decisions(school) == before

    await school.deliver(*(SCHOOL.refers(31, incident) for incident in (1, 2)))

    assert (await student(school))["proposal"]["tier"] == "intensive"
    assert await differing(school) == []


async def test_what_was_declined_is_proposed_again_after_the_days_that_the_policy_says(school: Running) -> None:
    await answer(school, "decline")
    await school.deliver(*SCHOOL.closes(*range(30, 50)), *(SCHOOL.absent(day) for day in (32, 36, 40, 44)))
    assert (await student(school))["proposal"] is None
    await school.deliver(*SCHOOL.closes(50))
    assert (await student(school))["proposal"]["since"] == SCHOOL.days[20].isoformat()


async def test_the_end_of_intensive_support_is_proposed_and_ends_when_a_person_says_so(school: Running) -> None:
    await answer(school, "accept")
    await school.deliver(*SCHOOL.closes(30), SCHOOL.scores(25, 4.0, window=1))
    proposal = (await student(school))["proposal"]
    assert (proposal["tier"], proposal["tier_before"]) == ("targeted", "intensive")
    assert (await student(school))["tier"] == "intensive"

    await answer(school, "accept")

    # The score began to count before the student's support did, so both rulings are of one day.
    assert (await decisions(school))[-1][:2] == (Tier.TARGETED, Cause.ACCEPTED)
    assert await differing(school) == []


async def test_a_proposal_is_answered_once_and_over_what_was_seen(school: Running) -> None:
    path = f"/proposals/{(await student(school))['proposal']['id']}/accept"
    unseen = await call(school, "POST", path, json={"reason": REASON})
    assert (unseen.status_code, unseen.json()["type"]) == (428, "urn:trellis:problem:seen-version-missing")
    assert (await act(school, path, seen='"before"')).status_code == 412
    seen = (await call(school, "GET", f"/students/{STUDENT}")).headers["ETag"]
    once = {"If-Match": seen, "Idempotency-Key": str(uuid4())}
    first = await call(school, "POST", path, json={"reason": REASON}, headers=once)
    again = await call(school, "POST", path, json={"reason": REASON}, headers=once)
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    late = await act(school, path)
    assert (late.status_code, late.json()["type"]) == (409, "urn:trellis:problem:proposal-closed")
    assert len((await call(school, "GET", f"/students/{STUDENT}/rulings")).json()["items"]) == 1


@pytest.mark.parametrize("body", [{}, {"reason": "short"}, {"reason": REASON, "tier": "universal"}])
async def test_who_decides_says_why_and_nothing_else(school: Running, body: dict[str, str]) -> None:
    path = f"/proposals/{(await student(school))['proposal']['id']}/decline"
    refused = await call(school, "POST", path, json=body, headers={"If-Match": '"any"'})
    assert refused.status_code == 422
    assert "short" not in refused.text.replace("too_short", "")


async def test_a_ruling_stays_as_it_was_made_and_its_words_are_sealed(school: Running) -> None:
    await answer(school, "accept")
    async with school.admin.connect() as connection:
        (sealed,) = (await connection.execute(sa.text("SELECT reason FROM mtss_ruling"))).one()
        assert REASON.encode() not in sealed
        for statement in ("UPDATE mtss_ruling SET tier = 'universal'", "DELETE FROM mtss_ruling"):
            with pytest.raises(sa.exc.DBAPIError, match="never changes"):
                await connection.execute(sa.text(statement))
            await connection.rollback()


async def test_a_proposal_is_due_within_the_school_days_that_the_policy_says(mtss: Running) -> None:
    now = mtss.runtime.now().date()
    around = School("north", days=[now + timedelta(days=day) for day in range(-40, 60, 2)])
    absent = [around.absent(day) for day in (17, 18)]
    await mtss.deliver(around.calendar(), around.enrols(), *absent, around.scores(17, 2.0), *around.closes_through(20))
    proposal = (await student(mtss))["proposal"]
    opened_on = mtss.runtime.date_of(datetime.fromisoformat(proposal["known_at"]))
    later = [day for day in around.days if day > opened_on]
    assert proposal["due_on"] == later[4].isoformat()
    await mtss.deliver(around.calendar().model_copy(update={"instructional_days": tuple(around.days[:22])}))
    assert (await student(mtss))["proposal"]["due_on"] is None


# Overrides


async def test_of_fifty_who_override_over_the_same_one_does(school: Running) -> None:
    seen = (await call(school, "GET", f"/students/{STUDENT}")).headers["ETag"]
    until = SCHOOL.days[40].isoformat()

    answers = await asyncio.gather(
        *(
            act(
                school,
                f"/students/{STUDENT}/overrides",
                seen=seen,
                tier="intensive",
                until=until,
                reason=f"Reason {n:02}.",
            )
            for n in range(50)
        )
    )

    assert sorted(each.status_code for each in answers) == [201] + [412] * 49
    (won,) = (each.json() for each in answers if each.is_success)
    rulings = (await call(school, "GET", f"/students/{STUDENT}/rulings")).json()["items"]
    assert [(each["id"], each["reason"]) for each in rulings] == [(won["id"], won["reason"])]


@pytest.mark.parametrize("tier", ["universal", "intensive"])
async def test_an_override_stands_up_or_down_with_what_the_policy_says_beside_it(school: Running, tier: str) -> None:
    made = await override(school, tier, SCHOOL.days[40])
    assert made.status_code == 201
    assert (await decisions(school))[-1] == (Tier(tier), Cause.OVERRIDDEN, SCHOOL.days[30])
    await school.deliver(*SCHOOL.closes(*range(30, 41)))
    now = await student(school)
    assert (now["tier"], now["override"]["tier_beneath"], now["proposal"]) == (tier, "targeted", None)
    assert (now["override"]["until"], now["override"]["reason"]) == (SCHOOL.days[40].isoformat(), REASON)
    assert now["what_would_change_it"].startswith("A person decided this tier. It stands until October 14, 2024")
    last = (await call(school, "GET", f"/students/{STUDENT}/decisions")).json()["items"][-1]
    assert (last["ruling"], last["tier_beneath"]) == (1, "targeted")
    words = (await call(school, "GET", f"/decisions/{last['decision_id']}/words?for=parent")).json()
    assert "until October 14, 2024" in words["changes"][0]

    await school.deliver(*SCHOOL.closes(41))

    assert (await decisions(school))[-1] == (Tier.TARGETED, Cause.RESUMED, SCHOOL.days[41])
    assert (await student(school))["override"] is None
    assert await differing(school) == []


async def test_an_override_is_withdrawn_early_once(school: Running) -> None:
    made = (await override(school, "universal", SCHOOL.days[40])).json()
    school.clock.set(at_noon(33))
    path = f"/overrides/{made['id']}/withdraw"
    assert (await act(school, path)).json()["kind"] == "withdrawn"
    assert (await decisions(school))[-1] == (Tier.TARGETED, Cause.RESUMED, SCHOOL.days[33])
    again = await act(school, path)
    assert (again.status_code, again.json()["type"]) == (409, "urn:trellis:problem:override-over")
    history = (await call(school, "GET", f"/students/{STUDENT}/rulings")).json()["items"]
    assert [(each["number"], each["kind"]) for each in history] == [(1, "overridden"), (2, "withdrawn")]
    assert await differing(school) == []


@pytest.mark.parametrize("day", [30, 29, 76, None])
async def test_an_override_ends_with_a_school_day_that_is_near(school: Running, day: int | None) -> None:
    until = date(2024, 10, 5) if day is None else SCHOOL.days[day]  # a Saturday
    refused = await override(school, "universal", until)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "until")
    assert until.isoformat() not in refused.text
    assert (await override(school, "universal", SCHOOL.days[75])).status_code == 201


async def test_who_has_no_tier_yet_is_not_overridden(school: Running) -> None:
    new = UUID(int=77)
    await school.deliver(SCHOOL.enrols(new, entry_on=SCHOOL.days[30]))
    seen = (await call(school, "GET", f"/students/{new}")).headers["ETag"]
    body = {"tier": "targeted", "until": SCHOOL.days[40].isoformat(), "reason": REASON}
    refused = await call(school, "POST", f"/students/{new}/overrides", json=body, headers={"If-Match": seen})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:trellis:problem:tier-missing")


async def test_one_touched_ruling_is_found_by_the_proof(school: Running) -> None:
    await override(school, "universal", SCHOOL.days[40])
    await school.deliver(*SCHOOL.closes(*range(30, 42)))
    assert await differing(school) == []
    async with school.admin.begin() as connection:
        await connection.execute(sa.text("ALTER TABLE mtss_ruling DISABLE TRIGGER USER"))
        await connection.execute(sa.text("UPDATE mtss_ruling SET by = 'somebody else'"))
        await connection.execute(sa.text("ALTER TABLE mtss_ruling ENABLE TRIGGER USER"))
    assert await differing(school) == ["facts.rulings"]


async def test_facts_that_come_late_and_in_any_order_end_where_those_in_time_do(school: Running) -> None:
    await answer(school, "accept")
    late = [SCHOOL.absent(19, deleted=True), SCHOOL.scores(20, 2.0, deleted=True), *SCHOOL.closes(30, 31)]
    for event in (*late, *late[::-1]):
        await school.deliver(event)
    # Support does not end by itself, though its ground was never there: a person is asked.
    now = await student(school)
    assert (now["tier"], now["proposal"]["tier"], now["since"]) == (
        "intensive",
        "universal",
        SCHOOL.days[30].isoformat(),
    )
    assert await differing(school) == []


# The queue


async def queue(mtss: Running, **more: Any) -> Any:
    """What waits, but for students who are to be asked how they are: tests/mtss/test_pulses.py asks for them."""
    found = (await call(mtss, "GET", "/schools/north/reviews", **more)).json()["items"]
    return [each for each in found if each["about"] != "follow_up"]


def around_today(mtss: Running) -> School:
    """Every other day is a school day, today and the twentieth among them: proposals are known by the database's clock."""
    now = mtss.runtime.today()
    return School("north", days=[now + timedelta(days=day) for day in range(-40, 60, 2)])


async def test_a_queue_says_what_waits_by_when_and_what_is_late(mtss: Running) -> None:
    here, soon = around_today(mtss), UUID(int=5)
    absent = [here.absent(day, who) for who in (STUDENT, soon) for day in (17, 18)]
    enrolled = [here.calendar(), here.enrols(), here.enrols(soon)]
    await mtss.deliver(*enrolled, *absent, here.scores(17, 2.0), *here.closes_through(20))
    seen = (await call(mtss, "GET", f"/students/{soon}")).headers["ETag"]
    body = {"tier": "universal", "until": here.days[23].isoformat(), "reason": REASON}
    made = await call(mtss, "POST", f"/students/{soon}/overrides", json=body, headers={"If-Match": seen})

    first, second = await queue(mtss)

    assert (first["about"], first["id"], first["due_on"]) == ("override", made.json()["id"], body["until"])
    assert (second["about"], second["tier"], second["due_on"]) == ("proposal", "intensive", here.days[25].isoformat())
    assert [first["late"], second["late"], first["assigned"]] == [False, False, None]
    assert (first["flapping"], second["flapping"]) == ({"ups": 0, "downs": 1}, {"ups": 0, "downs": 0})
    mtss.clock.set(datetime.combine(here.days[26], time(18), UTC))
    assert [(each["about"], each["late"]) for each in await queue(mtss)] == [("override", False), ("proposal", True)]
    assert await queue(mtss, schools=["south"]) == []


async def test_a_tier_that_ended_by_itself_is_seen_in_the_queue_for_a_month(mtss: Running) -> None:
    mtss.clock.set(at_noon(61))
    absent = [SCHOOL.absent(day) for day in (18, 19)]
    await mtss.deliver(SCHOOL.calendar(), SCHOOL.enrols(), *absent, *SCHOOL.closes_through(30))
    assert await queue(mtss) == []
    await mtss.deliver(*SCHOOL.closes_through(60))

    (ended,) = await queue(mtss)

    assert [said[:2] for said in await decisions(mtss)][-1] == (Tier.UNIVERSAL, Cause.EXITED)
    assert (ended["about"], ended["tier"], ended["due_on"], ended["late"]) == ("ended", "targeted", None, False)
    await mtss.deliver(assigned(begin_on=SCHOOL.days[0], classification="school counselor"))
    assert (await handed_over(mtss, ended["id"], staff_id=str(TEACHER))).status_code == 201
    assert (await queue(mtss, schools=["south"])) == []
    mtss.clock.set(datetime.now(UTC) + timedelta(days=32))
    assert await queue(mtss) == []


async def test_a_tier_that_a_person_ended_is_not_shown_as_ended_by_itself(school: Running) -> None:
    await override(school, "universal", SCHOOL.days[40])

    assert "ended" not in [each["about"] for each in await queue(school)]


async def test_a_queue_is_read_page_by_page(school: Running) -> None:
    whole = (await call(school, "GET", "/schools/north/reviews")).json()["items"]
    some = (await call(school, "GET", "/schools/north/reviews?limit=1")).json()
    rest = (await call(school, "GET", f"/schools/north/reviews?cursor={some['next']}")).json()
    assert (len(some["items"]), some["items"] + rest["items"], rest["next"]) == (1, whole, None)


async def test_an_override_waits_for_nobody_until_it_ends_soon(school: Running) -> None:
    await override(school, "universal", SCHOOL.days[40])
    assert await queue(school) == []
    school.clock.set(at_noon(36))
    assert [each["due_on"] for each in await queue(school)] == [SCHOOL.days[40].isoformat()]


async def test_a_student_of_whom_too_little_is_known_waits_where_the_policy_has_a_person_asked(mtss: Running) -> None:
    here = around_today(mtss)
    await mtss.deliver(
        here.calendar(),
        here.enrols(),
        *here.closes_through(20),
        assigned(begin_on=here.days[0], classification="principal"),
    )
    assert await queue(mtss) == []
    asks = changed("clauses/adult_support/when_unknown", "ask") | {"version": "asks-1"}
    await adopted(mtss, asks, 0, in_force_from=here.days[20].isoformat())
    await mtss.deliver(*here.closes(20))

    (waits,) = await queue(mtss)

    before = await decisions(mtss)
    assert (waits["about"], waits["student_id"], waits["tier"]) == ("too_little_known", str(STUDENT), None)
    assert (waits["begun_on"], waits["due_on"]) == (here.days[20].isoformat(), here.days[25].isoformat())
    assert (await handed_over(mtss, waits["id"], staff_id=str(TEACHER))).status_code == 201
    await mtss.deliver(*here.closes(21))
    assert [(each["id"], each["assigned"]["staff_id"]) for each in await queue(mtss)] == [(waits["id"], str(TEACHER))]

    answer = f"/students/{STUDENT}/question/answer"
    seen = (await call(mtss, "GET", f"/students/{STUDENT}")).headers["ETag"]
    answers = await asyncio.gather(*(act(mtss, answer, seen=seen) for _ in range(2)))
    assert sorted(each.status_code for each in answers) == [201, 409]
    (looked,) = (each.json() for each in answers if each.status_code == 201)
    assert (looked["kind"], looked["tier"], looked["reason"]) == ("looked", "universal", REASON)
    assert (await queue(mtss), await decisions(mtss)) == ([], before)

    await mtss.deliver(*here.closes(*range(22, 40)))  # it rests for twenty days
    assert await queue(mtss) == []
    await mtss.deliver(*here.closes(40))
    (again,) = await queue(mtss)
    assert (again["about"], again["id"] == waits["id"]) == ("too_little_known", False)
    await mtss.deliver(here.scores(20, 4.0))
    assert await queue(mtss) == []
    assert await differing(mtss) == []


async def test_a_review_is_handed_over_with_a_reason_to_who_works_there(school: Running) -> None:
    (waits,) = await queue(school)
    path, body = f"/reviews/{waits['id']}/hand-over", {"staff_id": str(TEACHER), "reason": REASON}
    nobody = await handed_over(school, waits["id"], **body)
    assert (nobody.status_code, nobody.json()["errors"][0]["field"]) == (422, "staff_id")
    await school.deliver(assigned(begin_on=SCHOOL.days[0]))
    teaches = await handed_over(school, waits["id"], **body)
    assert (teaches.status_code, "decides there" in teaches.json()["errors"][0]["rule"]) == (422, True)
    for kind in (Relation.CASELOAD, Relation.TRUSTED_ADULT):
        await school.deliver(related(kind, STUDENT, TEACHER, begin_on=SCHOOL.days[0]))
        assert (await handed_over(school, waits["id"], **body)).status_code == 422
    await school.deliver(related(Relation.COUNSELOR, STUDENT, TEACHER, begin_on=SCHOOL.days[0]))
    assert (await handed_over(school, waits["id"], **body)).status_code == 201
    gone = related(Relation.COUNSELOR, STUDENT, TEACHER, begin_on=SCHOOL.days[0], deleted=True)
    await school.deliver(gone, assigned(begin_on=SCHOOL.days[0], classification="school counselor"))
    handed = await handed_over(school, waits["id"], **body)
    assert (handed.status_code, handed.json()["reason"]) == (201, REASON)
    assert [each["assigned"] for each in await queue(school)] == [handed.json()]
    other = UUID(int=9)
    await school.deliver(related(Relation.CASELOAD, STUDENT, other, begin_on=SCHOOL.days[0]))
    await handed_over(school, waits["id"], staff_id=str(other))
    assert [each["assigned"]["staff_id"] for each in await queue(school)] == [str(other)]
    for away in ({"schools": ["south"]}, {"role": "teacher"}):
        assert (await call(school, "POST", path, json=body, **away)).status_code in (403, 404)


async def test_of_fifty_who_hand_over_at_once_over_the_same_one_does(school: Running) -> None:
    (waits,) = await queue(school)
    await school.deliver(assigned(begin_on=SCHOOL.days[0], classification="school counselor"))
    path, body = f"/reviews/{waits['id']}/hand-over", {"staff_id": str(TEACHER), "reason": REASON}
    assert (await call(school, "POST", path, json=body)).status_code == 428
    seen = (await call(school, "GET", path)).headers["ETag"]

    answers = await asyncio.gather(
        *(call(school, "POST", path, json=body, headers={"If-Match": seen}) for _ in range(50))
    )

    assert sorted(answer.status_code for answer in answers) == [201, *[412] * 49]
    (done,) = (answer for answer in answers if answer.status_code == 201)
    assert done.headers["ETag"] == (await call(school, "GET", path)).headers["ETag"] != seen


async def test_the_queue_is_shown_on_the_command_line(school: Running, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(school.headers("district")["Authorization"].removeprefix("Bearer "))
    app, handing = typer.Typer(), typer.Typer()
    app.command()(reviews)
    handing.command()(hand_over)
    await school.deliver(assigned(begin_on=SCHOOL.days[0], classification="principal"))
    async with over_http(school.app) as url:
        at = ["--url", url, "--token-file", str(token)]
        options = ["north", *at]
        shown = await asyncio.to_thread(CliRunner().invoke, app, options)
        told = await asyncio.to_thread(CliRunner().invoke, app, [*options, "--json"])
        late = await asyncio.to_thread(CliRunner().invoke, app, [*options, "--late", "--json"])
        (waits,) = (each["id"] for each in json.loads(told.output) if each["about"] == "proposal")
        handed = await asyncio.to_thread(CliRunner().invoke, handing, [waits, str(TEACHER), REASON, *at])
        again = await asyncio.to_thread(CliRunner().invoke, handing, [waits, str(TEACHER), REASON, *at])
        known = [waits, str(TEACHER), REASON, "--from", str(TEACHER), *at]
        taken = await asyncio.to_thread(CliRunner().invoke, handing, known)
    assert (shown.exit_code, "proposal" in shown.output, "nobody" in shown.output) == (0, True, True)
    assert (handed.exit_code, handed.output) == (0, "Handed over.\n")
    assert (again.exit_code, f"{TEACHER} has it" in again.output, taken.exit_code) == (1, True, 0)
    assert [each["assigned"]["staff_id"] for each in await queue(school)] == [str(TEACHER)]
    assert {each["student_id"] for each in json.loads(told.output)} == {str(STUDENT)}
    assert [each["about"] for each in json.loads(late.output)] == ["follow_up"]


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(districts(students=1), st.data())
async def test_with_rulings_too_facts_end_the_same_in_any_order_however_often(
    service: Running, events: list[Event], data: st.DataObject
) -> None:
    """I5 with people: the same facts and rulings, the same tier, by decisions that can each be made again."""
    drawn = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(list(Tier)), st.integers(0, 60)), max_size=4)
    rulings = sorted(data.draw(drawn), key=lambda each: each[2])
    ends = []
    for _ in range(2):
        await service.empty()
        for number, (kind, tier, day) in enumerate(rulings, start=1):
            await made(service, number, RULINGS[kind], tier, FIRST + timedelta(days=day))
        repeated = events + data.draw(st.lists(st.sampled_from(events), max_size=4))
        order, cut = data.draw(st.permutations(repeated)), data.draw(st.integers(1, len(repeated)))
        for batch in (order[:cut], order[cut:]):
            if batch:
                await service.deliver(*batch)
        async with service.session() as session:
            stands = (await session.scalars(sa.select(Student).where(sa.text("tier IS NOT NULL")))).one_or_none()
        assert await differing(service) == []
        ends.append(stands and (stands.tier, stands.since, stands.ruling, stands.proposal_tier, stands.proposal_since))
    assert ends[0] == ends[1]


async def made(mtss: Running, number: int, kind: str, tier: Tier, on: date) -> None:
    """A ruling of a day long ago, as if it had been made then."""
    until = on + timedelta(days=10) if kind == "overridden" else None
    ruling = Ruling(student_id=STUDENT, number=number, kind=kind, tier=tier, made_on=on, until=until, by="anna")
    ruling.reason = mtss.runtime.vault.seal(REASON, table="mtss_ruling", column="reason", row=ruling.id)
    async with mtss.session() as session:
        ruling.known_at = await transaction_time(session)
        session.add(ruling)


async def test_a_teacher_decides_nothing_and_reads_no_reason(school: Running) -> None:
    await override(school, "universal", SCHOOL.days[40])
    for method, path in (
        ("GET", f"/students/{STUDENT}/rulings"),
        ("POST", f"/students/{STUDENT}/overrides"),
        ("POST", f"/overrides/{uuid4()}/withdraw"),
        ("POST", f"/proposals/{uuid4()}/accept"),
    ):
        assert (await call(school, method, path, role="teacher")).status_code == 403
    for path in (f"/students/{STUDENT}/rulings", f"/proposals/{uuid4()}"):
        assert (await call(school, "GET", path, schools=["south"])).status_code == 404
    assert (await act(school, f"/overrides/{uuid4()}/withdraw")).status_code == 404


async def test_a_teacher_reads_the_tier_and_nothing_of_what_people_made_of_it(school: Running) -> None:
    until = SCHOOL.days[40]
    await override(school, "universal", until)
    await school.deliver(related(Relation.CASELOAD, STUDENT, begin_on=FIRST))
    (*_, said) = await school.said(TierDecided)
    teachers = school.headers("teacher", staff=TEACHER)
    paths = (f"/students/{STUDENT}", f"/students/{STUDENT}/decisions", f"/decisions/{said.decision_id}")
    for path in (*paths, *(f"/decisions/{said.decision_id}/words?for={who}" for who in ("staff", "parent", "student"))):
        seen = (await call(school, "GET", path, headers=teachers)).json()
        counselors = (await call(school, "GET", path)).json()
        for hidden in (str(until), f"{until:%B} {until.day}", "overridden", "targeted until"):
            assert hidden not in str(seen), path
        assert str(until) in str(counselors) or f"{until:%B} {until.day}" in str(counselors)
        for document in seen.get("items", [seen]):
            assert {document[each] for each in ("cause", "ruling", "tier_beneath") if each in document} <= {None}
