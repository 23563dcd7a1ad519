"""Whom a person sees: on which grounds, on which day, by either net alone, and never by what somebody else said before."""

import asyncio
import tomllib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
import sqlalchemy as sa

from common.db import create_engine
from common.embedded import Cluster
from common.events import Event
from common.events.sis import Relation
from common.outbox import publish
from common.policies import PolicyInvalid, merged
from common.scope import (
    EVERYTHING,
    FIELD_CLASSES,
    GROUNDS,
    NOTHING,
    Sight,
    access_policy,
    see_all,
    see_by_key,
    seen,
    seen_school,
)
from common.scope.policy import read_policy
from tests.harness import Running, record, run_service
from tests.scoped import (
    ANA,
    BEN,
    CAM,
    LONG_AGO,
    TEACHER,
    TODAY,
    TOMORROW,
    YESTERDAY,
    assigned,
    attends,
    enrolled,
    governed,
    named,
    related,
    teaches,
)

ROOT = Path(__file__).parents[2]
_STUDENTS = sa.text("SELECT student_id FROM mtss_student")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(cluster: Cluster) -> AsyncIterator[Running]:
    async with run_service("mtss", cluster) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def mtss(service: Running) -> Running:
    await service.empty()
    return service


def _same(sight: Sight) -> Sight:
    return sight


def teacher(*grounds: str, today: date = TODAY, staff: UUID = TEACHER) -> Sight:
    return Sight(frozenset(grounds), staff, today=today)


async def whom(service: Running, sight: Sight) -> set[UUID]:
    """The students whom ``sight`` sees, on which both nets agree."""
    async with service.runtime.transaction(lambda: sight) as session:
        by_rows = set((await session.execute(_STUDENTS)).scalars())
    async with service.runtime.transaction(lambda: sight) as session:
        if sight.all:
            return by_rows
        await session.execute(
            sa.text("SELECT set_config('trellis.sees', 'all', true)")
        )  # row security lets all through
        student = sa.column("student_id", sa.Uuid)
        chosen = sa.select(student).select_from(sa.text("mtss_student")).where(seen(sa.text("mtss_student.student_id")))
        by_filter = set((await session.execute(chosen)).scalars())
    assert by_rows == by_filter
    return by_rows


async def test_who_says_nothing_sees_nothing(mtss: Running) -> None:
    await mtss.deliver(enrolled(), enrolled(BEN))

    assert await whom(mtss, NOTHING) == set()
    async with mtss.runtime.engine.connect() as unsaid:
        assert (await unsaid.execute(_STUDENTS)).all() == []
    assert await whom(mtss, EVERYTHING) == {ANA, BEN}


async def test_a_pooled_connection_keeps_nothing_of_the_transaction_before(mtss: Running) -> None:
    await mtss.deliver(enrolled())
    before = EVERYTHING, Sight(frozenset({"school"}), schools=frozenset({"north"}), today=TODAY)

    for sight in before:
        async with mtss.runtime.transaction(partial(_same, sight)) as session:
            mine = await session.scalar(sa.text("SELECT pg_backend_pid()"))
            assert (await session.execute(_STUDENTS)).scalars().all() == [ANA]
        async with mtss.runtime.engine.connect() as next_user:
            assert await next_user.scalar(sa.text("SELECT pg_backend_pid()")) == mine
            assert (await next_user.execute(_STUDENTS)).all() == []
        assert await whom(mtss, NOTHING) == set()


async def test_a_transaction_that_said_everything_and_did_nothing_leaves_nothing_behind(mtss: Running) -> None:
    await mtss.deliver(enrolled())
    async with mtss.runtime.transaction() as session:
        assert (await session.connection()) is not None

    async with mtss.runtime.engine.connect() as next_user:
        assert (await next_user.execute(_STUDENTS)).all() == []


