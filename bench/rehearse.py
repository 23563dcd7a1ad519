"""``trellis rehearse`` over a district in PostgreSQL, from the command to the page; how long the same facts take to be copied out.

``python bench/rehearse.py STUDENTS`` for another size than 50,000.
"""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.parts.machine import Machine, Program, machine
from bench.parts.recorded import fill
from bench.parts.report import note, report
from common.auth import staff_token
from common.keys import read_signing_key
from common.migrations import migrate_within
from tests.kafka.broker import fresh_topics

STUDENTS, STUDENTS_OF_EACH = 50_000, 1_000

_COPIED = "SELECT student_id, school_id, day, hundredths_absent, kind FROM mtss_attendance"


async def main(students: int) -> None:
    """Measure and print."""
    with machine("mtss") as here:
        await migrate_within("mtss", here.cluster.owner_url("mtss"), "mtss_app")
        await fresh_topics(here.kafka.bootstrap, ["mtss", "sis", "surveys"], partitions=1)
        server = await here.connect("mtss")
        note(f"rehearse: filling in {students} students")
        await fill(server, students, STUDENTS_OF_EACH)
        absences = await server.fetchval("SELECT count(*) FROM mtss_attendance")
        with here.serve("mtss") as mtss:
            before = here.cpu_seconds(mtss=mtss)
            seconds, whole = rehearse(here, mtss)
            used = {name: at - before[name] for name, at in here.cpu_seconds(mtss=mtss).items()}
        report(
            name="rehearse",
            seconds=seconds,
            ratio=seconds / await copied(server),
            students=students,
            absences=absences,
            policies_run=len(whole["policies"]) + len(whole["alone"]) + len(whole["sensitivity"]),
            cpu_seconds={name: used[name] for name in ("mtss", "postgresql")},
        )
        await server.close()


def rehearse(here: Machine, mtss: Program) -> tuple[float, dict[str, Any]]:
    """Seconds from the command to the page on the disk, and the report."""
    policy, token, page = (here.folder / name for name in ("policy.json", "token", "page.html"))
    policy.write_text(Path("services/mtss/mtss/policies/default.json").read_text())
    token.write_text(staff_token(read_signing_key(here.folder / "keys" / "staff"), role="district"))
    trellis = str(Path(sys.executable).with_name("trellis"))
    command = [trellis, "rehearse", str(policy), "--page", str(page), "--json", "--token-file", str(token)]
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
