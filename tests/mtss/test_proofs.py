"""Proofs: what was decided can be decided again, and what was touched since is found."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.ext.asyncio import AsyncSession
from typer.testing import CliRunner

from common.events import Event
from mtss.commands.verify import app
from mtss.models import Decision, Proposal, knowing, policy, reading, verify
from mtss.rules import SIGNALS, digest_of_decision, digest_of_proposal, policy_of, since_ever
from tests.harness import Running, over_http
from tests.mtss.ledger import known_since
from tests.mtss.made_up import STUDENT, School, named, school_days
from tests.mtss.test_rules_policy import changed
from tests.mtss.test_rules_tardies import late as late_at

SCHOOL = School(days=school_days(60))
OTHER = named("student", 1)


def late(day: int) -> Event:
    return late_at(day, SCHOOL)


@pytest_asyncio.fixture(loop_scope="session")
async def decided(mtss: Running) -> AsyncIterator[Running]:
    """Two students with decisions that rest on every kind of fact."""
    mtss.clock.set(datetime(2024, 11, 20, 18, tzinfo=UTC))
    await mtss.deliver(SCHOOL.calendar(), SCHOOL.enrols(), SCHOOL.enrols(OTHER), *SCHOOL.closes_through(19))
    await mtss.deliver(SCHOOL.absent(4), SCHOOL.absent(5), late(8), SCHOOL.refers(3, 1), SCHOOL.scores(3, 3.0))
    await mtss.deliver(SCHOOL.excludes(3, 1), *SCHOOL.marks(3, True, True, False))
    await mtss.deliver(*SCHOOL.closes(*range(19, 30)))
    yield mtss


async def differing(mtss: Running) -> list[str]:
    """The fields of all decisions that differ, each once."""
    async with mtss.session() as session:
        ledger = (await session.scalars(sa.select(Decision))).all()
        assert len(ledger) >= 3
        return sorted({each.field for found in await verify(session, ledger, changes=True) for each in found})


async def touch(mtss: Running, statement: str, **given: Any) -> None:
    """Change a row behind the service's back, as only who administers the database can: no trigger asks."""
    async with mtss.admin.begin() as connection:
        await connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        changed = await connection.execute(sa.text(statement), given)
        assert changed.rowcount >= 1


async def test_what_was_decided_is_decided_again(decided: Running) -> None:
    assert await differing(decided) == []


@pytest.mark.parametrize("statement", [reading._FACTS, knowing._FACTS])
async def test_no_fact_is_looked_for_among_those_of_everybody(decided: Running, statement: sa.TextClause) -> None:
    students = {"students": [STUDENT], "moments": [1], "times": [datetime.now(UTC)], "snapshots": [None]}
    given = {**students, "transactions": [None], **reading.PLACES, "subscales": ["adult_support"]}
    async with decided.session() as session:
        await session.execute(sa.text("SET LOCAL enable_seqscan = off"))
        named = {name: given[name] for name in statement.compile().params}
        plan = (await session.execute(sa.text(f"EXPLAIN {statement.text}"), named)).scalars().all()
    assert any("Index" in line for line in plan)
    assert not [line for line in plan if "Seq Scan on mtss_" in line]


async def test_what_is_heard_later_leaves_earlier_decisions_as_they_were(decided: Running) -> None:
    await decided.deliver(SCHOOL.absent(4, hundredths=0), SCHOOL.absent(25), SCHOOL.refers(6, 2), SCHOOL.scores(2, 2.0))
    await decided.deliver(SCHOOL.absent(8), late(9))
    await decided.deliver(SCHOOL.calendar(), SCHOOL.enrols(exit_on=SCHOOL.days[20]), *SCHOOL.closes(25, deleted=True))
    await decided.deliver(SCHOOL.absent(25, hundredths=50), *SCHOOL.closes(25))
    assert await differing(decided) == []


@pytest.mark.parametrize(
    ("statement", "fields"),
    [
        ("UPDATE mtss_attendance SET hundredths_absent = 64 WHERE hundredths_absent = 100", ["facts.absences"]),
        ("UPDATE mtss_attendance SET kind = 'excused' WHERE hundredths_absent = 100", ["facts.absences"]),
        ("UPDATE mtss_attendance SET kind = 'present' WHERE kind = 'tardy'", ["facts.tardies"]),
        ("UPDATE mtss_enrolment SET entry_on = entry_on + 1", ["facts.enrolments"]),
        ("UPDATE mtss_calendar SET days = days[2:]", ["facts.calendars"]),
        ("UPDATE mtss_closed_day SET implied = NOT implied WHERE day = '2024-09-02'", ["facts.closed_days"]),
        ("UPDATE mtss_incident SET day = day + 1", ["facts.referrals"]),
        ("UPDATE mtss_exclusion SET hundredths = 50", ["facts.exclusions"]),
        ("UPDATE mtss_mark SET failing = NOT failing", ["facts.marks"]),
        ("UPDATE mtss_score SET scores = jsonb_set(scores, '{1,mean}', '3.25')", ["facts.scores"]),
        (
            "UPDATE mtss_attendance SET day = day + 1 WHERE hundredths_absent = 100 AND day = '2024-08-26'",
            ["facts.absences"],
        ),
    ],
)
async def test_one_touched_fact_is_found_and_named(decided: Running, statement: str, fields: Sequence[str]) -> None:
    await touch(decided, statement)
    found = await differing(decided)
    assert set(fields) <= set(found)
    assert not {each for each in found if each.startswith("facts.")} - set(fields)
    assert "digest" not in found


