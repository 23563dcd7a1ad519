"""``trellis policies`` at a server, as it is typed by two people."""

import asyncio
from datetime import UTC, datetime, time
from pathlib import Path
from uuid import UUID

from typer.testing import CliRunner

from mtss.commands.policies import app
from mtss.handlers.adoptions import work_off_adoptions
from mtss.written import as_yaml
from tests.harness import Running, over_http
from tests.mtss.made_up import named
from tests.mtss.test_policies import ANNA, BEN, SCHOOL, WHY, ask, policy, students
from tests.mtss.test_rules_policy import ATTENDANCE, changed, number

trellis = CliRunner()


async def counting(mtss: Running) -> None:
    """Work off the first adoption that is asked for."""
    async with asyncio.timeout(10):
        while not (await ask(mtss, "GET", "/adoptions"))[1]["items"]:  # noqa: ASYNC110 (asked over HTTP, as a client would)
            await asyncio.sleep(0.01)
    await work_off_adoptions(mtss.runtime)


async def test_a_policy_from_a_file_to_its_revert(mtss: Running, tmp_path: Path) -> None:
    await mtss.deliver(*students(4, 1))
    ours, day = tmp_path / "ours.yaml", SCHOOL.days[21].isoformat()
    ours.write_text(as_yaml(policy()))

    async with over_http(mtss.app) as url:

        async def typed(who: UUID, *arguments: str) -> tuple[int, str]:
            file = tmp_path / str(who)
            file.write_text(mtss.headers("district", staff=who)["Authorization"].removeprefix("Bearer "))
            options = ["--url", url, "--token-file", str(file)]
            done = await asyncio.to_thread(trellis.invoke, app, [*arguments, *options])
            lines = done.output.splitlines(keepends=True)  # the service, in this process, logs there whom it lets in
            return done.exit_code, "".join(line for line in lines if "a token was accepted" not in line)

        assert (await typed(ANNA, "draft", str(ours)))[1].startswith("ours-1 is kept and checked.")
        counted = typed(ANNA, "dry-run", "ours-1", "--from", day, "--changes")
        (code, said), _ = await asyncio.gather(counted, counting(mtss))
        assert (code, f"ours-1 from {day}, counted, 4 of 4 students, 1 changed" in said) == (0, True)
        assert f"100 {named('student', 0)}: universal to targeted, attendance stands" in said
        dry_run = said.partition(":")[0]
        assert "It is old" not in (await typed(ANNA, "adoption", dry_run))[1]
        approve = ("approve", "ours-1", "--from", day, "--without-rehearsal", WHY)
        code, said = await typed(ANNA, *approve)
        assert (code, "Somebody else" in said) == (1, True)
        code, said = await typed(BEN, *approve)
        assert (code, f"ours-1 from {day}, counting, 0 of 4 students" in said) == (0, True)
        await work_off_adoptions(mtss.runtime)

        identity = said.partition(":")[0]
        said = (await typed(ANNA, "adoption", identity))[1]
        assert "waiting, 4 of 4 students, 1 changed" in said
        assert "100: 1 universal to targeted" in said
        assert "counting" in (await typed(ANNA, "adoption", identity, "--confirm"))[1]
        await work_off_adoptions(mtss.runtime)
        listed = (await typed(ANNA, "list"))[1]
        assert ["replaced" in listed, "in_force" in listed, day in listed] == [True, True, True]
        code, said = await typed(ANNA, "revert", "ours-1")
        assert (code, said.split(":")[1].split(" from")[0]) == (0, " default-1")
        await work_off_adoptions(mtss.runtime)
        assert "It is old" in (await typed(ANNA, "adoption", dry_run))[1]

        mtss.clock.set(datetime.combine(SCHOOL.days[24], time(18), UTC))
        approve = ("approve", "ours-1", "--from", SCHOOL.days[25].isoformat(), "--without-rehearsal", WHY)
        code, said = await typed(BEN, *approve)
        assert code == 0
        await work_off_adoptions(mtss.runtime)
        await typed(ANNA, "adoption", said.partition(":")[0], "--confirm")
        await work_off_adoptions(mtss.runtime)
        mtss.clock.set(datetime.combine(SCHOOL.days[25], time(18), UTC))
        await work_off_adoptions(mtss.runtime)
        assert "Its first day is not closed yet at 100." in (await typed(ANNA, "adoption", said.partition(":")[0]))[1]

        ours.write_text(as_yaml(changed(f"{ATTENDANCE}/exit/below", number(12)) | {"version": "wrong"}))
        code, said = await typed(ANNA, "draft", str(ours))
        assert (code, said.startswith("clauses.attendance.exit.below: must be below")) == (1, True)
