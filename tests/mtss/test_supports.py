"""Supports that students receive: begun, reviewed, ended; and no tier that ends by itself while one runs."""

import asyncio
import tomllib
from collections.abc import AsyncIterator, Mapping
from copy import deepcopy
from datetime import date
from importlib.resources import files
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import visible_to
from common.auth import Principal
from common.errors import Invalid, NotFound
from common.events import Cause, Harm, Relation, SubscaleScore, SurveyScored, Tier
from common.policies import PolicyInvalid
from common.scope import sight_of
from mtss.models import Student, Support
from mtss.routes import supports
from mtss.routes.handing import find, theirs
from mtss.rules.sentences import WORDS
from mtss.supports import read_catalogue
from tests.harness import Running
from tests.mtss.made_up import FIRST, STUDENT, School, named, school_days
from tests.mtss.test_people import REASON, act, at_noon, call, decisions, differing, handed_over, queue, student
from tests.scoped import TEACHER, assigned, enrolled, related

SCHOOL = School("north", days=school_days(120))
TRIED = "They met each Monday; she now has lunch with two others."


@pytest_asyncio.fixture(loop_scope="session")
async def school(mtss: Running) -> AsyncIterator[Running]:
    """A student who is targeted since day 19, by 2 days of 20; it is noon of day 30."""
    mtss.clock.set(at_noon(30))
    absent = [SCHOOL.absent(day) for day in (18, 19)]
    await mtss.deliver(SCHOOL.calendar(), SCHOOL.enrols(), *absent, *SCHOOL.closes_through(30))
    await mtss.deliver(assigned(begin_on=SCHOOL.days[0]))
    yield mtss


async def begun(mtss: Running, **other: Any) -> httpx.Response:
    asked = {"kind": "mentor", "owner_id": str(TEACHER), "review_on": SCHOOL.days[40].isoformat()} | other
    return await act(mtss, f"/students/{STUDENT}/supports", **asked)


async def do(mtss: Running, support: Any, what: str, **body: Any) -> httpx.Response:
    """Over what is seen now."""
    seen = (await call(mtss, "GET", f"/supports/{support['id']}")).headers["ETag"]
    return await call(mtss, "POST", f"/supports/{support['id']}/{what}", json=body, headers={"If-Match": seen})


async def reviewed(mtss: Running, support: Any, next_day: int, progress: str = "same") -> httpx.Response:
    next_on = SCHOOL.days[next_day].isoformat()
    return await do(mtss, support, "attempts", progress=progress, tried=TRIED, next_review_on=next_on)


async def ended(mtss: Running, support: Any, ending: str = "goal-met") -> httpx.Response:
    return await do(mtss, support, "end", ending=ending, reason=REASON)


async def test_with_a_running_support_the_end_of_a_tier_is_proposed_and_shows_the_support_and_its_review_date(
    school: Running,
) -> None:
    support = (await begun(school)).json()
    school.clock.set(at_noon(60))
    await school.deliver(*SCHOOL.closes(*range(30, 60)))

    now = await student(school)

    assert (now["tier"], now["proposal"]["tier"]) == ("targeted", "universal")
    shown = [(each["id"], each["kind"], each["review_on"]) for each in now["proposal"]["supports"]]
    assert shown == [(support["id"], "mentor", SCHOOL.days[40].isoformat())]
    assert "person" in now["what_would_change_it"]
    assert (await act(school, f"/proposals/{now['proposal']['id']}/accept")).status_code == 201
    assert (await decisions(school))[-1][:2] == (Tier.UNIVERSAL, Cause.ACCEPTED)
    assert await differing(school) == []


async def test_once_the_last_support_has_ended_the_policy_ends_the_tier_by_itself_again(school: Running) -> None:
    support = (await begun(school)).json()
    school.clock.set(at_noon(60))
    await school.deliver(*SCHOOL.closes(*range(30, 60)))
    assert (await ended(school, support)).status_code == 201
    assert (await student(school))["proposal"] is None
    await school.deliver(*SCHOOL.closes(60, 61))
    assert (await decisions(school))[-1] == (Tier.UNIVERSAL, Cause.EXITED, SCHOOL.days[61])
    assert await differing(school) == []