async def test_what_would_have_changed_a_decision_is_made_again_too(decided: Running) -> None:
    # One coming day less: nothing that happened is otherwise, but the days left of the school year are.
    await touch(decided, "UPDATE mtss_calendar SET days = trim_array(days, 1)")
    found = await differing(decided)
    assert {"facts.calendars", "clauses.attendance.change"} <= set(found)
    assert "clauses.attendance.evidence" not in found


_BITS = {
    "uuid": "gen_random_uuid()",
    "text": "coalesce({0}, '') || '.'",
    "varchar": "coalesce({0}, '') || '.'",
    "int4": "coalesce({0}, 0) + 1",
    "int8": "{0} # 1",
    "date": "coalesce({0}, DATE '2024-01-01') + 1",
    "timestamptz": "{0} + interval '1 microsecond'",
    "bool": "NOT {0}",
}
"""By the type of a column, what says a little else."""
_SAYS_ELSE = (
    ("clauses", "jsonb_set(clauses, '{0,evidence,days_absent}', '2.5')"),
    ("clauses", "jsonb_set(clauses, '{0,in_words}', '\"No days were missed.\"')"),
    ("facts", "jsonb_set(facts, '{absences,count}', '7')"),
    ("digest", "''"),
)


async def test_a_touched_bit_is_found_in_whatever_column_of_a_decision_it_is(decided: Running) -> None:
    types = (
        "SELECT column_name, udt_name FROM information_schema.columns WHERE table_name = 'mtss_decision' "
        "AND column_name <> 'digest' AND udt_name <> 'jsonb'"
    )
    async with decided.admin.connect() as connection:
        columns = (await connection.execute(sa.text(types))).all()
        touched = [*_SAYS_ELSE, *((name, _BITS[type_].format(name)) for name, type_ in columns)]
        assert {name for name, _ in touched} == {each.name for each in sa.inspect(Decision).columns}
        unseen = []
        for name, value in touched:
            await connection.rollback()
            await connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
            which = f"WHERE student_id = '{STUDENT}' AND number = 2 RETURNING id"
            changed = await connection.execute(sa.text(f"UPDATE mtss_decision SET {name} = {value} {which}"))
            session = AsyncSession(connection)
            decision = await session.get_one(Decision, changed.scalar_one())
            (found,) = await verify(session, [decision], changes=False)
            if "digest" not in {each.field for each in found}:
                unseen.append(name)
        await connection.rollback()
    assert unseen == []


async def test_a_decision_whose_facts_and_digest_were_both_emptied_is_found(decided: Running) -> None:
    await touch(decided, "UPDATE mtss_decision SET facts = '{}', digest = '' WHERE number = 2")
    assert await differing(decided) == ["digest"]


async def test_what_was_said_before_there_were_digests_has_one_since_the_upgrade(decided: Running) -> None:
    await decided.deliver(*[SCHOOL.absent(day) for day in range(22, 30)], SCHOOL.refers(28, 2))
    for table in ("mtss_decision", "mtss_proposal"):
        await touch(decided, f"UPDATE {table} SET facts = '{{}}', digest = ''")
    proofs = import_module("mtss.migrations.versions.0041_proofs_of_all")

    def upgrade(connection: sa.Connection) -> None:
        with Operations.context(MigrationContext.configure(connection)):
            proofs.give_digests()

    async with decided.admin.begin() as connection:
        await connection.run_sync(upgrade)
    assert await differing(decided) == []
    assert (await ask(decided, "POST", "/proposals/verify"))[1]["differing"] == []
    for table in ("mtss_decision", "mtss_proposal"):
        await touch(decided, f"UPDATE {table} SET school_id = 'other'")
    assert "digest" in await differing(decided)
    ((proposal,),) = (each["differences"] for each in (await ask(decided, "POST", "/proposals/verify"))[1]["differing"])
    assert proposal["field"] == "digest"


