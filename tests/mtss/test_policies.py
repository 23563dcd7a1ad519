"""The life of a policy: drafted, checked, approved by a second person, in force from a day, reverted."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from importlib import import_module
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from structlog.testing import capture_logs

from common.events import Cause, Event, Tier, TierDecided
from mtss.handlers import adoptions
from mtss.handlers.adoptions import forget_counted, work_off_adoptions
from mtss.models import Decision, policies_in_force, verify
from mtss.numbers import CHANGES_DAYS
from mtss.rehearsals.working import work_off as rehearse
from mtss.rules import day_number, digest_of, digest_of_decision, policy_of
from mtss.written import as_yaml, document_of
from tests.harness import Running
from tests.mtss.ledger import known_since
from tests.mtss.made_up import School, named, school_days
from tests.mtss.test_rules_policy import ATTENDANCE, ENTRY, TEXT, changed, number

ANNA, BEN = named("staff", "Anna"), named("staff", "Ben")
SCHOOL = School(days=school_days(40))
WHY = "There is no past of ours yet."


def policy(version: str = "ours-1", entry: float = 8.5, **parts: Any) -> dict[str, Any]:
    """The default policy with another entry: 2 days of 23 are enough."""
    return changed(f"{ENTRY}/value", entry) | {"version": version} | parts


async def ask(
    mtss: Running, method: str, path: str, body: Any = None, staff: UUID = ANNA, **more: Any
) -> tuple[int, Any]:
    headers = mtss.headers("district", staff=staff) | more.pop("headers", {})
    sent = {"json": body} if body is not None else {}
    answer = await mtss.http.request(method, f"/mtss/v1{path}", headers=headers, **sent, **more)
    return answer.status_code, answer.json()


async def drafted(mtss: Running, document: dict[str, Any]) -> dict[str, Any]:
    assert (await ask(mtss, "POST", "/policies", document))[0] == 201
    status, found = await ask(mtss, "POST", f"/policies/{document['version']}/check")
    assert (status, found["findings"], found["state"]) == (200, [], "checked")
    return dict(found)


def today(mtss: Running, day: int) -> None:
    mtss.clock.set(datetime.combine(SCHOOL.days[day], time(18), UTC))


async def approve(mtss: Running, found: dict[str, Any], day: int, staff: UUID = BEN, **other: Any) -> tuple[int, Any]:
    body = {"digest": found["digest"], "in_force_from": SCHOOL.days[day].isoformat(), "without_rehearsal": WHY} | other
    return await ask(mtss, "POST", f"/policies/{found['version']}/approve", body, staff)


async def adopted(mtss: Running, document: dict[str, Any], day: int, **other: Any) -> dict[str, Any]:
    if "in_force_from" not in other:
        today(mtss, day)
    status, adoption = await approve(mtss, await drafted(mtss, document), day, **other)
    assert status == 202, adoption
    await work_off_adoptions(mtss.runtime)
    return await adoption_of(mtss, adoption["id"])


async def adoption_of(mtss: Running, identity: str) -> dict[str, Any]:
    return dict((await ask(mtss, "GET", f"/adoptions/{identity}"))[1])


def students(count: int, missing: int) -> list[Event]:
    """Of ``count`` students ``missing`` missed two days, so that they are over 8.5 percent until the 24th day."""
    ids = [named("student", each) for each in range(count)]
    said: list[Event] = [SCHOOL.calendar(), *(SCHOOL.enrols(each) for each in ids)]
    # The 20th to 22nd day: 2 of 22 is 9 percent, and never was 10.
    said += [SCHOOL.absent(day, each) for each in ids[:missing] for day in (20, 21)]
    return [*said, *SCHOOL.closes_through(23)]


async def causes(mtss: Running) -> list[tuple[Tier | None, Cause, bool]]:
    said = await mtss.said(TierDecided)
    return [(event.tier, event.cause, event.tells_families) for event in said if event.number > 1]


async def test_a_policy_is_drafted_checked_approved_and_in_force(mtss: Running) -> None:
    mtss.clock.set(datetime(2024, 9, 20, 18, tzinfo=UTC))
    await mtss.deliver(*students(10, 1))
    status, draft = await ask(mtss, "POST", "/policies", policy())
    assert (status, draft["state"], draft["findings"], draft["in_force_from"]) == (201, "draft", None, None)
    adoption = await adopted(mtss, policy("ours-2"), 21)
    assert (adoption["state"], adoption["changed"], adoption["done"], adoption["total"]) == ("done", 1, 10, 10)
    assert adoption["counts"] == {"100": {"universal_to_targeted": 1}}
    assert await causes(mtss) == [(Tier.TARGETED, Cause.ADOPTED, False)]
    _, found = await ask(mtss, "GET", "/policies/ours-2")
    assert (found["state"], found["in_force_from"]) == ("in_force", SCHOOL.days[21].isoformat())
    assert [(step["step"], step["by"], step["note"]) for step in found["history"]] == [
        ("drafted", str(ANNA), None),
        ("checked", str(ANNA), None),
        ("approved", str(BEN), WHY),
    ]
    _, page = await ask(mtss, "GET", "/policies")
    assert [(each["version"], each["state"]) for each in page["items"]] == [
        ("default-1", "replaced"),
        ("ours-1", "draft"),
        ("ours-2", "in_force"),
    ]
    assert (await mtss.said(TierDecided))[-1].policy == "ours-2"
    async with mtss.session() as session:
        ledger = (await session.scalars(sa.select(Decision))).all()
        assert [found for found in await verify(session, ledger, changes=True) if found] == []


async def test_what_was_decided_before_a_policy_listened_to_another_subscale_is_decided_again_as_it_was(
    mtss: Running,
) -> None:
    scored = [SCHOOL.scores(20, 4.0, named("student", each)) for each in range(10)]
    await mtss.deliver(*students(10, 2), *scored)
    clause = json.loads(TEXT)["clauses"]["adult_support"] | {"subscale": "peer_support"}
    peers = changed("clauses/peer_support", clause) | {"version": "ours-1"}
    peers["tiers"]["targeted"]["when"]["any"].append("peer_support")
    adoption = await adopted(mtss, peers, 21)
    await ask(mtss, "POST", f"/adoptions/{adoption['id']}/confirm", staff=ANNA)
    await work_off_adoptions(mtss.runtime)
    assert await causes(mtss) == [(Tier.TARGETED, Cause.ADOPTED, False)] * 10
    async with mtss.session() as session:
        ledger = (await session.scalars(sa.select(Decision))).all()
        assert {each.adoption for each in ledger} == {0, 1}
        assert [found for found in await verify(session, ledger, changes=True) if found] == []


async def test_a_policy_for_a_day_to_come_waits_for_it_and_is_then_counted_again(mtss: Running) -> None:
    await mtss.deliver(*students(10, 1))
    today(mtss, 24)
    ours = await drafted(mtss, policy())
    approved = (await approve(mtss, ours, 30))[1]["id"]
    await work_off_adoptions(mtss.runtime)
    found = await adoption_of(mtss, approved)
    assert (found["state"], found["changed"], found["in_force_at"]) == ("approved", 1, None)
    assert (await approve(mtss, ours, 30))[1]["type"].endswith("adoption-under-way")  # for one day it waits once
    _, listed = await ask(mtss, "GET", "/policies")
    states = [(each["state"], each["in_force_from"]) for each in listed["items"]]
    assert states == [("in_force", None), ("approved", SCHOOL.days[30].isoformat())]

    # Two more miss 2.75 of 30 days: 9.2 percent.
    others = [SCHOOL.absent(day, named("student", each)) for day in (27, 28) for each in (1, 2)]
    others += [SCHOOL.absent(29, named("student", each), hundredths=75) for each in (1, 2)]
    await mtss.deliver(*others, *SCHOOL.closes(*range(23, 30)))
    assert await causes(mtss) == []
    today(mtss, 30)
    await work_off_adoptions(mtss.runtime)
    found = await adoption_of(mtss, approved)
    assert (found["state"], found["changed"], found["total"]) == ("waiting", 3, 10)
    assert (await ask(mtss, "POST", f"/adoptions/{approved}/confirm", staff=ANNA))[0] == 200
    await work_off_adoptions(mtss.runtime)
    found = await adoption_of(mtss, approved)
    assert (found["state"], found["changed"], found["decided"], found["behind"]) == ("begun", 3, 0, ["100"])

    await mtss.deliver(*SCHOOL.closes(30))
    assert await causes(mtss) == [(Tier.TARGETED, Cause.ADOPTED, False)] * 3
    assert (await adoption_of(mtss, approved))["decided"] == 3
    assert (await ask(mtss, "GET", "/adoptions"))[1]["items"][0]["decided"] == 3
    async with mtss.session() as session:
        ledger = (await session.scalars(sa.select(Decision))).all()
        assert [found for found in await verify(session, ledger, changes=True) if found] == []


async def test_of_two_policies_for_days_to_come_each_begins_on_its_own(mtss: Running) -> None:
    await mtss.deliver(*students(10, 1))
    today(mtss, 24)
    for version, day in (("ours-1", 30), ("ours-2", 28)):
        await approve(mtss, await drafted(mtss, policy(version)), day)
        await work_off_adoptions(mtss.runtime)
    given_up = (await approve(mtss, await drafted(mtss, policy("ours-3")), 29))[1]["id"]
    await work_off_adoptions(mtss.runtime)
    assert (await ask(mtss, "POST", f"/adoptions/{given_up}/withdraw"))[1]["state"] == "withdrawn"
    today(mtss, 31)
    await work_off_adoptions(mtss.runtime)
    async with mtss.session() as session:
        counting = (await policies_in_force(session)).counting()
    assert [step.policy.version for step in counting] == ["default-1", "ours-2", "ours-1"]


async def test_an_adoption_that_waits_holds_up_no_approved_one_and_somebody_hears_of_it(mtss: Running) -> None:
    await mtss.deliver(*students(10, 1))
    today(mtss, 24)
    approved = (await approve(mtss, await drafted(mtss, policy()), 30))[1]["id"]
    await work_off_adoptions(mtss.runtime)
    _, default = await ask(mtss, "GET", "/policies/default-1")
    other = (await approve(mtss, default, 25))[1]["id"]
    with capture_logs() as lines:
        await work_off_adoptions(mtss.runtime)
        today(mtss, 30)
        await work_off_adoptions(mtss.runtime)
    assert [(await adoption_of(mtss, each))["state"] for each in (other, approved)] == ["waiting", "begun"]
    assert [each.get("reason") for each in lines if each["event"] == "an alert"] == ["adoption-waits"]


async def test_what_has_begun_is_over_once_each_school_has_closed_its_first_day(mtss: Running) -> None:
    await mtss.deliver(*students(5, 1))
    behind, theirs = School("200", days=SCHOOL.days), [named("student", 10 + each) for each in range(5)]
    said = [behind.calendar(), *(behind.enrols(each) for each in theirs), *behind.closes_through(22)]
    await mtss.deliver(*said, *(behind.absent(day, theirs[0]) for day in (20, 21)))
    today(mtss, 22)
    approved = (await approve(mtss, await drafted(mtss, policy()), 23))[1]["id"]
    await work_off_adoptions(mtss.runtime)
    today(mtss, 23)

    async def told() -> tuple[str, list[str], int, int]:
        await work_off_adoptions(mtss.runtime)
        found = await adoption_of(mtss, approved)
        return found["state"], found["behind"], found["changed"], found["decided"]

    assert await told() == ("begun", ["100", "200"], 2, 0)
    await mtss.deliver(*SCHOOL.closes(23))
    assert await told() == ("begun", ["200"], 2, 1)
    await mtss.deliver(*behind.closes(22))
    assert await told() == ("begun", ["200"], 2, 1)
    today(mtss, 25)
    await mtss.deliver(*behind.closes(23))
    assert await told() == ("done", [], 2, 2)


@pytest.mark.parametrize(("late", "alerts"), [(0, []), (2, ["adoption-grew"])])
async def test_what_changes_more_than_was_shown_while_schools_close_one_by_one_is_told_once(
    mtss: Running, late: int, alerts: list[str]
) -> None:
    await mtss.deliver(*students(5, 1))
    behind, theirs = School("200", days=SCHOOL.days), [named("student", 10 + each) for each in range(5)]
    said = [behind.calendar(), *(behind.enrols(each) for each in theirs), *behind.closes_through(22)]
    await mtss.deliver(*said, *(behind.absent(day, theirs[0]) for day in (20, 21)))
    today(mtss, 22)
    approved = (await approve(mtss, await drafted(mtss, policy()), 23))[1]["id"]
    with capture_logs() as lines:
        for day in (22, 23):
            today(mtss, day)
            await work_off_adoptions(mtss.runtime)
        assert (await adoption_of(mtss, approved))["changed"] == 2  # of ten: as many as one person may change
        await mtss.deliver(*(behind.absent(day, each) for each in theirs[1 : 1 + late] for day in (20, 21)))
        await mtss.deliver(*SCHOOL.closes(23), *behind.closes(23))
        for _ in range(2):
            await work_off_adoptions(mtss.runtime)

    found = await adoption_of(mtss, approved)
    assert (found["state"], found["decided"], found["grown_at"] is not None) == ("done", 2 + late, bool(late))
    assert [each.get("reason") for each in lines if each["event"] == "an alert"] == alerts


async def test_a_policy_counts_from_the_past_only_as_a_dry_run_has_shown_that_is_not_old(mtss: Running) -> None:
    await mtss.deliver(*students(10, 1))
    found = await drafted(mtss, policy())
    await drafted(mtss, policy("ours-2"))

    async def approved_from(day: int) -> tuple[int, str]:
        status, answer = await approve(mtss, found, day, in_force_from=SCHOOL.days[day].isoformat())
        return status, answer.get("type", "").rpartition(":")[2]

    async def shown_from(day: int, version: str = "ours-1") -> str:
        counting = {"in_force_from": SCHOOL.days[day].isoformat()}
        status, run = await ask(mtss, "POST", f"/policies/{version}/dry-runs", counting)
        assert status == 202
        await work_off_adoptions(mtss.runtime)
        return str(run["id"])

    today(mtss, 25)
    for other in (20, 22):
        await shown_from(other)
    await shown_from(21, "ours-2")
    assert await approved_from(21) == (409, "not-shown")
    run = await shown_from(21)
    assert (await adoption_of(mtss, run))["old"] is False
    await mtss.deliver(*SCHOOL.closes(23))
    assert (await adoption_of(mtss, run))["old"] is True
    assert await approved_from(21) == (409, "dry-run-old")
    await shown_from(21)
    assert (await approved_from(21))[0] == 202
    await work_off_adoptions(mtss.runtime)
    assert await approved_from(21) == (409, "dry-run-old")  # another policy counts by now, this one


async def test_on_its_first_day_a_policy_changes_what_the_facts_did_not(mtss: Running) -> None:
    await mtss.deliver(*students(10, 1))
    assert (await adopted(mtss, policy(), 23))["state"] == "begun"
    assert await causes(mtss) == []
    await mtss.deliver(*SCHOOL.closes(23))
    # 2 of 24 is under 8.5 percent, but the clause has stood since the 22nd day and has not ended.
    assert await causes(mtss) == [(Tier.TARGETED, Cause.ADOPTED, False)]
    assert (await mtss.said(TierDecided))[-1].effective_on == SCHOOL.days[23]


async def test_where_a_student_stood_is_told_by_the_policies_that_counted_as_far_as_was_known(mtss: Running) -> None:
    await mtss.deliver(*students(10, 1))
    adoption = await adopted(mtss, policy(), 21)
    assert adoption["in_force_at"] is not None
    await known_since(mtss, "2024-09-01")

    async def told(day: int) -> list[tuple[str, float]]:
        _, both = await ask(mtss, "GET", f"/students/{named('student', 0)}/known?on={SCHOOL.days[day]}")
        found = both["as_known_then"], both["as_known_now"]
        return [(each["tier"], each["clauses"][0]["numbers"]["entry.at_least"]) for each in found]

    assert await told(20) == [("universal", 10), ("universal", 10)]
    assert await told(22) == [("universal", 10), ("targeted", 8.5)]
    async with mtss.admin.begin() as connection:
        await connection.execute(sa.text("UPDATE mtss_adoption SET in_force_at = '2024-09-02'"))
    assert await told(22) == [("targeted", 8.5), ("targeted", 8.5)]


async def test_adoptions_are_listed_page_by_page_the_latest_first(mtss: Running) -> None:
    await mtss.deliver(*students(10, 3))
    adoption = await adopted(mtss, policy(), 21)
    counting = {"in_force_from": SCHOOL.days[21].isoformat()}
    _, counted = await ask(mtss, "POST", "/policies/ours-1/dry-runs", counting)
    _, first = await ask(mtss, "GET", "/adoptions?limit=1")
    _, rest = await ask(mtss, "GET", f"/adoptions?limit=1&cursor={first['next']}")
    assert [each["id"] for each in first["items"] + rest["items"]] == [counted["id"], adoption["id"]]
    assert rest["next"] is None


async def test_more_than_the_cap_waits_for_a_second_person(mtss: Running) -> None:
    await mtss.deliver(*students(10, 3))
    adoption = await adopted(mtss, policy(), 21)
    assert (adoption["state"], adoption["changed"]) == ("waiting", 3)
    assert await causes(mtss) == []
    path = f"/adoptions/{adoption['id']}/confirm"
    assert (await ask(mtss, "POST", path, staff=BEN))[1]["type"].endswith("second-person-missing")
    assert (await ask(mtss, "POST", path, staff=ANNA))[0] == 200
    assert (await ask(mtss, "POST", path, staff=ANNA))[1]["type"].endswith("not-waiting")
    await mtss.deliver(*[SCHOOL.absent(day, named("student", 2), hundredths=0) for day in (20, 21)])
    await work_off_adoptions(mtss.runtime)
    # It was counted anew, with what was known by then.
    assert (await adoption_of(mtss, adoption["id"]))["changed"] == 2
    assert len((await ask(mtss, "GET", f"/adoptions/{adoption['id']}/changes"))[1]["items"]) == 2
    assert await causes(mtss) == [(Tier.TARGETED, Cause.ADOPTED, False)] * 2


async def test_a_confirmation_holds_for_a_tenth_more_than_were_shown(mtss: Running) -> None:
    await mtss.deliver(*students(30, 10))
    adoption = await adopted(mtss, policy(), 21)
    path = f"/adoptions/{adoption['id']}/confirm"
    await mtss.deliver(*[SCHOOL.absent(day, named("student", each)) for day in (20, 21) for each in (10, 11)])
    for state, changed_by_now in (("waiting", 12), ("done", 13)):  # 12 are more than 11, and 13 are not more than 13.2
        assert (await ask(mtss, "POST", path, staff=ANNA))[0] == 200
        await work_off_adoptions(mtss.runtime)
        found = await adoption_of(mtss, adoption["id"])
        assert (found["state"], found["changed"]) == (state, changed_by_now)
        await mtss.deliver(*[SCHOOL.absent(day, named("student", 12)) for day in (20, 21)])
    assert await causes(mtss) == [(Tier.TARGETED, Cause.ADOPTED, False)] * 13


async def test_new_proposals_count_against_the_cap(mtss: Running) -> None:
    ids = [named("student", each) for each in range(3)]
    await mtss.deliver(*students(10, 3), *[SCHOOL.absent(day, each) for each in ids for day in (18, 19)])
    lower = changed("clauses/severe_attendance/entry/at_least/value", 15) | {"version": "ours-1"}
    adoption = await adopted(mtss, lower, 21)
    assert (adoption["state"], adoption["changed"]) == ("waiting", 3)
    assert adoption["counts"] == {"100": {"proposed": 3}}


async def test_what_waits_may_be_withdrawn_and_only_one_is_under_way(mtss: Running) -> None:
    await mtss.deliver(*students(4, 4))
    adoption = await adopted(mtss, policy(), 21)
    other = await drafted(mtss, policy("ours-2", 9))
    assert (await approve(mtss, other, 21))[1]["type"].endswith("adoption-under-way")
    status, found = await ask(mtss, "POST", f"/adoptions/{adoption['id']}/withdraw")
    assert (status, found["state"]) == (200, "withdrawn")
    await work_off_adoptions(mtss.runtime)
    assert await causes(mtss) == []
    assert (await approve(mtss, other, 21))[0] == 202


async def test_families_are_told_only_if_the_adoption_and_the_policy_say_so(mtss: Running) -> None:
    await mtss.deliver(*students(10, 1))
    await adopted(mtss, policy(), 21, tells_families=True)
    assert await causes(mtss) == [(Tier.TARGETED, Cause.ADOPTED, True)]
    silent = policy("ours-2")
    silent["tiers"]["targeted"]["tells_families"] = False
    assert (await adopted(mtss, silent, 22))["state"] == "done"
    # Three more absences of another student, by the facts: the policy tells nobody of it.
    other = named("student", 9)
    await mtss.deliver(*[SCHOOL.absent(day, other) for day in (18, 19, 20)])
    assert (await mtss.said(TierDecided))[-1].student_id == other
    assert (await causes(mtss))[-1] == (Tier.TARGETED, Cause.ENTERED, False)


async def test_a_policy_is_reverted_in_one_step(mtss: Running) -> None:
    await mtss.deliver(*students(4, 1))
    adoption = await adopted(mtss, policy(confirm_above=number(100)), 21)
    await ask(mtss, "POST", f"/adoptions/{adoption['id']}/confirm")
    await work_off_adoptions(mtss.runtime)
    assert (await ask(mtss, "POST", "/policies/default-1/revert"))[1]["type"].endswith("not-in-force")
    assert (await ask(mtss, "POST", "/policies/ours-1/revert"))[0] == 202
    await work_off_adoptions(mtss.runtime)
    assert [cause for _, cause, _ in await causes(mtss)] == [Cause.ADOPTED, Cause.ADOPTED]
    assert (await mtss.said(TierDecided))[-1].tier is Tier.UNIVERSAL
    async with mtss.session() as session:
        in_force = await policies_in_force(session)
    assert {step.policy.version for step in in_force.counting()} == {"default-1"}
    assert in_force.on(day_number(SCHOOL.days[30])).number == 2
    assert (await ask(mtss, "GET", "/policies/ours-1"))[1]["state"] == "replaced"


async def test_a_second_revert_takes_back_the_policy_before(mtss: Running) -> None:
    await mtss.deliver(*students(10, 1))
    # The second begins earlier, and so replaces the first altogether.
    await adopted(mtss, policy(), 22)
    await adopted(mtss, policy("ours-2", 9), 21)
    for version, tier in (("ours-2", Tier.TARGETED), ("ours-1", Tier.UNIVERSAL)):
        assert (await ask(mtss, "POST", f"/policies/{version}/revert"))[0] == 202
        await work_off_adoptions(mtss.runtime)
        assert (await mtss.said(TierDecided))[-1].tier is tier
    assert (await ask(mtss, "GET", "/policies/default-1"))[1]["state"] == "in_force"
    assert (await ask(mtss, "POST", "/policies/default-1/revert"))[1]["type"].endswith("not-in-force")
    async with mtss.session() as session:
        ledger = (await session.scalars(sa.select(Decision))).all()
        assert [found for found in await verify(session, ledger, changes=True) if found] == []


async def test_whom_a_dry_run_would_have_changed_is_forgotten_after_a_time(mtss: Running) -> None:
    await mtss.deliver(*students(10, 1))
    adoption = await adopted(mtss, policy(), 21)
    counting = {"in_force_from": SCHOOL.days[21].isoformat()}
    _, run = await ask(mtss, "POST", "/policies/default-1/dry-runs", counting)
    await work_off_adoptions(mtss.runtime)
    begun = datetime.combine(SCHOOL.days[21], time(18), UTC)
    for days, left in ((CHANGES_DAYS, 1), (CHANGES_DAYS + 1, 0)):
        mtss.clock.set(begun + timedelta(days=days))
        await forget_counted(mtss.runtime)
        assert len((await ask(mtss, "GET", f"/adoptions/{run['id']}/changes"))[1]["items"]) == left
    assert (await adoption_of(mtss, run["id"]))["changed"] == 1
    assert len((await ask(mtss, "GET", f"/adoptions/{adoption['id']}/changes"))[1]["items"]) == 1


async def test_a_dry_run_counts_and_decides_nothing(mtss: Running) -> None:
    await mtss.deliver(*students(10, 4))
    await drafted(mtss, policy())
    status, run = await ask(mtss, "POST", "/policies/ours-1/dry-runs", {"in_force_from": SCHOOL.days[0].isoformat()})
    assert (status, run["state"], run["dry_run"]) == (202, "counting", True)
    await work_off_adoptions(mtss.runtime)
    found = await adoption_of(mtss, run["id"])
    assert (found["state"], found["counts"], found["done"]) == ("counted", {"100": {"universal_to_targeted": 4}}, 10)
    assert await causes(mtss) == []
    _, page = await ask(mtss, "GET", f"/adoptions/{run['id']}/changes?limit=3")
    _, rest = await ask(mtss, "GET", f"/adoptions/{run['id']}/changes?school=100&cursor={page['next']}")
    assert [each["student_id"] for each in (*page["items"], *rest["items"])] == sorted(
        str(named("student", each)) for each in range(4)
    )
    assert rest["items"][0] | {"student_id": None} == {
        "student_id": None,
        "school_id": "100",
        "what": ["universal_to_targeted"],
        "tier_before": "universal",
        "tier_after": "targeted",
        "since_before": SCHOOL.days[0].isoformat(),
        "since_after": SCHOOL.days[21].isoformat(),
        "begins": ["attendance"],
        "ends": [],
    }
    assert (await ask(mtss, "GET", f"/adoptions/{run['id']}/changes?school=200"))[1]["items"] == []
    _, page = await ask(mtss, "GET", "/adoptions?limit=1")
    assert ([each["id"] for each in page["items"]], page["next"]) == ([run["id"]], None)


async def test_a_dry_run_for_a_day_to_come_counts_at_every_school_however_far_it_has_closed(mtss: Running) -> None:
    await mtss.deliver(*students(5, 5))
    behind, theirs = School("200", days=SCHOOL.days), [named("student", 10 + each) for each in range(5)]
    said = [behind.calendar(), *(behind.enrols(each) for each in theirs), *behind.closes_through(22)]
    await mtss.deliver(*said, *(behind.absent(day, each) for each in theirs for day in (20, 21)))
    await drafted(mtss, policy())
    _, run = await ask(mtss, "POST", "/policies/ours-1/dry-runs", {"in_force_from": SCHOOL.days[30].isoformat()})
    await work_off_adoptions(mtss.runtime)
    found = await adoption_of(mtss, run["id"])
    assert found["counts"] == {"100": {"universal_to_targeted": 5}, "200": {"universal_to_targeted": 5}}
    assert (found["changed"], found["with_tier"]) == (10, 10)


async def test_who_has_left_counts_on_neither_side_of_the_cap(mtss: Running) -> None:
    left = [named("student", 10 + each) for each in range(10)]
    gone = [SCHOOL.enrols(each, exit_on=SCHOOL.days[22]) for each in left]
    await mtss.deliver(*students(10, 3), *gone, *(SCHOOL.absent(day, left[0]) for day in (20, 21)))
    adoption = await adopted(mtss, policy(), 23)
    assert (adoption["state"], adoption["changed"], adoption["with_tier"], adoption["total"]) == ("waiting", 3, 10, 20)


# Who may


async def test_nobody_approves_their_own_draft_an_unread_one_or_one_that_is_wrong(mtss: Running) -> None:
    today(mtss, 21)
    found = await drafted(mtss, policy())
    assert (await approve(mtss, found, 21, ANNA))[1]["type"].endswith("second-person-missing")
    assert (await approve(mtss, found | {"digest": "0" * 32}, 21))[1]["type"].endswith("another-document")
    assert (await approve(mtss, found, 21, without_rehearsal=None))[1]["type"].endswith("not-rehearsed")
    wrong = changed(f"{ATTENDANCE}/exit/below", number(12)) | {"version": "wrong"}
    await ask(mtss, "POST", "/policies", wrong)
    _, refused = await ask(mtss, "POST", "/policies/wrong/check")
    assert (refused["state"], refused["findings"][0]["field"]) == ("refused", "clauses.attendance.exit.below")
    assert (await approve(mtss, refused, 21))[1]["type"].endswith("not-checked")
    unchecked = (await ask(mtss, "POST", "/policies", policy("ours-2")))[1]
    assert (await approve(mtss, unchecked, 21))[1]["type"].endswith("not-checked")
    async with mtss.session() as session:
        assert await session.scalar(sa.text("SELECT count(*) FROM mtss_adoption")) == 0


async def test_the_default_policy_too_is_read_rehearsed_and_approved_by_two(mtss: Running) -> None:
    await mtss.deliver(*students(10, 1))
    await adopted(mtss, policy(), 21)
    today(mtss, 22)
    _, default = await ask(mtss, "GET", "/policies/default-1")
    assert (await approve(mtss, default | {"digest": "0" * 32}, 22))[1]["type"].endswith("another-document")
    assert (await approve(mtss, default, 22, without_rehearsal=None))[1]["type"].endswith("not-rehearsed")
    assert (await ask(mtss, "POST", "/rehearsals", {"policy": default["document"]}))[0] == 202
    assert await rehearse(mtss.runtime)
    status, adoption = await approve(mtss, default, 22, without_rehearsal=None)
    assert status == 202
    await work_off_adoptions(mtss.runtime)
    path = f"/adoptions/{adoption['id']}"
    waiting = await adoption_of(mtss, adoption["id"])
    assert (waiting["state"], waiting["changed"]) == ("waiting", 1)
    assert (await ask(mtss, "POST", f"{path}/confirm", staff=BEN))[1]["type"].endswith("second-person-missing")
    assert (await ask(mtss, "POST", f"{path}/confirm", staff=ANNA))[0] == 200
    await work_off_adoptions(mtss.runtime)
    assert (await ask(mtss, "GET", "/policies/default-1"))[1]["state"] == "in_force"


async def test_what_was_rehearsed_needs_no_reason(mtss: Running) -> None:
    today(mtss, 21)
    await mtss.deliver(*students(10, 1))
    found = await drafted(mtss, policy())
    assert (await ask(mtss, "POST", "/rehearsals", {"policy": policy(entry=9)}))[0] == 202
    assert await rehearse(mtss.runtime)
    assert (await approve(mtss, found, 21, without_rehearsal=None))[1]["type"].endswith("not-rehearsed")
    assert (await ask(mtss, "POST", "/rehearsals", {"policy": policy()}))[0] == 202
    assert "nobody has rehearsed" in (await ask(mtss, "GET", "/policies/ours-1/difference"))[1][1]
    assert await rehearse(mtss.runtime)
    assert (await ask(mtss, "GET", "/policies/ours-1/difference"))[1][1] == (
        "Rehearsed over the school year 2025: 1 more student (1 instead of 0) for targeted support, as many students (0) for intensive support."
    )
    assert (await ask(mtss, "GET", "/policies/ours-1"))[1]["state"] == "rehearsed"
    assert (await approve(mtss, found, 21, without_rehearsal=None))[0] == 202


async def test_only_the_district_reads_and_changes_policies(mtss: Running) -> None:
    headers = mtss.headers("principal", schools=["100"])
    for method, path in (("GET", "/policies"), ("POST", "/policies"), ("GET", "/adoptions")):
        assert (await ask(mtss, method, path, headers=headers))[0] == 403


async def test_a_version_never_changes(mtss: Running) -> None:
    await drafted(mtss, policy())
    assert (await ask(mtss, "POST", "/policies", policy(entry=9)))[1]["type"].endswith("version-taken")
    assert (await ask(mtss, "POST", "/policies", json.loads(TEXT)))[1]["type"].endswith("version-taken")
    for statement in (
        "UPDATE mtss_policy SET document = '{}'",
        "UPDATE mtss_policy SET digest_before = digest",
        "DELETE FROM mtss_policy",
        "DELETE FROM mtss_policy_step",
    ):
        with pytest.raises(sa.exc.DBAPIError, match="never change"):
            async with mtss.session() as session:
                await session.execute(sa.text(statement))


async def test_what_a_policy_left_to_the_default_one_is_written_into_it_once(mtss: Running) -> None:
    said = {"proposal_due": number(7)}
    assert (await ask(mtss, "POST", "/policies", policy(review=said)))[0] == 201
    whole = import_module("mtss.migrations.versions.0032_whole_policies")

    async with mtss.admin.begin() as connection:
        await connection.run_sync(lambda sync: _migrated(sync, whole.upgrade))
    _, found = await ask(mtss, "GET", "/policies/ours-1")
    assert found["document"] == policy(review=json.loads(TEXT)["review"] | said)
    assert found["digest"] == policy_of(found["document"]).digest
    async with mtss.session() as session:
        assert await session.scalar(sa.text("SELECT digest FROM mtss_policy")) == found["digest"]


async def test_a_policy_that_an_upgrade_completed_says_so_and_stays_rehearsed_and_proved(mtss: Running) -> None:
    today(mtss, 21)
    await mtss.deliver(*students(10, 1))
    left_out = policy(review={"proposal_due": number(7)})
    whole = policy(review=json.loads(TEXT)["review"] | {"proposal_due": number(7)})
    found = await drafted(mtss, whole)
    await drafted(mtss, policy("ours-2"))
    assert (await ask(mtss, "POST", "/rehearsals", {"policy": whole}))[0] == 202
    assert await rehearse(mtss.runtime)
    async with mtss.admin.begin() as connection:
        rehearsed = sa.text("UPDATE mtss_rehearsal SET policy = CAST(:policy AS jsonb)")
        await connection.execute(rehearsed, {"policy": json.dumps(left_out)})
    assert (await approve(mtss, found, 21, without_rehearsal=None))[1]["type"].endswith("not-rehearsed")
    completed = import_module("mtss.migrations.versions.0043_completed")
    async with mtss.admin.begin() as connection:
        await connection.execute(sa.text("SET LOCAL session_replication_role = replica"))  # as before digests stayed
        await connection.run_sync(lambda sync: _migrated(sync, completed.complete))
    _, told = await ask(mtss, "GET", "/policies/ours-1")
    assert (told["state"], [each["step"] for each in told["history"]]) == (
        "rehearsed",
        ["drafted", "checked", "completed"],
    )
    assert (await ask(mtss, "GET", "/policies/ours-2"))[1]["history"][-1]["step"] == "checked"
    assert (await approve(mtss, found, 21, without_rehearsal=None))[0] == 202
    await work_off_adoptions(mtss.runtime)
    # What was decided before it was completed names the digest of then.
    async with mtss.admin.begin() as connection:
        await connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        ledger = (
            (await connection.execute(sa.text("SELECT * FROM mtss_decision WHERE policy = 'ours-1'"))).mappings().all()
        )
        for row in ledger:
            said = {name: value for name, value in row.items() if name != "digest"}
            said["facts"] = said["facts"] | {"policy": digest_of(left_out)}
            given = {"facts": json.dumps(said["facts"]), "digest": digest_of_decision(said), "id": row["id"]}
            rewritten = "UPDATE mtss_decision SET facts = CAST(:facts AS jsonb), digest = :digest WHERE id = :id"
            await connection.execute(sa.text(rewritten), given)
    assert len(ledger) == 1
    async with mtss.session() as session:
        decisions = (await session.scalars(sa.select(Decision))).all()
        assert [each for each in await verify(session, decisions, changes=False) if each] == []


def _migrated(connection: sa.Connection, step: Callable[[], None]) -> None:
    with Operations.context(MigrationContext.configure(connection)):
        step()


# As text


async def test_a_policy_comes_and_goes_as_yaml(mtss: Running) -> None:
    headers = {"Content-Type": "application/yaml"}
    status, _ = await ask(mtss, "POST", "/policies", content=as_yaml(policy()), headers=headers)
    assert status == 201
    headers = mtss.headers("district") | {"Accept": "application/yaml"}
    answer = await mtss.http.get("/mtss/v1/policies/ours-1", headers=headers)
    assert answer.headers["content-type"].startswith("application/yaml")
    assert document_of(answer.content) == policy()
    status, refused = await ask(mtss, "POST", "/policies", content=b"a: 1\na: 2")
    assert (status, "line 2" in refused["detail"]) == (422, True)
    assert (await ask(mtss, "GET", "/policies/none"))[0] == 404
    for unknown in (f"/adoptions/{ANNA}", f"/adoptions/{ANNA}/changes"):
        assert (await ask(mtss, "GET", unknown))[0] == 404


async def test_the_difference_is_told_in_plain_words(mtss: Running) -> None:
    await drafted(mtss, policy())
    said = "Attendance: a student is now considered from 8.5 % instead of 10 % of enrolled days missed."
    _, (found, how) = await ask(mtss, "GET", "/policies/ours-1/difference")
    assert (found, "rehearse ours-1 against default-1" in how) == (said, True)
    assert (await ask(mtss, "GET", "/policies/ours-1/difference?against=default-1"))[1] == [found, how]
    assert said not in (await ask(mtss, "GET", "/policies/default-1/difference?against=ours-1"))[1]
    assert (await ask(mtss, "GET", "/policies/ours-1/difference?against=ours-1"))[1] == []


# A run that is killed

ADOPTION = "adoption-before-commit"

_CHILD = """
import asyncio, sys
from common.runtime import Runtime
from common.keys import read_keys
from common.settings import Settings
from pathlib import Path
from mtss.handlers import adoptions