async def test_a_tier_stays_too_if_its_ground_turns_out_never_to_have_been(school: Running) -> None:
    await begun(school)
    await school.deliver(SCHOOL.absent(19, deleted=True), SCHOOL.absent(18, deleted=True))
    now = await student(school)
    assert (now["tier"], now["proposal"]["tier"]) == ("targeted", "universal")
    words = (await call(school, "GET", f"/decisions/{now['decision_id']}/words?for=staff")).json()
    assert WORDS["en"]["staff"]["asks"] in words["changes"]
    assert await differing(school) == []


async def test_a_support_waits_in_the_queue_from_some_days_before_its_review_until_somebody_reviews_it(
    school: Running,
) -> None:
    support = (await begun(school)).json()
    assert await queue(school) == []
    school.clock.set(at_noon(36))
    (waits,) = await queue(school)
    assert (waits["about"], waits["id"], waits["tier"]) == ("support", support["id"], "targeted")
    assert (waits["due_on"], waits["late"]) == (SCHOOL.days[40].isoformat(), False)
    assert waits["assigned"]["staff_id"] == support["owner"]["staff_id"] == str(TEACHER)
    school.clock.set(at_noon(41))
    assert [each["late"] for each in await queue(school)] == [True]

    handed = {"staff_id": str(TEACHER), "reason": "She sees him every day."}
    assert (await handed_over(school, support["id"], **handed)).status_code == 201
    assert (await reviewed(school, support, 60)).status_code == 201

    assert await queue(school) == []
    now = (await call(school, "GET", f"/supports/{support['id']}")).json()
    assert (now["review_on"], now["owner"]["reason"]) == (SCHOOL.days[60].isoformat(), handed["reason"])


async def test_each_day_by_which_a_support_was_to_be_reviewed_is_kept_with_when_that_was_said(school: Running) -> None:
    support = (await begun(school)).json()
    assert support["first_review_on"] == support["review_on"] == SCHOOL.days[40].isoformat()
    for day in (50, 60):
        await reviewed(school, support, day)
        support = (await call(school, "GET", f"/supports/{support['id']}")).json()

    said = [(support["known_at"], support["first_review_on"])]
    said += [(each["known_at"], each["next_review_on"]) for each in support["attempts"]]

    assert [on for _, on in said] == [SCHOOL.days[day].isoformat() for day in (40, 50, 60)]
    assert sorted(said) == said
    assert support["review_on"] == said[-1][1]
    moved = ("review_on = review_on + 1", "first_review_on = review_on", "known_at = now()", "begun_on = begun_on - 1")
    for change in (*(f"UPDATE mtss_support SET {each}" for each in moved), "DELETE FROM mtss_support"):
        async with school.admin.begin() as connection:
            with pytest.raises(sa.exc.DBAPIError, match="never changes"):
                await connection.execute(sa.text(change))
    await ended(school, support)
    async with school.admin.begin() as connection:
        with pytest.raises(sa.exc.DBAPIError, match="never changes"):
            await connection.execute(sa.text("UPDATE mtss_support SET ended_on = NULL"))


async def test_what_was_tried_is_kept_attempt_by_attempt_and_no_support_ends_for_no_progress_without_one(
    school: Running,
) -> None:
    support = (await begun(school)).json()
    early = await ended(school, support, "no-progress")
    assert (early.status_code, early.json()["type"]) == (409, "urn:trellis:problem:support-not-reviewed")
    await reviewed(school, support, 45, "too_early")
    await reviewed(school, support, 50)
    assert (await ended(school, support, "no-progress")).status_code == 201

    (now,) = (await call(school, "GET", f"/students/{STUDENT}/supports")).json()["items"]

    assert [(each["number"], each["progress"], each["tried"]) for each in now["attempts"]] == [
        (1, "too_early", TRIED),
        (2, "same", TRIED),
    ]
    assert (now["ended_on"], now["ending"]) == (SCHOOL.days[30].isoformat(), "no-progress")
    rulings = (await call(school, "GET", f"/students/{STUDENT}/rulings")).json()["items"]
    assert [(each["kind"], each["support_id"], each["reason"]) for each in rulings] == [
        ("support_begun", support["id"], REASON),
        ("support_ended", support["id"], REASON),
    ]
    assert (await student(school))["tier"] == "targeted"
    over = await reviewed(school, support, 50)
    assert (over.status_code, over.json()["type"]) == (409, "urn:trellis:problem:support-over")
    async with school.admin.connect() as connection:
        words = (await connection.execute(sa.text("SELECT tried FROM mtss_attempt"))).scalars()
        assert all(TRIED.encode() not in each for each in words)