async def test_row_security_holds_for_the_owner_too_and_for_what_is_written(mtss: Running, cluster: Cluster) -> None:
    await mtss.deliver(enrolled())
    owner = create_engine(cluster.owner_url("mtss"))
    async with owner.connect() as connection:
        assert (await connection.execute(_STUDENTS)).all() == []
    await owner.dispose()
    with pytest.raises(sa.exc.ProgrammingError, match="row-level security"):
        async with mtss.runtime.transaction(lambda: NOTHING) as session:
            await session.execute(sa.text("INSERT INTO mtss_student (student_id) VALUES (gen_random_uuid())"))


async def test_the_schools_of_a_token_and_those_assigned_show_their_students(mtss: Running) -> None:
    await mtss.deliver(enrolled(), enrolled(BEN, "south"), assigned(school="south"))

    claimed = Sight(frozenset({"school"}), schools=frozenset({"north"}), today=TODAY)
    assert await whom(mtss, claimed) == {ANA}
    assert await whom(mtss, teacher("school")) == {BEN}
    assert await whom(mtss, teacher("section")) == set()


@pytest.mark.parametrize(
    ("dates", "sees"),
    [
        ({"begin_on": TODAY}, True),
        ({"begin_on": TOMORROW}, False),
        ({"end_on": TODAY}, True),
        ({"end_on": YESTERDAY}, False),
        ({"deleted": True}, False),
    ],
)
async def test_an_assignment_counts_from_its_first_day_to_its_last(
    mtss: Running, dates: dict[str, Any], sees: bool
) -> None:
    await mtss.deliver(enrolled(), assigned(**dates))

    assert await whom(mtss, teacher("school")) == ({ANA} if sees else set())


@pytest.mark.parametrize(
    ("taught", "attended", "sees"),
    [
        ({}, {}, True),
        ({"begin_on": TODAY, "end_on": TODAY}, {"begin_on": TODAY, "end_on": TODAY}, True),
        ({"end_on": YESTERDAY}, {}, False),
        ({"begin_on": TOMORROW}, {}, False),
        ({}, {"end_on": YESTERDAY}, False),
        ({}, {"begin_on": TOMORROW}, False),
        ({"deleted": True}, {}, False),
        ({}, {"deleted": True}, False),
    ],
)
async def test_a_teacher_sees_who_sits_in_the_section_while_both_last(
    mtss: Running, taught: dict[str, Any], attended: dict[str, Any], sees: bool
) -> None:
    await mtss.deliver(enrolled(), enrolled(BEN), teaches(**taught), attends(**attended))

    assert await whom(mtss, teacher("section")) == ({ANA} if sees else set())
    assert await whom(mtss, teacher("section", staff=named("another"))) == set()


async def test_who_no_longer_works_at_a_school_sees_nobody_there_whatever_sections_say(mtss: Running) -> None:
    sections = [teaches(), attends(), related(Relation.GRADE, None, school_id="north", grade="9")]
    await mtss.deliver(enrolled(), *sections, related(Relation.CASELOAD))
    everything = teacher("section", "grade", "caseload")
    assert await whom(mtss, everything) == {ANA}

    await mtss.deliver(assigned(end_on=YESTERDAY))
    assert await whom(mtss, everything) == set()


@pytest.mark.parametrize("kind", [Relation.CASELOAD, Relation.COUNSELOR, Relation.TRUSTED_ADULT])
async def test_a_relation_shows_its_student_on_its_own_ground_while_it_lasts(mtss: Running, kind: Relation) -> None:
    await mtss.deliver(enrolled(), enrolled(BEN), related(kind))
    assert await whom(mtss, teacher(kind)) == {ANA}
    assert await whom(mtss, teacher(*{*GROUNDS} - {kind, "district"})) == set()

    await mtss.deliver(related(kind, end_on=YESTERDAY))
    assert await whom(mtss, teacher(kind)) == set()

    await mtss.deliver(related(kind, begin_on=TOMORROW))
    assert await whom(mtss, teacher(kind)) == set()
    assert await whom(mtss, teacher(kind, today=TOMORROW)) == {ANA}


