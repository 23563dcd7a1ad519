"""A conference over HTTP: its steps, what is refused, what is sealed and who sees what."""

import asyncio
import json
from typing import Any, ClassVar
from uuid import uuid4

import httpx
import pytest
import sqlalchemy as sa

from common.events import AgreementCompleted, ConferenceOffered, Event, ExclusionAvoided
from tests.restorative.conftest import OTHER_SCHOOL, SCHOOL, Conference, Restorative, ago

READERS = ("district", "principal", "counselor")


def kind(answer: httpx.Response) -> str:
    """The name of a problem, once its status was checked to be one."""
    assert answer.status_code >= 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    name: str = answer.json()["type"].removeprefix("urn:trellis:problem:")
    return name


class TestTheUsualCourse:
    async def test_from_referral_to_completion(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        shown = await conference.through("complete")
        assert shown["state"] == "completed"
        assert shown["days_avoided"] == 3.0
        assert [party["part"] for party in shown["parties"]] == ["in_person"] * 3
        assert [(item["status"], item["evidence"]) for item in shown["items"]] == [("kept", "Seen at the gate")] * 2
        assert {item["verified_by"] for item in shown["items"]} == {str(restorative.facilitator)}
        names = [step["step"] for step in shown["steps"]]
        assert names == [
            *("open", "screen", "party", "party", "party", "offer", "consent", "consent", "consent"),
            *("prepare", "prepare", "prepare", "schedule", "hold", "agreement", "keep", "keep", "complete"),
        ]

    async def test_what_is_said_along_the_way(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        await conference.through("offer")
        both = {restorative.student, restorative.harmed}
        offered = await restorative.running.said(ConferenceOffered)
        assert {fact.student_id for fact in offered} == both
        assert all(fact.school_id == SCHOOL and fact.offered_on == ago(9) for fact in offered)
        await restorative.running.empty()
        conference = await restorative.conference()
        await conference.through("complete")
        assert {fact.student_id for fact in await restorative.running.said(AgreementCompleted)} == both
        (avoided,) = await restorative.running.said(ExclusionAvoided)
        assert (avoided.hundredths_proposed, avoided.hundredths_served, avoided.hundredths_avoided) == (300, 0, 300)
        assert avoided.completed_on == ago(1)
        assert len(await restorative.running.said(Event)) == 5

    async def test_somebody_who_joins_after_the_offer_is_offered_it_too(self, restorative: Restorative) -> None:
        witness = uuid4()
        conference = await restorative.conference()
        await restorative.hear(restorative.enrolled(witness, school_id=OTHER_SCHOOL))
        await conference.through("offer")
        body = {"kind": "student", "role": "community", "student_id": str(witness)}
        assert (await conference.step("parties", body, schools=[SCHOOL, OTHER_SCHOOL])).status_code == 201
        *_, last = await restorative.running.said(ConferenceOffered)
        assert (last.student_id, last.school_id) == (witness, OTHER_SCHOOL)

    async def test_only_who_takes_part_completes(self, restorative: Restorative) -> None:
        witness = uuid4()
        await restorative.hear(restorative.enrolled(witness))
        conference = await restorative.conference()
        await conference.party("witness", kind="student", role="supporter", student_id=str(witness))
        await conference.through("complete")
        assert witness not in {fact.student_id for fact in await restorative.running.said(AgreementCompleted)}

    @pytest.mark.parametrize(
        ("ending", "last", "state"), [("breach", "agree", "breached"), ("no-agreement", "hold", "no_agreement")]
    )
    async def test_other_endings(self, restorative: Restorative, ending: str, last: str, state: str) -> None:
        conference = await restorative.conference()
        await conference.through(last)
        shown = await conference.done(ending, {"on": str(ago(1)), "reason": "It was too much"})
        assert (shown["state"], shown["days_avoided"], shown["days_proposed"]) == (state, None, 3.0)
        assert {type(fact) for fact in await restorative.running.said(Event)} == {ConferenceOffered}


class TestRefusing:
    async def test_it_ends_the_conference_and_takes_the_offer_back(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        await conference.through("offer")
        shown = await conference.consent("student", given=False)
        assert (shown["state"], shown["days_proposed"]) == ("declined", 3.0)
        said = await restorative.running.said(ConferenceOffered)
        assert [fact.deleted for fact in said] == [False, False, True, True]
        assert said[2].revision > said[0].revision

    async def test_nobody_can_read_afterwards_who_refused(self, restorative: Restorative) -> None:
        seen = []
        for refuser, other in (("student", "harmed"), ("harmed", "student")):
            await restorative.running.empty()
            conference = await restorative.conference()
            await conference.through("offer")
            await conference.consent(other)
            await conference.consent("aunt")
            await conference.consent(refuser, given=False, part=None)
            shown = await restorative.referral()
            assert [party["part"] for party in shown["parties"]] == [None] * 3
            seen.append([(step["step"], step["on"]) for step in shown["steps"]])
            async with restorative.running.session() as session:
                row = await session.execute(sa.text("SELECT part, agreed_on, prepared_on FROM restorative_party"))
                assert {tuple(party) for party in row} == {(None, None, None)}
        assert seen[0] == seen[1]
        assert [step for step, _ in seen[0]] == ["open", "screen", "party", "party", "party", "offer", "decline"]

    @pytest.mark.parametrize("role", READERS)
    async def test_those_who_decide_see_only_that_it_is_closed(self, restorative: Restorative, role: str) -> None:
        shown = []
        for ending in ("declined", "withdrawn"):
            await restorative.running.empty()
            conference = await restorative.conference()
            await conference.through("offer")
            if ending == "declined":
                await conference.consent("student", given=False)
            else:
                await conference.done("withdraw", {"on": str(ago(8)), "reason": "They have moved"})
            line = (await restorative.get("/referrals", role)).json()["items"][0]
            one = (await restorative.get(f"/referrals/{conference.id}", role)).json()
            assert line["state"] == one["state"] == "closed"
            shown.append([step["step"] for step in one["steps"]])
            text = json.dumps([line, one])
            assert "declin" not in text
            assert "refus" not in text
        assert shown[0] == shown[1]

    @pytest.mark.parametrize("part", ["surrogate", "written"])
    async def test_who_was_harmed_may_stay_away_and_take_part(self, restorative: Restorative, part: str) -> None:
        conference = await restorative.conference()
        await conference.through("offer")
        shown = await conference.consent("harmed", given=False, part=part)
        assert (shown["state"], shown["parties"][1]["part"]) == ("consenting", part)

    async def test_a_supporter_who_refuses_is_simply_not_there(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        await conference.through("preparations")
        shown = await conference.consent("aunt", given=False)
        assert shown["parties"][2]["part"] is None
        assert conference.people["aunt"] not in {step["party_id"] for step in shown["steps"] if step["step"] != "party"}
        assert (await conference.schedule())["state"] == "scheduled"

    async def test_said_again_it_changes_nothing(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        await conference.through("offer")
        await conference.consent("student", given=False)
        before, said = await restorative.referral(), await restorative.running.said(Event)
        assert await conference.consent("student", given=False) == before
        assert await restorative.running.said(Event) == said


class TestRefusedByName:
    STEPS: ClassVar[dict[str, dict[str, Any]]] = {
        "screen": {"suitable": False, "reason": "The facts are contested"},
        "offer": {"offered_on": str(ago(5))},
        "schedule": {"at": f"{ago(5)}T10:00:00Z", "place": "Gym"},
        "hold": {"on": str(ago(5))},
        "complete": {"on": str(ago(2))},
        "breach": {"on": str(ago(1)), "reason": "Nothing came"},
        "no-agreement": {"on": str(ago(1)), "reason": "Nothing came"},
        "withdraw": {"on": str(ago(1)), "reason": "Moved"},
    }

    @pytest.mark.parametrize(
        ("stage", "state", "possible"),
        [
            ("", "proposed", {"screen", "withdraw"}),
            ("offer", "consenting", {"withdraw"}),
            ("consents", "preparing", {"withdraw", "schedule"}),
            ("schedule", "scheduled", {"withdraw", "schedule", "hold"}),
            ("hold", "held", {"withdraw", "no-agreement"}),
            ("agree", "agreement_active", {"withdraw", "breach", "complete"}),
            ("complete", "completed", set()),
        ],
    )
    async def test_each_step_out_of_order(
        self, restorative: Restorative, stage: str, state: str, possible: set[str]
    ) -> None:
        conference = await restorative.conference()
        if stage:
            await conference.through(stage)
        before = await restorative.referral()
        for path in self.STEPS.keys() - possible:
            answer = await conference.step(path, self.STEPS[path])
            assert (answer.status_code, kind(answer)) == (409, "step-out-of-order"), path
            assert f"conference that is {state} cannot" in answer.json()["detail"]
        assert await restorative.referral() == before

    async def test_a_time_before_everybody_is_prepared(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        await conference.through("consents")
        assert kind(await conference.step("schedule", self.STEPS["schedule"])) == "preparation-missing"

    async def test_completion_before_everything_is_kept(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        await conference.through("agree")
        assert kind(await conference.step("complete", self.STEPS["complete"])) == "items-open"

    async def test_steps_on_people_and_items_out_of_order(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        await conference.through("offer")
        someone = conference.people["student"]
        prepare = await conference.step("prepare", {"party_id": someone, "on": str(ago(7))})
        assert kind(prepare) == "step-out-of-order"
        assert "consenting" in prepare.json()["detail"]
        item = {"what": "Sorry", "by_party": someone, "kind": "apology", "due_on": str(ago(1))}
        assert kind(await conference.step("agreement", {"items": [item]})) == "step-out-of-order"
        evidence = {"on": str(ago(1)), "evidence": "Seen"}
        assert kind(await conference.step(f"items/{uuid4()}/keep", evidence)) == "step-out-of-order"

    async def test_what_each_step_needs(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        contested = {"suitable": True, "reason": "x", "facts_contested": True}
        assert kind(await conference.step("screen", contested)) == "facts-contested"
        denied = {"suitable": True, "reason": "x", "responsibility_denied": True}
        assert kind(await conference.step("screen", denied)) == "responsibility-denied"
        await conference.done("screen", {"suitable": False, "reason": "Not now"})
        assert kind(await conference.step("offer", {"offered_on": str(ago(9))})) == "not-suitable"
        await conference.screen()
        assert kind(await conference.step("offer", {"offered_on": str(ago(9))})) == "responsible-person-missing"
        student = {"kind": "student", "role": "caused_harm", "student_id": str(restorative.student)}
        await conference.party("student", **student)
        assert kind(await conference.step("offer", {"offered_on": str(ago(9))})) == "affected-person-missing"
        assert kind(await conference.step("parties", student | {"role": "supporter"})) == "party-twice"
        await conference.gather()
        assert kind(await conference.step("offer", {"offered_on": str(ago(-1))})) == "in-the-future"
        assert kind(await conference.step("offer", {"offered_on": str(ago(11))})) == "too-early"
        await conference.offer()
        unknown = await conference.step(f"parties/{uuid4()}/consent", {"given": True, "on": str(ago(8))})
        assert (kind(unknown), unknown.status_code) == ("party-unknown", 404)

    async def test_a_student_nobody_has_heard_of(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        body = {"kind": "student", "role": "harmed", "student_id": str(uuid4())}
        answer = await conference.step("parties", body)
        assert (kind(answer), answer.status_code) == ("student-not-yet-known", 404)

    async def test_a_student_of_a_school_this_facilitator_does_not_see(self, restorative: Restorative) -> None:
        stranger = uuid4()
        await restorative.hear(restorative.enrolled(stranger, school_id=OTHER_SCHOOL))
        conference = await restorative.conference()
        body = {"kind": "student", "role": "harmed", "student_id": str(stranger)}
        assert kind(await conference.step("parties", body)) == "student-not-yet-known"


class TestTheFacilitator:
    async def test_is_not_the_staff_member_whom_the_action_names(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        answer = await conference.step(
            "screen", {"suitable": True, "reason": "Fine"}, staff=restorative.assistant_principal
        )
        assert (answer.status_code, kind(answer)) == (403, "facilitator-named")

    async def test_nor_one_whom_it_comes_to_name(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        await conference.screen()
        await restorative.hear(restorative.excluded(staff_ids=(restorative.facilitator,), deleted=True))
        assert kind(await conference.step("offer", {"offered_on": str(ago(9))})) == "facilitator-named"

    async def test_nor_may_that_one_open_it_by_hand(self, restorative: Restorative) -> None:
        await restorative.hear(restorative.happened(on=ago(30)), restorative.excluded(on=ago(30)))
        about = {"student_id": str(restorative.student), "incident_id": str(restorative.incident)}
        answer = await restorative.post("/referrals", about, staff=restorative.assistant_principal)
        assert kind(answer) == "facilitator-named"

    async def test_nor_who_was_harmed(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        await conference.party("me", kind="staff", role="harmed", staff_id=str(restorative.facilitator))
        assert kind(await conference.step("screen", {"suitable": True, "reason": "Fine"})) == "facilitator-is-party"

    async def test_nor_somebody_unknown(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        answer = await conference.step("screen", {"suitable": True, "reason": "Fine"}, staff=None)
        assert (answer.status_code, kind(answer)) == (403, "facilitator-unnamed")

    async def test_whom_the_action_names_does_not_see_how_it_was_called_off(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        await conference.through("offer")
        await conference.consent("harmed", given=False)
        for staff, state in ((restorative.assistant_principal, "closed"), (None, "closed"), (uuid4(), "declined")):
            (line,) = (await restorative.get("/referrals", staff=staff)).json()["items"]
            one = (await restorative.get(f"/referrals/{conference.id}", staff=staff)).json()
            assert line["state"] == one["state"] == state

    async def test_whom_the_action_names_reads_no_text(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        await conference.through("agree")
        shown = (await restorative.get(f"/referrals/{conference.id}", staff=restorative.assistant_principal)).text
        assert "Wilhelmina" not in shown
        assert "Mend the bicycle" not in shown


class TestOpeningByHand:
    async def test_it_waits_for_the_incident_and_the_exclusion(self, restorative: Restorative) -> None:
        about = {"student_id": str(restorative.student), "incident_id": str(restorative.incident)}
        answer = await restorative.post("/referrals", about)
        assert (answer.status_code, kind(answer)) == (404, "incident-not-yet-known")
        await restorative.hear(restorative.happened(on=ago(60)))
        answer = await restorative.post("/referrals", about)
        assert (answer.status_code, kind(answer)) == (409, "exclusion-not-yet-known")
        await restorative.hear(restorative.excluded(on=ago(60)))
        opened = await restorative.post("/referrals", about)
        assert opened.status_code == 201
        assert opened.json()["opened_by_hand"]
        again = await restorative.post("/referrals", about)
        assert (again.status_code, again.json()) == (200, opened.json())
        assert [step["staff_id"] for step in again.json()["steps"]] == [str(restorative.facilitator)]

    async def test_one_that_opened_by_itself_is_answered(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        about = {"student_id": str(restorative.student), "incident_id": str(restorative.incident)}
        answer = await restorative.post("/referrals", about)
        assert (answer.status_code, answer.json()["id"]) == (200, conference.id)

    async def test_also_when_its_incident_was_taken_back_since(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        await restorative.hear(restorative.happened(deleted=True))
        about = {"student_id": str(restorative.student), "incident_id": str(restorative.incident)}
        answer = await restorative.post("/referrals", about)
        assert (answer.status_code, answer.json()["id"]) == (200, conference.id)
        assert answer.json()["state"] == "withdrawn"

    async def test_not_at_a_school_this_facilitator_does_not_see(self, restorative: Restorative) -> None:
        await restorative.conference()
        about = {"student_id": str(restorative.student), "incident_id": str(restorative.incident)}
        answer = await restorative.post("/referrals", about, schools=[OTHER_SCHOOL])
        assert answer.status_code == 404


class TestRepeats:
    async def test_the_whole_course_again_changes_and_publishes_nothing(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        await conference.through("complete")
        before, said = await restorative.referral(), await restorative.running.said(Event)
        people = dict(conference.people)
        await conference.through("complete")
        assert conference.people == people
        assert await restorative.referral() == before
        assert await restorative.running.said(Event) == said

    async def test_also_with_a_change_of_mind_on_the_way(self, restorative: Restorative) -> None:
        async def course(conference: Conference) -> None:
            await conference.through("preparations")
            await conference.consent("aunt", given=False, on=str(ago(7)))
            await conference.schedule()

        conference = await restorative.conference()
        await course(conference)
        await conference.hold()
        before, said = await restorative.referral(), await restorative.running.said(Event)
        await course(conference)
        await conference.hold()
        assert await restorative.referral() == before
        assert await restorative.running.said(Event) == said

    async def test_other_content_is_another_step(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        await conference.through("hold")
        assert kind(await conference.step("hold", {"on": str(ago(5))})) == "step-out-of-order"

    async def test_going_back_to_an_earlier_time_needs_its_day(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        first = {"at": f"{ago(6)}T15:00:00Z", "place": "Library"}
        await conference.through("preparations")
        for body in (first, {"at": f"{ago(5)}T15:00:00Z", "place": "Gym"}, first | {"on": str(ago(7))}):
            assert (await conference.done("schedule", body))["scheduled_at"] == body["at"]

    async def test_two_facilitators_at_once_are_one_after_the_other(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        await conference.screen()
        await conference.gather()
        offers = [conference.step("offer", {"offered_on": str(ago(9))}, staff=uuid4()) for _ in range(5)]
        assert {answer.status_code for answer in await asyncio.gather(*offers)} == {200}
        assert len(await restorative.running.said(ConferenceOffered)) == 2


class TestSealing:
    WORDS = ("Both of them want", "Wilhelmina", "quiet room", "Mend the bicycle", "Seen at the gate", "Say sorry")

    async def test_no_table_holds_a_word_of_it(self, restorative: Restorative) -> None:
        await (await restorative.conference()).through("complete")
        async with restorative.running.admin.connect() as connection:
            tables = await connection.execute(sa.text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
            for (table,) in tables.all():
                for (row,) in await connection.execute(sa.text(f'SELECT t::text FROM "{table}" t')):
                    hexed = [word.encode().hex() for word in self.WORDS]
                    assert not any(word in row for word in (*self.WORDS, *hexed)), table

    async def test_a_facilitator_reads_it(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        await conference.through("complete")
        shown = (await restorative.get(f"/referrals/{conference.id}")).text
        assert all(word in shown for word in self.WORDS)

    @pytest.mark.parametrize("role", READERS)
    async def test_nobody_else_does(self, restorative: Restorative, role: str) -> None:
        conference = await restorative.conference()
        await conference.through("complete")
        answer = await restorative.get(f"/referrals/{conference.id}", role)
        assert answer.status_code == 200
        assert not any(word in answer.text for word in self.WORDS)
        assert {party["part"] for party in answer.json()["parties"]} == {None}
        assert not {"consent", "prepare"} & {step["step"] for step in answer.json()["steps"]}

    async def test_no_problem_repeats_what_was_sent(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        answer = await conference.step("breach", {"on": str(ago(1)), "reason": "Zacharias did it"})
        assert "Zacharias" not in answer.text
        answer = await conference.step("breach", {"on": "Zacharias", "reason": 3, "Zacharias": 1})
        assert answer.status_code == 422
        assert "Zacharias did" not in answer.text


class TestReading:
    async def test_pages_follow_one_another(self, restorative: Restorative) -> None:
        for _ in range(5):
            incident = uuid4()
            happened = restorative.happened(association_id=incident, incident_id=incident)
            await restorative.hear(happened, restorative.excluded(incident_ids=(incident,)))
        seen: list[str] = []
        query = "limit=2"
        for more in (True, True, False):
            page = (await restorative.get(f"/referrals?{query}")).json()
            seen += [line["id"] for line in page["items"]]
            assert (page["next"] is not None) == more
            query = f"limit=2&cursor={page['next']}"
        assert (len(set(seen)), len(seen)) == (5, 5)

    async def test_the_list_is_filtered(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        for query in (f"incident_id={restorative.incident}", f"student_id={restorative.student}", f"school={SCHOOL}"):
            (line,) = (await restorative.get(f"/referrals?{query}")).json()["items"]
            assert line["id"] == conference.id
        for query in (f"incident_id={uuid4()}", f"student_id={uuid4()}", f"school={OTHER_SCHOOL}"):
            assert (await restorative.get(f"/referrals?{query}")).json() == {"items": [], "next": None}

    async def test_a_party_is_named_to_who_sees_that_student_and_to_who_facilitates(
        self, restorative: Restorative
    ) -> None:
        conference = await restorative.conference()
        await conference.screen()
        await conference.gather()
        elsewhere = restorative.enrolled(restorative.harmed, entry_on=ago(30), school_id=OTHER_SCHOOL)
        await restorative.hear(restorative.enrolled(restorative.harmed, exit_on=ago(31)), elsewhere)
        own, other = str(restorative.student), str(restorative.harmed)
        for role, told in (
            ("facilitator", [own, other, None]),
            ("principal", [own, None, None]),
            ("district", [own, other, None]),
        ):
            shown = await restorative.get(f"/referrals/{conference.id}", role)
            assert [party["student_id"] for party in shown.json()["parties"]] == told
            assert (other in shown.text) == (other in told)

    async def test_other_schools_see_nothing(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        for role in ("principal", "counselor", "facilitator"):
            elsewhere = {"schools": [OTHER_SCHOOL]}
            assert (await restorative.get("/referrals", role, **elsewhere)).json()["items"] == []
            assert (await restorative.get(f"/referrals/{conference.id}", role, **elsewhere)).status_code == 404
            assert (await restorative.get(f"/schools/{SCHOOL}/summary", role, **elsewhere)).status_code == 404
        step = await conference.step("screen", {"suitable": True, "reason": "Fine"}, schools=[OTHER_SCHOOL])
        assert step.status_code == 404

    @pytest.mark.parametrize("role", ["district", "principal", "counselor", "sis"])
    async def test_only_facilitators_take_steps(self, restorative: Restorative, role: str) -> None:
        conference = await restorative.conference()
        answer = await conference.step("screen", {"suitable": True, "reason": "Fine"}, role=role)
        assert answer.status_code == 403

    async def test_nobody_reads_without_a_token(self, restorative: Restorative) -> None:
        answer = await restorative.running.http.get("/restorative/v1/referrals")
        assert answer.status_code == 401

    async def test_the_summary_counts(self, restorative: Restorative) -> None:
        await (await restorative.conference()).through("complete")
        for ending in ("declined", "withdrawn", "proposed"):
            restorative.student, restorative.harmed, restorative.incident = uuid4(), uuid4(), uuid4()
            await restorative.hear(restorative.enrolled(), restorative.enrolled(restorative.harmed))
            await restorative.hear(restorative.happened(), restorative.excluded(hundredths_proposed=225))
            found = (await restorative.get(f"/referrals?student_id={restorative.student}")).json()["items"]
            conference = Conference(restorative, found[0]["id"])
            if ending != "proposed":
                await conference.through("offer")
            if ending == "declined":
                await conference.consent("harmed", given=False)
            if ending == "withdrawn":
                await conference.done("withdraw", {"on": str(ago(5)), "reason": "Moved"})
        counted = {"offered": 3, "held": 1, "completed": 1, "days_avoided": 3.0}
        for role in (*READERS, "facilitator"):
            assert (await restorative.get(f"/schools/{SCHOOL}/summary", role)).json() == counted

    async def test_parts_of_days_are_counted(self, restorative: Restorative) -> None:
        action = uuid4()
        conference = await restorative.conference()
        await restorative.hear(restorative.excluded(action, hundredths_proposed=125))
        await conference.through("complete")
        await restorative.hear(restorative.excluded(action, hundredths_served=50))
        assert (await restorative.get(f"/schools/{SCHOOL}/summary")).json()["days_avoided"] == 3.75

    async def test_a_school_without_conferences_has_zeros(self, restorative: Restorative) -> None:
        await restorative.hear(restorative.enrolled())
        counted = (await restorative.get(f"/schools/{SCHOOL}/summary", "district")).json()
        assert set(counted.values()) == {0}

    async def test_a_school_nobody_has_heard_of_is_not_found(self, restorative: Restorative) -> None:
        assert kind(await restorative.get("/schools/999/summary", "district")) == "not-found"


class TestBadInput:
    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("screen", {"suitable": "perhaps", "reason": "x"}),
            ("screen", {"suitable": True}),
            ("screen", {"suitable": True, "reason": "   "}),
            ("screen", {"suitable": True, "reason": "x", "extra": 1}),
            ("parties", {"kind": "student", "role": "harmed", "name": "A name"}),
            ("parties", {"kind": "alien", "role": "harmed", "name": "A name"}),
            ("parties", {"kind": "named", "role": "referee", "name": "A name"}),
            ("parties", {"kind": "named", "role": "harmed", "name": "x" * 201}),
            ("offer", {"offered_on": "2026-02-30"}),
            ("schedule", {"at": "2026-02-03T10:00:00", "place": "No zone"}),
            ("agreement", {"items": []}),
            ("agreement", {"items": [{"what": "x", "by_party": "nobody", "kind": "apology", "due_on": "2026-01-01"}]}),
            ("prepare", []),
        ],
    )
    async def test_a_body_that_breaks_a_rule_names_the_field(
        self, restorative: Restorative, path: str, body: Any
    ) -> None:
        conference = await restorative.conference()
        answer = await conference.step(path, body)
        assert answer.status_code == 422
        assert kind(answer) == "invalid"
        assert all(error["field"] and error["rule"] for error in answer.json()["errors"])

    @pytest.mark.parametrize(
        "body",
        [
            b'{"suitable": true, "suitable": false, "reason": "x"}',
            b'{"suitable": true, "reason": "\xff"}',
            b'{"suitable": true, "reason": "\\ud800"}',
            b'{"suitable": true',
            b"[" * 10_000 + b"]" * 10_000,
        ],
    )
    async def test_what_is_no_acceptable_json(self, restorative: Restorative, body: bytes) -> None:
        conference = await restorative.conference()
        headers = restorative.running.headers("facilitator", schools=[SCHOOL], staff=restorative.facilitator)
        path = f"/restorative/v1/referrals/{conference.id}/screen"
        answer = await restorative.running.http.post(
            path, content=body, headers=headers | {"content-type": "application/json"}
        )
        assert answer.status_code == 400
        assert kind(answer) == "malformed-json"

    @pytest.mark.parametrize("query", ["cursor=nonsense", "limit=0", "school=%00", "incident_id=7", "cursor=WyJ4Il0"])
    async def test_a_query_that_breaks_a_rule(self, restorative: Restorative, query: str) -> None:
        assert (await restorative.get(f"/referrals?{query}")).status_code == 422

    async def test_a_path_that_breaks_a_rule(self, restorative: Restorative) -> None:
        assert (await restorative.get("/referrals/seven")).status_code == 422
        assert (await restorative.get("/schools/%00/summary", "district")).status_code == 422
        assert kind(await restorative.get(f"/referrals/{uuid4()}")) == "not-found"

    async def test_no_control_characters_in_texts_and_names_but_lines_in_texts(self, restorative: Restorative) -> None:
        conference = await restorative.conference()
        refused = await conference.step("screen", {"suitable": True, "reason": "a\x00b"})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "reason")
        for name in ("a\x00b", "a\nb"):
            refused = await conference.step("parties", {"kind": "named", "role": "supporter", "name": name})
            assert refused.status_code == 422
            assert refused.json()["errors"][0]["field"].endswith("name")
        shown = await conference.done("screen", {"suitable": True, "reason": "a\r\n\tb"})
        assert shown["steps"][-1]["content"]["reason"] == "a\r\n\tb"