async def test_a_support_is_begun_once_over_what_was_seen_and_by_who_sees_the_student(school: Running) -> None:
    body = {"kind": "mentor", "owner_id": str(TEACHER), "review_on": SCHOOL.days[40].isoformat(), "reason": REASON}
    path, seen = f"/students/{STUDENT}/supports", (await call(school, "GET", f"/students/{STUDENT}")).headers["ETag"]
    once = {"If-Match": seen, "Idempotency-Key": str(uuid4())}
    first = await call(school, "POST", path, json=body, headers=once)
    again = await call(school, "POST", path, json=body, headers=once)
    assert (first.status_code, again.json()) == (201, first.json())
    assert len((await call(school, "GET", path)).json()["items"]) == 1
    one = f"/supports/{first.json()['id']}"
    for away, status in (({"schools": ["south"]}, 404), ({"role": "teacher"}, 403)):
        for method, where, answer in (("GET", path, status), ("POST", path, status), ("GET", one, 404)):
            headers = {"If-Match": seen} if method == "POST" else {}
            asked = await call(school, method, where, json=body, headers=headers, **away)
            assert asked.status_code == answer
    attempts, attempt = f"/supports/{first.json()['id']}/attempts", {"progress": "same", "tried": TRIED}
    attempt["next_review_on"] = SCHOOL.days[50].isoformat()
    for seen_before, status in (({}, 428), ({"If-Match": '"before"'}, 412)):
        refused = await call(school, "POST", attempts, json=attempt, headers=seen_before)
        assert refused.status_code == status


async def test_of_fifty_who_begin_the_same_support_one_does(school: Running) -> None:
    seen = (await call(school, "GET", f"/students/{STUDENT}")).headers["ETag"]
    answers = await asyncio.gather(*(begun(school, seen=seen) for _ in range(50)))
    assert sorted(each.status_code for each in answers) == [201, *[412] * 49]


async def test_whose_a_support_is_reads_and_reviews_it_whatever_their_role_and_nothing_more_of_the_student(
    school: Running,
) -> None:
    support = (await begun(school)).json()
    teacher: Any = {"role": "teacher", "schools": [], "staff": TEACHER}
    mentor = f"/supports/{support['id']}"
    (theirs,) = (await call(school, "GET", "/supports", **teacher)).json()["items"]
    seen = await call(school, "GET", mentor, **teacher)
    assert theirs == seen.json() == support
    attempt = {"progress": "same", "tried": TRIED, "next_review_on": SCHOOL.days[50].isoformat()}
    match = {"If-Match": seen.headers["ETag"]}
    reviewed = await call(school, "POST", f"{mentor}/attempts", json=attempt, headers=match, **teacher)
    assert (reviewed.status_code, reviewed.json()["attempts"][0]["by"]) == (201, str(TEACHER))

    other = (await begun(school, kind="small-group", owner_id=str(await _colleague(school)))).json()
    for where, status in (
        (f"/supports/{other['id']}", 404),
        (f"/students/{STUDENT}", 404),
        (f"/students/{STUDENT}/supports", 403),
        (f"/students/{STUDENT}/rulings", 403),
    ):
        assert (await call(school, "GET", where, **teacher)).status_code == status
    ending = {"ending": "goal-met", "reason": REASON}
    assert (await call(school, "POST", f"{mentor}/end", json=ending, headers=match, **teacher)).status_code == 403

    await school.deliver(assigned(begin_on=SCHOOL.days[0], end_on=SCHOOL.days[29]))
    assert (await call(school, "GET", mentor, **teacher)).status_code == 404  # who left the school has nothing there
    await school.deliver(assigned(begin_on=SCHOOL.days[0]))
    handed = await handed_over(school, support["id"], staff_id=other["owner"]["staff_id"])
    assert (handed.status_code, (await call(school, "GET", mentor, **teacher)).status_code) == (201, 404)
    assert (await call(school, "GET", "/supports", **teacher)).json()["items"] == []


