"""A district's year as rows in the database of ``mtss``: what many thousand events would have come to, in seconds."""

from datetime import date
from typing import Any

SCHOOL_DAYS = 180
FIRST_ON, SCHOOL_YEAR = date(2025, 8, 18), 2026

# One in ten misses much: such a student crosses 10 percent, and the others mostly do not. A condition that names the day is drawn
# for each day; without it the planner draws once a student.
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
        SELECT school, day, 1, false, false, now() FROM (SELECT DISTINCT school FROM pupil) AS each, school_day
        WHERE school <> '{behind}' OR number < {closes};
    INSERT INTO mtss_student (student_id, school_id, entry_on, enrolled) SELECT id, school, DATE '2025-08-18', true FROM pupil;
    INSERT INTO mtss_enrolment (student_id, school_id, entry_on, revision, is_primary, grade, deleted, known_at)
        SELECT id, school, DATE '2025-08-18', 1, true, 'Fifth grade', false, now() FROM pupil;
    INSERT INTO mtss_attendance (student_id, school_id, day, hundredths_absent, kind, revision)
        SELECT id, school, day, 100, 'unexcused', 1 FROM pupil, school_day WHERE random() + 0 * number < misses;
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


async def fill(server: Any, students: int, students_of_each: int, *, behind: str = "", closes: int = 0) -> None:
    """Fill in so many students and a whole year, of which nothing is decided yet.

    The school ``behind`` closes its day number ``closes`` next.
    """
    schools = max(students // students_of_each, 1)
    await server.execute(
        _FILL.format(students=students, schools=schools, days=SCHOOL_DAYS, behind=behind, closes=closes)
    )