async def test_a_signal_that_means_something_else_than_it_did_is_found(
    decided: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"signals": {"attendance_share": 1, "survey_level": 1, "referrals": 1}}
    async with decided.session() as session:
        ledger = (await session.scalars(sa.select(Decision))).all()
    assert [each.facts["signals"] for each in ledger] == [known["signals"]] * len(ledger)
    monkeypatch.setitem(SIGNALS, "referrals", replace(SIGNALS["referrals"], revision=2))
    assert await differing(decided) == ["facts.signals"]
    # Decisions of before revisions were kept go on as they were.
    for each in ledger:
        del each.facts["signals"]
        said = {name: getattr(each, name) for name in Decision.model_fields if name != "digest"}
        statement = "UPDATE mtss_decision SET facts = facts - 'signals', digest = :digest WHERE id = :id"
        await touch(decided, statement, digest=digest_of_decision(said), id=each.id)
    assert await differing(decided) == []


async def test_a_decision_that_was_rewritten_with_its_digest_still_differs_from_its_facts(decided: Running) -> None:
    async with decided.admin.begin() as connection:
        row = (await connection.execute(sa.text("SELECT * FROM mtss_decision WHERE number = 2"))).mappings().one()
    said = {name: value for name, value in row.items() if name != "digest"} | {"tier": "universal"}
    statement = "UPDATE mtss_decision SET tier = 'universal', digest = :digest WHERE id = :id"
    await touch(decided, statement, digest=digest_of_decision(said), id=row["id"])
    assert await differing(decided) == ["tier"]


@pytest.mark.parametrize("statement", ["UPDATE mtss_decision SET tier = 'universal'", "DELETE FROM mtss_decision"])
async def test_the_database_refuses_to_alter_a_decision(decided: Running, statement: str) -> None:
    with pytest.raises(sa.exc.DBAPIError, match="never changes"):
        async with decided.session() as session:
            await session.execute(sa.text(statement))


async def test_a_decision_that_was_taken_out_is_missed(decided: Running) -> None:
    await touch(decided, f"DELETE FROM mtss_decision WHERE student_id = '{STUDENT}' AND number = 1")
    async with decided.session() as session:
        (left,) = (await session.scalars(sa.select(Decision).where(sa.text(f"student_id = '{STUDENT}'")))).all()
        ((missing, *_),) = await verify(session, [left], changes=False)
    assert missing.field == "number"


async def test_a_decision_of_a_policy_that_is_gone_says_so(decided: Running) -> None:
    await touch(decided, "UPDATE mtss_decision SET policy = 'another' WHERE number = 2")
    assert await differing(decided) == ["digest", "policy"]


async def test_a_policy_that_says_something_else_under_its_version_is_found(
    decided: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = since_ever(policy_of(changed("confirm_above/value", 30)))
    monkeypatch.setitem(policy._known, None, other)
    assert await differing(decided) == ["facts.policy"]


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        (
            "clauses = jsonb_set(clauses, '{0,evidence,days_absent}', '2.5')",
            {"digest", "clauses.attendance.evidence"},
        ),
        ("tier = 'targeted'", {"digest", "tier"}),
        ("since = since + 1", {"digest", "since"}),
        ("known_at = known_at + interval '1 microsecond'", {"digest"}),
        ("policy = 'another'", {"digest", "policy"}),
        ("facts = '{}'", {"digest"}),
        ("digest = ''", {"digest"}),
        ("digest = '', facts = '{}'", {"digest"}),
    ],
)
async def test_one_touched_word_of_a_proposal_is_found(decided: Running, change: str, fields: set[str]) -> None:
    await decided.deliver(*[SCHOOL.absent(day) for day in range(22, 30)], SCHOOL.refers(28, 2))
    as_it_was = {"verified": 1, "differing": [], "next": None}
    assert await ask(decided, "POST", "/proposals/verify?school=100&changes=true") == (200, as_it_was)
    await touch(decided, f"UPDATE mtss_proposal SET {change}")
    assert await differing_proposals(decided) == fields
    assert (await ask(decided, "POST", "/proposals/verify?school=nowhere"))[1]["verified"] == 0


async def differing_proposals(mtss: Running) -> set[str]:
    _, page = await ask(mtss, "POST", "/proposals/verify")
    return {difference["field"] for each in page["differing"] for difference in each["differences"]}