async def test_who_has_something_sees_that_student_besides_and_nobody_else_in_either_net(school: Running) -> None:
    support = UUID((await begun(school)).json()["id"])
    who, today = Principal("teacher", str(TEACHER), staff_id=TEACHER), SCHOOL.days[30]
    await school.deliver(SCHOOL.enrols(UUID(int=5)))

    async def sees(session: AsyncSession) -> list[list[UUID]]:
        mine = sa.select(col(Student.student_id))
        asked = (mine, mine.where(visible_to(who, col(Student.student_id))))
        return [list(await session.scalars(each)) for each in asked]

    async with school.runtime.transaction(lambda: sight_of(who, today)) as session:
        async with theirs(session, who, Support, today) as found:
            assert list(await session.scalars(sa.select(col(Support.id)).where(*found))) == [support]
        assert await sees(session) == [[], []]
        with pytest.raises(NotFound):
            await find(session, who, Support, uuid4(), "support", today)
        assert await sees(session) == [[], []]
        await find(session, who, Support, support, "support", today)
        assert await sees(session) == [[STUDENT], [STUDENT]]


async def _colleague(school: Running) -> UUID:
    await school.deliver(assigned(UUID(int=9), begin_on=SCHOOL.days[0]))
    return UUID(int=9)


async def test_nothing_is_given_to_who_cannot_open_it(school: Running) -> None:
    keeper = UUID(int=8)
    elsewhere = assigned(keeper, "south", begin_on=SCHOOL.days[0]), enrolled(school="south", entry_on=SCHOOL.days[0])
    await school.deliver(related(Relation.CASELOAD, STUDENT, keeper, begin_on=SCHOOL.days[0]), *elsewhere)
    refused = await begun(school, owner_id=str(keeper))
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "owner_id")
    support = (await begun(school)).json()
    assert (await handed_over(school, support["id"], staff_id=str(keeper))).status_code == 422
    await school.deliver(assigned(keeper, begin_on=SCHOOL.days[0]))
    assert (await handed_over(school, support["id"], staff_id=str(keeper))).status_code == 201


async def test_the_context_of_a_student_is_said_with_a_support_and_sealed_and_a_review_may_say_otherwise(
    school: Running,
) -> None:
    support = (await begun(school, contexts=["moved", "homeless", "moved"])).json()
    assert support["contexts"] == ["homeless", "moved"]
    assert (await reviewed(school, support, 50)).json()["contexts"] == ["homeless", "moved"]  # it said nothing of that
    said = {"progress": "better", "tried": TRIED, "next_review_on": SCHOOL.days[55].isoformat(), "contexts": []}
    assert (await do(school, support, "attempts", **said)).json()["contexts"] == []
    other = await do(school, support, "attempts", **said | {"contexts": ["poor"]})
    assert (other.status_code, other.json()["errors"][0]["field"], "poor" in other.text) == (422, "contexts", False)
    async with school.admin.connect() as connection:
        rows = (
            "SELECT contexts FROM mtss_support UNION ALL SELECT contexts FROM mtss_attempt WHERE contexts IS NOT NULL"
        )
        sealed = (await connection.scalars(sa.text(rows))).all()
    assert [b"homeless" in each for each in sealed] == [False, False]
    assert await differing(school) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "detention"),
        ("owner_id", str(UUID(int=9))),
        ("review_on", date(2024, 10, 5).isoformat()),  # a Saturday
        ("review_on", SCHOOL.days[61].isoformat()),
    ],
)
async def test_a_support_is_of_the_catalogue_of_somebody_there_and_reviewed_in_time(
    school: Running, field: str, value: str
) -> None:
    refused = await begun(school, **{field: value})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)
    assert value not in refused.text