async def test_who_works_nowhere_any_more_sees_nobody_by_a_relation_wherever_the_student_goes(mtss: Running) -> None:
    await mtss.deliver(enrolled(), related(Relation.CASELOAD), assigned())
    await mtss.deliver(assigned(end_on=YESTERDAY), enrolled(school="south", entry_on=TODAY))
    assert await whom(mtss, teacher("caseload")) == set()

    await mtss.deliver(assigned(school="south", begin_on=TODAY))
    assert await whom(mtss, teacher("caseload")) == {ANA}


@pytest.mark.parametrize(
    ("works", "sees"),
    [
        (("north",), False),
        (("south",), True),
        (("north", "south"), True),
        (("district",), True),
        ((), True),
    ],
)
async def test_a_caseload_shows_a_student_where_its_keeper_works_and_who_moves_away_is_gone(
    mtss: Running, works: tuple[str, ...], sees: bool
) -> None:
    elsewhere = enrolled(CAM, "south"), governed("north"), governed("south")
    await mtss.deliver(enrolled(), *elsewhere, related(Relation.CASELOAD), *(assigned(school=at) for at in works))
    assert await whom(mtss, teacher("caseload")) == (set() if works == ("south",) else {ANA})

    await mtss.deliver(enrolled(exit_on=YESTERDAY), enrolled(school="south", entry_on=TODAY))
    assert await whom(mtss, teacher("caseload")) == ({ANA} if sees else set())


_BY_RELATION = (related(Relation.CASELOAD), related(Relation.GRADE, None, school_id="north", grade="9"))


async def test_who_left_a_school_keeps_nobody_there_by_a_relation_when_they_now_work_for_the_district(
    mtss: Running,
) -> None:
    await mtss.deliver(enrolled(), governed(), *_BY_RELATION, assigned(school="district"))
    assert await whom(mtss, teacher("caseload")) == await whom(mtss, teacher("grade")) == {ANA}

    await mtss.deliver(assigned(end_on=YESTERDAY))
    assert await whom(mtss, teacher("caseload", "grade")) == set()


@pytest.mark.parametrize("said", [(), (governed(deleted=True),), (governed(district="another"),)])
async def test_an_organisation_that_the_sis_names_as_the_district_of_no_school_opens_none(
    mtss: Running, said: tuple[Event, ...]
) -> None:
    await mtss.deliver(*said, enrolled(), *_BY_RELATION, assigned(school="not heard of yet"))

    assert await whom(mtss, teacher("caseload", "grade")) == set()


async def test_a_grade_is_seen_by_who_works_at_its_school(mtss: Running) -> None:
    await mtss.deliver(enrolled(), *_BY_RELATION, assigned(school="south"))
    assert await whom(mtss, teacher("grade")) == set()

    await mtss.deliver(assigned())
    assert await whom(mtss, teacher("grade")) == {ANA}


async def test_a_grade_is_that_of_one_school(mtss: Running) -> None:
    await mtss.deliver(
        enrolled(), enrolled(BEN, grade="10"), enrolled(CAM, "south"),
        related(Relation.GRADE, None, school_id="north", grade="9"),
    )  # fmt: skip

    assert await whom(mtss, teacher("grade")) == {ANA}


def at(school: str, today: date = TODAY) -> Sight:
    return Sight(frozenset({"school"}), schools=frozenset({school}), today=today)


async def test_a_student_who_moves_takes_the_view_along(mtss: Running) -> None:
    sections = [teaches(), attends(), related(Relation.CASELOAD), assigned()]
    await mtss.deliver(enrolled(), *sections)
    await mtss.deliver(enrolled(exit_on=YESTERDAY), enrolled(school="south", entry_on=TODAY))

    assert (await whom(mtss, at("north")), await whom(mtss, at("south"))) == (set(), {ANA})
    assert (await whom(mtss, at("north", YESTERDAY)), await whom(mtss, at("south", YESTERDAY))) == ({ANA}, set())
    assert await whom(mtss, teacher("section", "caseload")) == set()


async def test_two_schools_on_one_day_both_see(mtss: Running) -> None:
    await mtss.deliver(enrolled(), enrolled(school="south", entry_on=YESTERDAY))

    assert (await whom(mtss, at("north")), await whom(mtss, at("south"))) == ({ANA}, {ANA})


