"""What supports and policies did as one file: of whole groups alone, whole, and to be made again."""

import asyncio
import json
from datetime import date
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import sqlalchemy as sa
from typer.testing import CliRunner

from mtss.commands.evaluation import app
from mtss.loops import rehearse_policies
from tests.harness import Running, over_http
from tests.mtss.made_up import School, named, school_days
from tests.mtss.test_rehearsals import mtss, sis

__all__ = ["mtss", "sis"]

SCHOOL = School(days=school_days(60, first=date(2025, 8, 18)))
STUDENTS = [named("student", n) for n in range(3)]


async def _typed(mtss: Running, folder: Path, *command: str) -> tuple[int, str]:
    """The exit code of a command and what it says, while the loop is at work."""
    token = folder / "token"
    token.write_text(mtss.headers("district")["Authorization"].removeprefix("Bearer "))
    async with over_http(mtss.app) as url:
        arguments = [*command, "--url", url, "--token-file", str(token)]
        typed: asyncio.Task[Any] = asyncio.create_task(asyncio.to_thread(CliRunner().invoke, app, arguments))
        while not typed.done():
            await rehearse_policies(mtss.runtime)
            await asyncio.wait({typed}, timeout=0.1)
    return typed.result().exit_code, " ".join(typed.result().output.split())


async def test_a_pack_holds_no_student_and_its_rehearsal_comes_to_the_same_until_more_is_known(
    mtss: Running, tmp_path: Path
) -> None:
    await mtss.deliver(SCHOOL.calendar(), *map(SCHOOL.enrols, STUDENTS), *SCHOOL.closes_through(40))
    pack, other, none = (tmp_path / name for name in ("pack.zip", "other.zip", "none.zip"))

    assert (await _typed(mtss, tmp_path, "pack", str(pack)))[0] == 0

    with ZipFile(pack) as zipped:
        texts = {name: zipped.read(name).decode() for name in zipped.namelist()}
    tables = [f"{name}.{kind}" for name in ("outcomes", "equity") for kind in ("csv", "json")]
    others = ["README.txt", "manifest.json", "policies.csv", "policies/1.json", "rehearsal.html"]
    assert sorted(texts) == sorted(tables + others)
    assert not [each for each in STUDENTS if any(str(each) in text for text in texts.values())]
    # a digest of small numbers would tell them to whoever tries a few
    assert set(json.loads(texts["manifest.json"])["files"]) == set(texts) - {"manifest.json"}
    assert set(json.loads(texts["manifest.json"])["rehearsal"]) == {"id", "policy"}
    assert texts["policies.csv"].splitlines()[1].startswith("policies/1.json,default-")
    code, said = await _typed(mtss, tmp_path, "again", str(pack))
    assert (code, "Same: " in said) == (0, True)

    await mtss.deliver(*(SCHOOL.absent(day, STUDENTS[0]) for day in range(10)))
    code, said = await _typed(mtss, tmp_path, "again", str(pack))
    assert (code, "Differs, by what is recorded now: " in said, "caseload" in said) == (1, True, True)

    # What a figure means may change with a release: then nothing that is recorded differs.
    async with mtss.admin.begin() as connection:
        await connection.execute(sa.text("UPDATE mtss_rehearsal SET result = result || '{\"edition\": 1}'"))
    code, said = await _typed(mtss, tmp_path, "again", str(pack))
    assert (code, "Every file is whole." in said, "Differs" in said) == (1, True, False)

    with ZipFile(other, "w") as zipped:
        for name, text in (texts | {"equity.csv": "month"}).items():
            zipped.writestr(name, text)
    none.write_text("month")
    for command, file, refused in (
        ("again", other, "not as it was written"),
        ("again", none, "is no pack"),
        ("pack", pack, "is there already"),
    ):
        code, said = await _typed(mtss, tmp_path, command, str(file))
        assert (code, refused in said) == (1, True)