async def test_a_proposal_is_made_again_from_its_facts(decided: Running) -> None:
    await decided.deliver(*[SCHOOL.absent(day) for day in range(22, 30)], SCHOOL.refers(28, 2))
    await decided.deliver(SCHOOL.refers(29, 3), SCHOOL.scores(29, 4.5))
    assert await differing_proposals(decided) == set()  # what is heard later leaves it as it was
    async with decided.session() as session:
        proposal = (await session.scalars(sa.select(Proposal))).one()
    said = {name: getattr(proposal, name) for name in Proposal.model_fields if name not in ("digest", "closed_at")}
    digest = digest_of_proposal(said | {"since": SCHOOL.days[0]})
    await touch(
        decided, "UPDATE mtss_proposal SET since = :since, digest = :digest", since=SCHOOL.days[0], digest=digest
    )
    assert await differing_proposals(decided) == {"since"}
    await touch(decided, "UPDATE mtss_attendance SET hundredths_absent = 0 WHERE hundredths_absent = 100")
    assert await differing_proposals(decided) >= {"since", "tier", "facts.absences"}


# Over HTTP


async def ask(mtss: Running, method: str, path: str, role: str = "district", **more: Any) -> tuple[int, Any]:
    response = await mtss.http.request(method, f"/mtss/v1{path}", headers=mtss.headers(role, **more))
    return response.status_code, response.json()


async def test_a_reader_has_a_decision_verified(decided: Running) -> None:
    _, student = await ask(decided, "GET", f"/students/{STUDENT}")
    path = f"/decisions/{student['decision_id']}/verify"
    assert await ask(decided, "POST", path) == (
        200,
        {"decision_id": student["decision_id"], "same": True, "differences": []},
    )
    await touch(decided, "UPDATE mtss_attendance SET hundredths_absent = 50 WHERE hundredths_absent = 100")
    _, verdict = await ask(decided, "POST", path)
    evidence = next(each for each in verdict["differences"] if each["field"] == "clauses.attendance.evidence")
    assert (evidence["stored"]["days_absent"], evidence["recomputed"]["days_absent"]) == (2.0, 1.0)
    assert (await ask(decided, "POST", path, role="counselor", schools=("elsewhere",)))[0] == 404


async def test_a_school_s_decisions_are_verified_page_by_page(decided: Running) -> None:
    _, first = await ask(decided, "POST", "/decisions/verify?school=100&limit=2")
    assert (first["verified"], first["differing"]) == (2, [])
    _, rest = await ask(decided, "POST", f"/decisions/verify?school=100&cursor={first['next']}")
    assert (rest["verified"], rest["next"]) == (1, None)
    assert (await ask(decided, "POST", "/decisions/verify?school=100&changes=true"))[1]["differing"] == []
    assert (await ask(decided, "POST", "/decisions/verify?school=nowhere"))[1]["verified"] == 0
    assert (await ask(decided, "POST", "/decisions/verify", role="counselor", schools=("elsewhere",)))[1][
        "verified"
    ] == 0


async def test_what_we_knew_of_a_day_and_what_we_know_now_are_two_answers(decided: Running) -> None:
    # All of it was heard today, on a day long after: at the end of each school day nothing was known.
    on = SCHOOL.days[24]
    status, both = await ask(decided, "GET", f"/students/{STUDENT}/known?on={on}")
    assert status == 200
    assert both["as_known_then"]["tier"] is None
    assert (both["as_known_now"]["tier"], both["as_known_now"]["closed_through"], both["same"]) == (
        "targeted",
        str(on),
        False,
    )
    await known_since(decided, "2024-09-01")
    await decided.deliver(SCHOOL.absent(4, hundredths=0))
    _, both = await ask(decided, "GET", f"/students/{STUDENT}/known?on={on}")
    assert (both["as_known_then"]["tier"], both["as_known_now"]["tier"], both["same"]) == (
        "universal",
        "universal",
        True,
    )
    days_absent = [both[each]["clauses"][0]["evidence"]["days_absent"] for each in ("as_known_then", "as_known_now")]
    assert days_absent == [0.0, 1.0]


async def test_of_a_student_nobody_knows_nothing_is_said(decided: Running) -> None:
    assert (await ask(decided, "GET", f"/students/{named('nobody')}/known?on=2024-10-01"))[0] == 404
    assert (await ask(decided, "POST", f"/decisions/{named('none')}/verify"))[0] == 404


async def test_the_command_makes_what_would_have_changed_it_again_where_that_is_asked(
    decided: Running, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(decided.headers("district")["Authorization"].removeprefix("Bearer "))
    await touch(decided, "UPDATE mtss_calendar SET days = trim_array(days, 1)")
    async with over_http(decided.app) as url:
        asked = ["decisions", "--url", url, "--token-file", str(token)]
        usual = await asyncio.to_thread(CliRunner().invoke, app, asked)
        changes = await asyncio.to_thread(CliRunner().invoke, app, [*asked, "--changes"])
    assert (usual.exit_code, changes.exit_code) == (1, 1)
    assert "clauses.attendance.change" not in usual.output
    assert "clauses.attendance.change" in changes.output