async def test_the_catalogue_says_what_there_is_what_for_and_how_it_ends(school: Running) -> None:
    told = (await call(school, "GET", "/supports/catalogue", role="teacher")).json()
    (mentor,) = [each for each in told["supports"] if each["name"] == "mentor"]
    assert (mentor["tier"], set(mentor["outcomes"]) <= set(told["outcomes"])) == ("targeted", True)
    assert (mentor["grades"], mentor["audience"]) == ([], ["student"])
    assert {each["name"]: each["needs_review"] for each in told["endings"]}["no-progress"]
    assert "homeless" in told["contexts"]
    assert "greeting" in told["universal"]


async def test_what_came_of_a_support_is_told_of_thirty_students_and_beside_those_who_received_none_and_got_better(
    mtss: Running,
) -> None:
    everybody = [named("student", n) for n in range(62)]
    mentored, others, without = everybody[:30], everybody[30:32], everybody[32:]
    await mtss.deliver(SCHOOL.calendar(), *(SCHOOL.enrols(each) for each in everybody), assigned(begin_on=FIRST))
    missed = [SCHOOL.absent(day, each) for each in everybody for day in (36, 37, 38, 39)]
    asked = [belonging(30, 2.5, each, window=1) for each in everybody]
    # Of who was asked before, one answers another instrument, and one of those without support never again.
    asked += [belonging(60, 3.0 + place % 2, each, window=2) for place, each in enumerate(mentored)]
    asked += [belonging(60, 2.5, each, window=2) for each in without[1:]]
    asked += [belonging(55, 1.0, mentored[0], window=3, instrument="belonging-9")]
    await mtss.deliver(*asked)
    await mtss.deliver(*missed, SCHOOL.refers(38, 1, everybody[0]), *SCHOOL.closes_through(45))
    mtss.clock.set(at_noon(45))
    for kind, who in (("mentor", [*mentored, mentored[0]]), ("small-group", others)):
        for each in who:  # one of them begins again, and counts once
            seen = (await call(mtss, "GET", f"/students/{each}")).headers["ETag"]
            body = {"kind": kind, "owner_id": str(TEACHER), "review_on": SCHOOL.days[60].isoformat()}
            given = await act(mtss, f"/students/{each}/supports", seen=seen, **body)
            assert given.status_code == 201
    hurt = [SCHOOL.refers(51, 2, each, harms=(Harm.INJURY,)) for each in mentored[:10]]
    hurt += [SCHOOL.refers(51, 2, mentored[0], behaviour=1, harms=(Harm.INJURY, Harm.DAMAGE))]  # of the same incident
    await mtss.deliver(*hurt, *(SCHOOL.absent(50, each) for each in mentored[:10]), *SCHOOL.closes(*range(45, 110)))
    tiers = {each: (await call(mtss, "GET", f"/students/{each}")).json()["tier"] for each in (without[0], mentored[0])}
    assert tiers == {without[0]: "universal", mentored[0]: "targeted"}

    told = (await call(mtss, "GET", "/supports/outcomes", role="district")).json()

    assert (told["days"], told["minimum"]) == (30, 30)
    lines = {each["kind"]: each["told"] for each in told["items"]}
    assert set(lines) == {"mentor", "small-group", None}
    assert lines["small-group"] is None
    mentor, none = lines["mentor"], lines[None]
    assert (mentor["students"], none["students"]) == (30, 30)
    assert (mentor["percent_missed_before"], mentor["percent_missed_after"]) == (
        13.3,
        1.1,
    )  # 4 of 30; 1 of 30, of a third
    assert (mentor["referrals_before"], mentor["referrals_after"]) == (None, 0.3)  # of too few; 10 of 30
    assert (mentor["injuries_before"], mentor["injuries_after"]) == (None, 0.3)
    assert (mentor["damages_before"], mentor["damages_after"]) == (None, None)  # of nobody; of too few
    assert (none["percent_missed_before"], none["percent_missed_after"]) == (10.0, 3.3)  # 3 of 30; 1 of 30
    assert told["survey_subscale"] == "belonging"
    assert (mentor["survey_before"], mentor["survey_after"]) == (2.5, 3.5)
    assert (none["survey_before"], none["survey_after"]) == (None, None)  # of 29
    for role in ("principal", "counselor", "teacher"):
        assert (await call(mtss, "GET", "/supports/outcomes", role=role)).status_code == 403


