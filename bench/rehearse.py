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
from bench.parts.report import note, report
from common.auth import staff_token
from common.keys import read_signing_key
from common.migrations import migrate_within
from tests.kafka.broker import fresh_topics

STUDENTS, STUDENTS_OF_EACH = 50_000, 1_000
SCHOOL_DAYS = 180

# One in ten misses much: such a student crosses 10 percent, and the others mostly do not.
_FILL = """
    SELECT setseed(0.5);
    CREATE TEMPORARY TABLE pupil AS
        SELECT gen_random_uuid() AS id, (n % {schools} + 100)::text AS school,
               CASE WHEN random() < 0.1 THEN 0.08 + random() * 0.2 ELSE random() * 0.09 END AS misses
        FROM generate_series(0, {students} - 1) AS n;
    CREATE TEMPORARY TABLE school_day AS
        SELECT day::date, row_number() OVER (ORDER BY day) AS number
        FROM generate_series(DATE '2025-08-18', DATE '2026-08-01', '1 day') AS day
        WHERE extract(isodow FROM day) < 6 ORDER BY day LIMIT {days};
    INSERT INTO mtss_calendar (school_id, school_year, revision, days, deleted, known_at)
        SELECT school, 2026, 1, (SELECT array_agg(day ORDER BY day) FROM school_day), false, now()
        FROM (SELECT DISTINCT school FROM pupil) AS each;
    INSERT INTO mtss_closed_day (school_id, day, revision, implied, deleted, known_at)
        SELECT school, day, 1, false, false, now() FROM (SELECT DISTINCT school FROM pupil) AS each, school_day;
    INSERT INTO mtss_student (student_id, school_id, entry_on, enrolled) SELECT id, school, DATE '2025-08-18', true FROM pupil;
    INSERT INTO mtss_enrolment (student_id, school_id, entry_on, revision, is_primary, grade, deleted, known_at)
        SELECT id, school, DATE '2025-08-18', 1, true, 'Fifth grade', false, now() FROM pupil;
    INSERT INTO mtss_attendance (student_id, school_id, day, hundredths_absent, kind, revision)
        SELECT id, school, day, 100, 'unexcused', 1 FROM pupil, school_day WHERE random() < misses;
    INSERT INTO mtss_incident (association_id, revision, incident_id, student_id, school_id, day, deleted, known_at)
        SELECT gen_random_uuid(), 1, gen_random_uuid(), id, school, DATE '2025-09-01' + (random() * 250)::int, false, now()
        FROM pupil, generate_series(1, 3) WHERE random() < 0.1;
    INSERT INTO mtss_score (student_id, window_id, revision, school_id, instrument, answered_on, scores, deleted, known_at)
        SELECT id, gen_random_uuid(), 1, school, 'belonging-8', DATE '2025-10-01' + (random() * 10)::int,
               jsonb_build_array(jsonb_build_object('subscale', 'adult_support', 'mean', 1 + (random() * 8)::int / 2.0,
                                                    'answered', 2, 'items', 2, 'prorated', false)), false, now()
        FROM pupil WHERE random() < 0.6;
    ANALYZE;
"""
_COPIED = "SELECT student_id, school_id, day, hundredths_absent, kind FROM mtss_attendance"


async def main(students: int) -> None:
    """Measure and print."""
    with machine("mtss") as here:
        await migrate_within("mtss", here.cluster.owner_url("mtss"), "mtss_app")
        await fresh_topics(here.kafka.bootstrap, ["mtss", "sis", "surveys"], partitions=1)
        server = await here.connect("mtss")
        note(f"rehearse: filling in {students} students")
        schools = max(students // STUDENTS_OF_EACH, 1)
        await server.execute(_FILL.format(students=students, schools=schools, days=SCHOOL_DAYS))
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
