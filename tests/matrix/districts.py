"""The smallest district in which every route about a student has one of each school to be asked about."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from common.embedded import Cluster
from common.events import Relation, TierDecided
from notifications.mailboxes import digests, stop_link
from tests.harness import Running, run_service
from tests.matrix.conferences import restorative
from tests.matrix.district import Asked, District, Fill
from tests.matrix.door import sis
from tests.matrix.people import (
    FAMILY,
    NORTH,
    OTHER_STUDENT,
    RESTRICTED,
    SOUTH,
    STUDENT,
    TAKEN_BACK,
)
from tests.mtss.made_up import School, school_days
from tests.notifications.made_up import (
    FRIDAY_MORNING,
    Sisters,
    address,
    calendar,
    contact,
    restricted,
    rows,
    targeted,
    weekdays,
    work,
)
from tests.scoped import ANA, BEN, GRADE, enrolled, related
from tests.surveys.conftest import TODAY, Surveys, sheet


async def mtss(running: Running, families: Sisters) -> District:
    """Two students about whom it was decided and ruled, each with a proposal that is open."""
    running.clock.set(datetime(2024, 11, 1, 18, tzinfo=UTC))
    for name, who in ((NORTH, ANA), (SOUTH, BEN)):
        at = School(name, days=school_days(60))
        absent = [at.absent(day, who) for day in (18, 19)]
        grounds = (*absent, at.scores(20, 2.0, who))
        await running.deliver(at.calendar(), at.enrols(who, grade=GRADE), *grounds, *at.closes_through(30))
    decided = {str(event.student_id): str(event.decision_id) for event in await running.said(TierDecided)}
    ana, ben = [
        {"student_id": str(who), "school_id": name, "decision_id": decided[str(who)]} | await _ruled(running, who)
        for name, who in ((NORTH, ANA), (SOUTH, BEN))
    ]
    for fill in (ana, ben):
        aunt = contact()
        families.families[UUID(fill["student_id"])] = [aunt]
        fill["contact_id"] = aunt["contact_id"]
        fill["link_id"], _ = await _help_link(running, fill["student_id"], aunt)
    listed = Asked(about=lambda answer, _: answer.json()["items"])
    verified = Asked(
        query=lambda fill: {"school": fill["school_id"]}, about=lambda answer, _: answer.json()["verified"]
    )
    return District(
        ana,
        ben,
        {
            "GET /mtss/v1/students/{student_id}/known": Asked(query=lambda _: {"on": "2024-09-30"}),
            "GET /mtss/v1/schools/{school_id}/summary": Asked(about=lambda answer, _: answer.json()["students"]),
            "GET /mtss/v1/schools/{school_id}/reviews": listed,
            "GET /mtss/v1/schools/{school_id}/trainings": Asked(about=lambda answer, _: answer.json()["counts"]),
            "GET /mtss/v1/students/{student_id}/course": listed,
            "GET /mtss/v1/supports": Asked(handed=True),
            "GET /mtss/v1/team-referrals": Asked(handed=True),
            "GET /mtss/v1/reviews/{review_id}/hand-over": Asked(about=lambda answer, _: "assigned" in answer.json()),
            "GET /mtss/v1/freshness": Asked(
                query=lambda fill: {"school": fill["school_id"]}, about=lambda answer, _: answer.json()["items"]
            ),
            "POST /mtss/v1/decisions/verify": verified,
            "POST /mtss/v1/proposals/verify": verified,
            "POST /mtss/v1/students/{student_id}/help-links": Asked(
                body=lambda fill: {"contact_id": fill["contact_id"]}
            ),
            "POST /mtss/v1/overrides/{override_id}/withdraw": Asked(seen_at="/mtss/v1/students/{student_id}"),
            "POST /mtss/v1/reviews/{review_id}/hand-over": Asked(
                body=lambda fill: _WHY | {"staff_id": fill["staff_id"]}
            ),
            "POST /mtss/v1/students/{student_id}/overrides": Asked(body=lambda _: _OVERRIDE),
            "POST /mtss/v1/students/{student_id}/supports": Asked(body=_support),
            "POST /mtss/v1/students/{student_id}/team-referrals": Asked(body=team),
        },
        await _who_asks_by_link(running, families),
    )


_WHY = {"reason": "Seen by the team."}
_OVERRIDE = _WHY | {"tier": "targeted", "until": "2024-11-05"}


def _support(fill: Fill) -> Any:
    return _WHY | {"kind": "mentor", "owner_id": fill["staff_id"], "review_on": "2024-11-08"}


def team(fill: Fill) -> Any:
    """Whom a student is put before, led by who sees to them."""
    members = dict.fromkeys(("pastoral_lead", "aln_lead"), fill["staff_id"])
    return _WHY | {"team": "problem-solving", "members": members}


async def _ruled(running: Running, who: UUID) -> Fill:
    """A student whose tier was overridden until somebody withdrew that, so that a proposal is open again."""
    path = f"/mtss/v1/students/{who}"

    async def ask(method: str, path: str, **more: Any) -> Any:
        seen = (await running.http.get(f"/mtss/v1/students/{who}", headers=running.headers("district"))).headers["ETag"]
        headers = running.headers("district") | {"If-Match": seen}
        return (await running.http.request(method, path, headers=headers, **more)).json()

    override = (await ask("POST", f"{path}/overrides", json=_OVERRIDE))["id"]
    await ask("POST", f"/mtss/v1/overrides/{override}/withdraw", json=_WHY)
    proposal = (await ask("GET", path))["proposal"]["id"]
    asked = await ask("POST", f"{path}/help-requests", json={"words": "Seen at lunch, alone."})
    sees_to_it = uuid4()
    await running.deliver(related(Relation.CASELOAD, who, sees_to_it, begin_on=date(2024, 10, 1)))
    found = {"request_id": asked["id"], "override_id": override, "proposal_id": proposal, "review_id": proposal}
    found["staff_id"] = str(sees_to_it)
    given = (await ask("POST", f"{path}/supports", json=_support(found)))["id"]
    referral = (await ask("POST", f"{path}/team-referrals", json=team(found)))["id"]
    await ask("POST", f"{path}/pulses", json={"wellbeing": 3, "words": "Seen at lunch, with two others."})
    await _stands_at_once(running, UUID(override))
    return found | {"support_id": given, "referral_id": referral}


async def _stands_at_once(running: Running, override: UUID) -> None:
    """Let an override stand beside what is open, have a person asked, and a team be one that the district has no more."""
    of_whom = "FROM mtss_ruling AS r WHERE r.id = :override AND r.student_id = s.student_id"
    asked = "question_id = gen_random_uuid(), question_at = now()"
    async with running.admin.begin() as connection:
        await connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        for told in (
            f"mtss_student AS s SET ruling = r.number, {asked}",
            "mtss_team_referral AS s SET team = 'of-before'",
        ):
            await connection.execute(sa.text(f"UPDATE {told} {of_whom}"), {"override": override})


async def _who_asks_by_link(running: Running, families: Sisters) -> dict[str, str]:
    """By column the link with which somebody asks for help for Ana, or for Ben."""
    mother, father = contact(), contact()
    families.families[ANA] += [mother, father]
    of = ((TAKEN_BACK, ANA, None), (STUDENT, ANA, None), (OTHER_STUDENT, BEN, None))
    held = {}
    for column, who, to in (*of, (FAMILY, ANA, mother), (RESTRICTED, ANA, father)):
        _, held[column] = await _help_link(running, str(who), to)  # a second one for the same person ends the first
    father["restriction"] = restricted("coded", "no_contact")
    return held


async def _help_link(running: Running, student: str, to: dict[str, Any] | None) -> tuple[str, str]:
    asked = {"contact_id": to["contact_id"]} if to else {}
    path, headers = f"/mtss/v1/students/{student}/help-links", running.headers("district")
    link = (await running.http.post(path, json=asked, headers=headers)).json()
    return link["id"], link["url"].rpartition("/")[2]


async def notifications(running: Running, families: Sisters) -> District:
    """Two families, each with a letter in the print queue and one that no font can print, which makes a task."""
    running.clock.set(FRIDAY_MORNING)
    await running.deliver(calendar(*weekdays()))
    sending, headers = "/notifications/v1/sending", running.headers("district")
    seen = (await running.http.get(sending, headers=headers)).headers["ETag"]
    on = await running.http.post(sending, json={"on": True}, headers=headers | {"If-Match": seen})
    assert on.status_code == 200, on.text
    for name, who in ((NORTH, ANA), (SOUTH, BEN)):
        families.families[who] = [
            contact(address=address()),
            contact(first_name="\U00013080", address=address("1 B")),
        ]
        await running.deliver(enrolled(who, name), targeted(who))
    await work(running)
    letters = {each["student_id"]: str(each["id"]) for each in await rows(running, "letter")}
    tasks = {each["student_id"]: str(each["id"]) for each in await rows(running, "task")}
    ana, ben = ({"student_id": str(who), "letter_id": letters[who], "task_id": tasks[who]} for who in (ANA, BEN))
    no_contact = contact(emails=[f"{RESTRICTED}@example.org"], restriction=restricted("coded", "no_contact"))
    families.families[ANA].append(no_contact)
    held = {column: await _stop_link(running, f"{column}@example.org") for column in (FAMILY, RESTRICTED)}
    printed = Asked(about=lambda answer, _: answer.content.startswith(b"%PDF"))
    asked = {
        "POST /notifications/v1/tasks/{task_id}/resolve": Asked(body=lambda _: {"outcome": "done"}),
        "GET /notifications/v1/letters/{letter_id}.pdf": printed,
        "GET /notifications/v1/notices/{student_id}": Asked(about=lambda answer, _: answer.json()["items"]),
    }
    return District(ana, ben, asked, held)


async def _stop_link(running: Running, email: str) -> str:
    """The link in an e-mail that was sent to this mailbox."""
    async with running.session() as session:
        token, link = stop_link((await digests(session, running.runtime.vault)).of(email), running.runtime.now())
        session.add(link)
    return token


async def surveys(running: Running) -> District:
    """A window at each of two schools, each with a student, and what each came to by those who answered."""
    made = Surveys(running)
    made.on(TODAY)
    await running.deliver(enrolled(ANA, NORTH), enrolled(BEN, SOUTH))
    others = {name: await made.enrol(10, name, grade="8") for name in (NORTH, SOUTH)}
    ana, ben = [
        {
            "student_id": str(who),
            "school_id": name,
            "window_id": await made.window(key=name, schools=[name], closes_on=f"2026-10-{day}"),
            "closes": f"October {day}",
        }
        for name, who, day in ((NORTH, ANA, 15), (SOUTH, BEN, 16))
    ]
    held: dict[str, str] = {}
    for column, fill in ((TAKEN_BACK, ana), (STUDENT, ana), (OTHER_STUDENT, ben)):
        url = (await made.links(fill["window_id"], replace=True))[fill["student_id"]]
        held[column] = url.rpartition("/")[2]
    for fill in (ana, ben):
        given = [sheet(each, [1 + place % 5] * 8) for place, each in enumerate(others[fill["school_id"]])]
        await made.bring(fill["window_id"], *given)
    made.on(date(2026, 10, 20))
    for fill in (ana, ben):
        await made.ask("POST", f"/windows/{fill['window_id']}/results")
    made.on(TODAY)
    gone = [made.enrolled(each, name, deleted=True) for name, of in others.items() for each in of]
    await running.deliver(*gone)  # so that there is nobody but Ana and Ben
    return District(
        ana,
        ben,
        {
            "GET /surveys/v1/answer/{token}": Asked(about=lambda answer, fill: fill["closes"] in answer.text),
            "GET /surveys/v1/windows/{window_id}": Asked(about=lambda answer, _: answer.json()["students"]),
            "GET /surveys/v1/windows/{window_id}/schools/{school_id}/results": Asked(
                about=lambda answer, _: answer.json()["school"]["answered"]
            ),
            "GET /surveys/v1/windows/{window_id}/schools/{school_id}/results.html": Asked(
                about=lambda answer, _: "students answered" in answer.text
            ),
        },
        held,
    )


DISTRICTS: dict[str, Callable[..., Awaitable[District]]] = {
    "sis": sis,
    "surveys": surveys,
    "mtss": mtss,
    "restorative": restorative,
    "notifications": notifications,
}


async def district_of(name: str, running: Running, families: Sisters) -> District:
    """The district of a service; of one that asks about families, with some."""
    asks = name in ("mtss", "notifications")
    return await DISTRICTS[name](running, *([families] if asks else []))


@asynccontextmanager
async def at_work(name: str, cluster: Cluster) -> AsyncIterator[tuple[Running, District]]:
    """A service with its district, and sisters that answer for the families."""
    families = Sisters()
    peers = {"sis": families.sis(), "mtss": families.mtss()}
    async with run_service(name, cluster, peers=peers) as running:
        await running.empty()
        yield running, await district_of(name, running, families)