async def main():
    settings = Settings(database_url=sys.argv[1], time_zone="America/Denver", public_url="http://testserver")
    runtime = Runtime.start("mtss", settings, read_keys(Path(sys.argv[2])))
    adoptions.AT_ONCE = int(sys.argv[3])
    await adoptions.work_off_adoptions(runtime)
    await runtime.close()

asyncio.run(main())
"""


def _working_off(mtss: Running, at_once: int) -> list[str]:
    url = mtss.runtime.engine.url.render_as_string(hide_password=False)
    return [sys.executable, "-c", _CHILD, url, str(mtss.keys / "mtss"), str(at_once)]


@pytest.mark.parametrize("batch", [2, 5, 7])
async def test_a_run_that_is_killed_goes_on_where_it_was(
    mtss: Running, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    today(mtss, 21)
    await mtss.deliver(*students(10, 2))
    found = await drafted(mtss, policy())
    _, adoption = await approve(mtss, found, 21)
    killed = await asyncio.to_thread(
        subprocess.run,
        _working_off(mtss, 3),
        env=os.environ | {"TRELLIS_FAILPOINT": f"{ADOPTION}:{batch}"},
        check=False,
        capture_output=True,
    )
    assert killed.returncode == -9, killed.stderr.decode()
    between = await adoption_of(mtss, adoption["id"])
    assert between["state"] == ("counting" if batch <= 4 else "running")
    assert between["done"] == 3 * ((batch - 1) % 4)

    monkeypatch.setattr(adoptions, "AT_ONCE", 3)
    await work_off_adoptions(mtss.runtime)

    after = await adoption_of(mtss, adoption["id"])
    assert (after["state"], after["done"], after["changed"]) == ("done", 10, 2)
    assert await causes(mtss) == [(Tier.TARGETED, Cause.ADOPTED, False)] * 2


async def test_a_first_adoption_that_is_killed_at_any_moment_again_and_again_decides_about_each_once(
    mtss: Running,
) -> None:
    chosen = random.Random(7)
    today(mtss, 21)
    await mtss.deliver(*students(24, 3))
    _, adoption = await approve(mtss, await drafted(mtss, policy()), 21)
    stood, killed_in = await _stood(mtss), set()
    killed = 0
    while stood[0] != "done":
        assert killed < 60, "it never comes further"
        program = await asyncio.create_subprocess_exec(*_working_off(mtss, 2), stderr=asyncio.subprocess.DEVNULL)
        with suppress(TimeoutError):
            await asyncio.wait_for(_further(mtss, stood), 20)
        await asyncio.sleep(chosen.uniform(0, 0.04))
        with suppress(ProcessLookupError):
            program.kill()
        killed += await program.wait() == -signal.SIGKILL
        stood = await _stood(mtss)
        killed_in.add(stood[0])

    assert killed > 2
    assert {"counting", "running"} <= killed_in
    found = await adoption_of(mtss, adoption["id"])
    assert (found["done"], found["total"], found["changed"]) == (24, 24, 3)
    assert await causes(mtss) == [(Tier.TARGETED, Cause.ADOPTED, False)] * 3
    _, verified = await ask(mtss, "POST", "/decisions/verify")
    assert (verified["differing"], verified["verified"]) == ([], 24 + 3)


async def _stood(mtss: Running) -> tuple[str, int]:
    """The state of the one adoption, and how many students it has gone through."""
    async with mtss.session() as session:
        state, done = (await session.execute(sa.text("SELECT state, done FROM mtss_adoption"))).one()
    return state, done


async def _further(mtss: Running, since: tuple[str, int]) -> None:
    """Return once the run of an adoption has come further than it had."""
    while await _stood(mtss) == since:  # noqa: ASYNC110 (another process goes on)
        await asyncio.sleep(0.01)