def belonging(day: int, mean: float, who: UUID, window: int, instrument: str = "belonging-8") -> SurveyScored:
    score = SubscaleScore(subscale="belonging", mean=mean, answered=2, items=2, prorated=False)
    said = {"instrument": instrument, "scores": (score,)}
    return SCHOOL.scores(day, mean, who, window=window).model_copy(update=said)


DEFAULT: Mapping[str, Any] = tomllib.loads(files("mtss").joinpath("policy.toml").read_text("utf-8"))


@pytest.mark.parametrize(
    ("member", "value", "sentence"),
    [
        ("tier", "secret", "must be one of universal, targeted, intensive"),
        ("outcomes", ["secret"], "may only name entries of outcomes"),
        ("audience", ["secret"], "may only name community, family, staff, student"),
        ("review_within", 0, "must be at least 1"),
    ],
)
def test_a_catalogue_that_cannot_be_is_refused_in_one_sentence(member: str, value: Any, sentence: str) -> None:
    said = deepcopy(DEFAULT)
    said["supports"]["mentor"][member] = value
    with pytest.raises(PolicyInvalid, match=f"^The policy of mtss: supports.mentor.{member} {sentence}") as refused:
        read_catalogue(said)
    assert "secret" not in str(refused.value)


def test_a_team_that_is_nobody_or_never_meets_is_refused() -> None:
    for member, value in (("roles", []), ("meets_within", 0)):
        said = deepcopy(DEFAULT)
        said["teams"]["problem-solving"][member] = value
        with pytest.raises(PolicyInvalid, match="needs roles, and meets_within of at least 1"):
            read_catalogue(said)


def test_a_comparison_over_no_days_is_refused() -> None:
    surveys = {"compare_surveys": {"subscale": "belonging", "within_days": 0}}
    with pytest.raises(PolicyInvalid, match=r"compare_surveys\.within_days must be at least 1"):
        read_catalogue(dict(DEFAULT) | surveys)
    with pytest.raises(PolicyInvalid, match="compare_days must be at least 1"):
        read_catalogue(dict(DEFAULT) | {"compare_days": 0})


def test_a_follow_up_of_no_signal_or_never_is_refused() -> None:
    for member, value in (("signals", ["secret"]), ("first_within", 0), ("again_within", 0)):
        said = deepcopy(DEFAULT)
        said["follow_up"][member] = value
        with pytest.raises(PolicyInvalid, match="follow_up names signals that there are, and numbers of at least 1"):
            read_catalogue(said)


async def test_a_support_begins_only_for_the_grades_for_which_it_is_made(
    school: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = deepcopy(DEFAULT)
    said["supports"]["mentor"]["grades"] = ["9", "10"]
    monkeypatch.setattr(supports, "CATALOGUE", read_catalogue(said))
    refused = await begun(school)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "kind")
    await school.deliver(SCHOOL.enrols(grade="9"))
    assert (await begun(school)).status_code == 201


def test_what_is_no_longer_offered_is_not_begun() -> None:
    said = deepcopy(DEFAULT)
    said["supports"]["mentor"]["offered"] = False
    catalogue = read_catalogue(said)
    assert catalogue.offered("small-group", "9").tier is Tier.TARGETED
    for name in ("mentor", "nothing"):
        with pytest.raises(Invalid, match="kind"):
            catalogue.offered(name, "9")
    with pytest.raises(Exception, match="ending"):
        catalogue.ending("nothing")