async def test_over_the_summer_the_last_school_sees_until_the_next_one_begins(mtss: Running) -> None:
    june, july, august = date(2026, 6, 5), date(2026, 7, 15), date(2026, 8, 17)
    await mtss.deliver(enrolled(exit_on=june, entry_on=date(2025, 8, 18)), enrolled(school="south", entry_on=august))

    assert (await whom(mtss, at("north", july)), await whom(mtss, at("south", july))) == ({ANA}, set())
    assert (await whom(mtss, at("north", august)), await whom(mtss, at("south", august))) == (set(), {ANA})


async def test_of_two_schools_left_the_one_left_last_sees_on(mtss: Running) -> None:
    await mtss.deliver(
        enrolled(exit_on=date(2026, 9, 30)),
        enrolled(school="south", exit_on=YESTERDAY),
        enrolled(BEN, exit_on=YESTERDAY),
        enrolled(BEN, "south", exit_on=YESTERDAY),
    )

    assert (await whom(mtss, at("north")), await whom(mtss, at("south"))) == ({BEN}, {ANA, BEN})


async def test_who_never_came_was_never_there(mtss: Running) -> None:
    await mtss.deliver(
        enrolled(exit_on=LONG_AGO),
        enrolled(BEN, exit_on=YESTERDAY),
        enrolled(BEN, "south", entry_on=TODAY, exit_on=TODAY),
    )

    assert (await whom(mtss, at("north")), await whom(mtss, at("south"))) == ({BEN}, set())


async def test_an_enrolment_taken_back_gives_the_view_back(mtss: Running) -> None:
    await mtss.deliver(enrolled(exit_on=YESTERDAY), enrolled(school="south", entry_on=TODAY))
    await mtss.deliver(enrolled(school="south", entry_on=TODAY, deleted=True))

    assert (await whom(mtss, at("north")), await whom(mtss, at("south"))) == ({ANA}, set())


async def test_an_older_revision_changes_nothing(mtss: Running) -> None:
    older, newer = enrolled(), enrolled(deleted=True)
    await mtss.deliver(newer)
    await mtss.deliver(older)

    assert await whom(mtss, at("north")) == set()


async def test_a_school_is_seen_by_the_ground_school_alone(mtss: Running) -> None:
    await mtss.deliver(assigned(), teaches(), attends())
    school = sa.select(seen_school(sa.literal("north")))

    for sight, sees in (
        (at("north"), True),
        (at("south"), False),
        (teacher("school"), True),
        (teacher("section"), False),
    ):
        async with mtss.runtime.transaction(partial(_same, sight)) as session:
            assert await session.scalar(school) is sees


async def test_the_tables_of_scope_are_read_by_the_views_alone(mtss: Running) -> None:
    await mtss.deliver(enrolled(school="south"), assigned(), teaches(), attends(), related(Relation.CASELOAD))

    for table in ("enrolment", "assignment", "section_staff", "section_student", "relation"):
        rows = sa.text(f"SELECT count(*) FROM scope_{table}")
        async with mtss.runtime.transaction(lambda: at("north")) as session:
            assert await session.scalar(rows) == 0
        async with mtss.runtime.transaction() as session:
            assert await session.scalar(rows) == 1


async def test_enrolments_are_seen_by_who_sees_the_whole_school_and_changed_by_nobody(mtss: Running) -> None:
    await mtss.deliver(enrolled(), enrolled(BEN, "south"), related(Relation.CASELOAD))
    rows = sa.text("SELECT student_id FROM scope_enrolment")

    for sight, sees in ((at("north"), [ANA]), (at("south"), [BEN]), (teacher("caseload"), []), (NOTHING, [])):
        async with mtss.runtime.transaction(partial(_same, sight)) as session:
            assert list(await session.scalars(rows)) == sees
    async with mtss.runtime.transaction(lambda: at("north")) as session:
        left = await session.execute(sa.text("UPDATE scope_enrolment SET exit_on = entry_on RETURNING student_id"))
        assert left.all() == []


