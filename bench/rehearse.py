"""``trellis rehearse`` over a district in PostgreSQL, from the command to the page, and how long others wait meanwhile.

``python bench/rehearse.py STUDENTS`` for another size than 50,000.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import httpx
import numpy as np

from bench.parts.machine import Machine, Program, machine
from bench.parts.recorded import fill
from bench.parts.report import note, report
from common.auth import staff_token
from common.keys import read_keys, read_signing_key
from common.migrations import migrate_within
from common.sealed import Vault
from tests.kafka.broker import fresh_topics

STUDENTS, STUDENTS_OF_EACH = 50_000, 1_000

QUIET_SECONDS, READ_EVERY_SECONDS = 5, 0.05
_RACES = ("White", "Asian", "Black - African American")
_LANGUAGES = ("English", "Spanish")
_GROUPS = """
    INSERT INTO sis_document (id, resource, key, body, sealed, student_id, school_id, refs, revision, turn, known_at, deleted, change_version)
    VALUES ($1, 'studentEducationOrganizationAssociations', $2, '{}', $3, $1, '1', $4, 1, 1, $5, false, 1)
"""
_COPIED = "SELECT student_id, school_id, day, hundredths_absent, kind FROM mtss_attendance"


async def main(students: int) -> None:
    """Measure and print."""
    with machine("mtss", "sis") as here:
        for service in ("mtss", "sis"):
            await migrate_within(service, here.cluster.owner_url(service), f"{service}_app")
        await fresh_topics(here.kafka.bootstrap, ["mtss", "sis", "surveys"], partitions=1)
        server = await here.connect("mtss")
        note(f"rehearse: filling in {students} students")
        await fill(server, students, STUDENTS_OF_EACH)
        absences = await server.fetchval("SELECT count(*) FROM mtss_attendance")
        ids = [each["student_id"] for each in await server.fetch("SELECT student_id FROM mtss_student")]
        await fill_groups(here, ids)
        with here.serve("sis") as sis, here.serve("mtss", sis=sis) as mtss:
            for known in ("now", "then"):
                alone = await reading(here, mtss, ids, asyncio.create_task(asyncio.sleep(QUIET_SECONDS)))
                before = here.cpu_seconds(mtss=mtss, sis=sis)
                rehearsing = asyncio.create_task(asyncio.to_thread(rehearse, here, mtss, known))
                meanwhile = await reading(here, mtss, ids, rehearsing)
                seconds, whole = await rehearsing
                used = {name: at - before[name] for name, at in here.cpu_seconds(mtss=mtss, sis=sis).items()}
                report(
                    name=f"rehearse-known-{known}",
                    seconds=seconds,
                    ratio=seconds / await copied(server),
                    students=students,
                    absences=absences,
                    policies_run=len(whole["policies"])
                    + 2 * len({of["clause"] for of in whole["alone"]})
                    + len({(of["path"], of["value"]) for of in whole["sensitivity"]}),
                    cpu_seconds={name: used[name] for name in ("mtss", "sis", "postgresql")},
                    milliseconds_to_read_a_student={"alone": alone, "meanwhile": meanwhile},
                )
        await server.close()


async def fill_groups(here: Machine, students: Sequence[UUID]) -> None:
    """Let sis know the groups of each student, sealed as it seals them."""
    vault, draw, rows = Vault(read_keys(here.folder / "keys" / "sis").sealing), Random(1), []
    for number, student in enumerate(students):
        said = {
            "races": [{"raceDescriptor": f"uri://ed-fi.org/RaceDescriptor#{draw.choice(_RACES)}"}],
            "sexDescriptor": f"uri://ed-fi.org/SexDescriptor#{draw.choice(('Female', 'Male'))}",
            "languages": [{"languageDescriptor": f"uri://ed-fi.org/LanguageDescriptor#{draw.choice(_LANGUAGES)}"}],
        }
        sealed = vault.seal(json.dumps(said), table="sis_document", column="sealed", row=student)
        rows.append((student, f'["{number}","1"]', sealed, [student], datetime.now(UTC)))
    server = await here.connect("sis")
    await server.executemany(_GROUPS, rows)
    await server.close()


async def reading(
    here: Machine, mtss: Program, students: Sequence[UUID], until: "asyncio.Task[Any]"
) -> dict[str, float]:
    """How long one student after the other takes to be read ``until`` then: half of them at most, and of a hundred 95 and 99."""
    token, draw, took = staff_token(read_signing_key(here.folder / "keys" / "staff"), role="district"), Random(1), []
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{mtss.port}", headers=headers) as http:
        while not until.done():
            begun = time.perf_counter()
            (await http.get(f"/mtss/v1/students/{draw.choice(students)}")).raise_for_status()
            took.append(1000 * (time.perf_counter() - begun))
            await asyncio.sleep(READ_EVERY_SECONDS)
    return {name: float(np.percentile(took, at)) for name, at in (("p50", 50), ("p95", 95), ("p99", 99))}


def rehearse(here: Machine, mtss: Program, known: str) -> tuple[float, dict[str, Any]]:
    """Seconds from the command to the page on the disk, and the report."""
    policy, token, page = (here.folder / name for name in ("policy.json", "token", "page.html"))
    policy.write_text(Path("services/mtss/mtss/policies/default.json").read_text())
    token.write_text(staff_token(read_signing_key(here.folder / "keys" / "staff"), role="district"))
    trellis = str(Path(sys.executable).with_name("trellis"))
    command = [
        trellis,
        "rehearse",
        str(policy),
        "--known",
        known,
        "--page",
        str(page),
        "--json",
        "--token-file",
        str(token),
    ]
    begun = time.perf_counter()
    done = subprocess.run(
        [*command, "--url", f"http://127.0.0.1:{mtss.port}"], check=True, capture_output=True, text=True
    )
    seconds = time.perf_counter() - begun
    note(f"rehearse: a page of {page.stat().st_size // 1024} KB after {seconds:.1f} seconds")
    return seconds, json.loads(done.stdout)


async def copied(server: Any) -> float:
    """Seconds that PostgreSQL's own COPY takes for the absences."""
    begun = time.perf_counter()
    await server.copy_from_query(_COPIED, output="/dev/null", format="binary")
    return time.perf_counter() - begun


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else STUDENTS))