async def test_what_is_said_and_what_was_answered_is_written_by_everybody_and_read_by_few(mtss: Running) -> None:
    keep = sa.text("INSERT INTO answer (id, sealed) VALUES (:id, '')")
    rows = sa.text("SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM answer)")
    async with mtss.runtime.transaction(lambda: at("north")) as session:
        await publish(session, enrolled())
        for key in (b"mine", b"another's"):
            await session.execute(keep, {"id": key})
        assert (await session.execute(rows)).one() == (0, 0)
        await see_by_key(session, b"mine")
        assert (await session.execute(rows)).one() == (0, 1)
    async with mtss.session() as session:
        assert (await session.execute(rows)).one() == (1, 2)


async def test_what_could_not_be_handled_is_no_more_for_who_sees_some(mtss: Running) -> None:
    await mtss.app.state.inbox.process([replace(record(enrolled()), body=b"{}")])
    parked = sa.text("SELECT count(*) FROM inbox_parked")

    async with mtss.runtime.transaction(lambda: at("north")) as session:
        assert await session.scalar(parked) == 0
    async with mtss.session() as session:
        assert await session.scalar(parked) == 1


async def test_a_transaction_may_go_on_to_see_everything_and_the_next_one_does_not(mtss: Running) -> None:
    await mtss.deliver(enrolled())
    async with mtss.runtime.transaction(lambda: NOTHING) as session:
        await see_all(session)
        assert (await session.execute(_STUDENTS)).scalars().all() == [ANA]

    assert await whom(mtss, NOTHING) == set()


async def test_two_schools_that_enrol_one_student_at_the_same_moment_count_each_other(mtss: Running) -> None:
    await asyncio.gather(
        *(mtss.deliver(enrolled(named(n), exit_on=YESTERDAY)) for n in range(20)),
        *(mtss.deliver(enrolled(named(n), "south", entry_on=TODAY)) for n in range(20)),
    )

    assert await whom(mtss, at("north")) == set()
    assert len(await whom(mtss, at("south"))) == 20


def test_the_policy_has_known_words_and_a_source_for_each_line() -> None:
    policy = access_policy()

    assert policy.grounds["teacher"] == {"section", "grade", "caseload", "trusted_adult"}
    assert not [role for role, reads in policy.reads.items() if "survey_answer" in reads]
    assert policy.may_read("teacher", "support") == {"non_personal", "directory", "education_record"}
    assert policy.may_read("unknown", "support") == {"non_personal"}


def test_a_district_may_bound_a_role_and_not_invent_a_ground() -> None:
    default: dict[str, Any] = {
        "version": "default-1",
        "roles": {"teacher": {"grounds": ["section"], "reads": ["directory"], "source": "ours"}},
        "purposes": {"support": {"reads": ["directory"], "source": "ours"}},
        "audit": {"reads": ["narrative"], "source": "ours"},
    }
    own: dict[str, Any] = {
        "version": "own",
        "roles": {"teacher": {"grounds": ["caseload"], "source": "Board policy JRA"}},
    }
    assert read_policy(merged(default, own)).grounds["teacher"] == {"caseload"}

    own["roles"]["teacher"]["grounds"] = ["friendship"]
    with pytest.raises(PolicyInvalid, match=r"roles.teacher.grounds must be a list of district, school"):
        read_policy(merged(default, own))


def test_the_page_says_what_the_policy_says() -> None:
    said = tomllib.loads((ROOT / "libs/common/common/access.toml").read_text())
    page = (ROOT / "docs/access.md").read_text()

    for role, each in said["roles"].items():
        assert f"| {role} | {', '.join(each['grounds'])} | {', '.join(each['reads'])} |" in page
    for purpose, each in said["purposes"].items():
        assert f"| {purpose} | {', '.join(each['reads'])} |" in page
    for each in FIELD_CLASSES:
        assert f"| {each} | " in page
    assert f"on record: {', '.join(said['audit']['reads'])}." in page
