"""The rehearsal kernel: the default policy over a district's year, day by day, against copying the same bytes once.

``python bench/rehearsal.py STUDENTS`` for another size than the million that ``make bench`` takes.
"""

import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.parts.report import note, report
from mtss.rules import SIGNALS, Ints, read_policy
from mtss.rules.rehearsal.district import Bytes, District, Happened, Stays, heard_by
from mtss.rules.rehearsal.kernel import run
from mtss.rules.rehearsal.outcome import CANDIDATE, TARGETED

STUDENTS, DAYS, SCHOOL_SIZE, YEAR = 1_000_000, 180, 700, 2025
MOVED, REFERRED, REFERRALS = 0.05, 0.12, 0.2
SURVEYS_ON = (25, 145)
POLICY = read_policy(files("mtss").joinpath("policies", "default.json").read_text(encoding="utf-8"))
Found = TypeVar("Found")


def main(students: int) -> None:
    """Measure and print. Seconds of the processor stand beside those of the clock, which other work makes longer."""
    district = made_up(students)
    note(f"rehearsal: {students} students")
    recorded = district.missed["all"]
    again = np.zeros_like(recorded)
    copied = min(measured(partial(np.copyto, again, recorded))[1:] for _ in range(3))
    del again
    for threads in (1, 2):
        outcome, seconds, busy = measured(partial(run, district, POLICY, threads=threads))
        report(
            name=f"rehearsal-kernel-{threads}",
            seconds=seconds,
            ratio=seconds / copied[0],
            processor_seconds=busy,
            processor_ratio=busy / copied[1],
            copy_seconds=copied[0],
            students=students,
            days=DAYS,
            changes=len(outcome.changes.row),
            targeted=int(outcome.caseload(TARGETED)[-1].sum()),
            candidates=int(outcome.caseload(CANDIDATE)[-1].sum()),
            most_megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        )


def measured(what: Callable[[], Found]) -> tuple[Found, float, float]:
    """What came of it, the seconds that it took, and those of the processor."""
    clock, busy = time.perf_counter(), time.process_time()
    found = what()
    return found, time.perf_counter() - clock, time.process_time() - busy


def made_up(students: int) -> District:
    """A year in which some miss much and most little, some move, some are referred, and all answer twice."""
    draw, schools = np.random.default_rng(1), max(students // SCHOOL_SIZE, 1)
    year = np.full((DAYS, schools + 1), YEAR, np.int16)
    year[:, schools] = 0
    return District(
        days=np.arange(DAYS, dtype=np.int32),
        schools=tuple(map(str, range(schools))),
        grades=("Ninth grade",),
        missed={"all": _missed(draw, students)},
        year=year,
        begins={YEAR: np.zeros(students, np.int32)},
        stays=_stays(draw, students, schools),
        happened={
            heard_by(clause): _answers(draw, students) if "subscale" in clause.texts else _referrals(draw, students)
            for clause in POLICY.clauses.values()
            if SIGNALS[clause.signal].recorded
        },
    )


def _missed(draw: np.random.Generator, students: int) -> Bytes:
    share = (draw.beta(1.2, 16, students) * 256).astype(np.uint8)
    missed = np.zeros((DAYS, students), np.uint8)
    for day in missed:
        day[draw.integers(0, 256, students, dtype=np.uint8) < share] = 100
    return missed


def _stays(draw: np.random.Generator, students: int, schools: int) -> Stays:
    moved = draw.choice(students, int(students * MOVED), replace=False)
    student = np.concatenate((np.arange(students), moved)).astype(np.int32)
    row = np.concatenate((np.zeros(students), draw.integers(1, DAYS, len(moved)))).astype(np.int32)
    school = np.concatenate((np.arange(students) % schools, draw.integers(0, schools, len(moved)))).astype(np.int32)
    order = np.lexsort((row, student))
    return Stays(student[order], row[order], school[order], np.zeros(len(order), np.int32))


def _referrals(draw: np.random.Generator, students: int) -> Happened:
    some, number = draw.choice(students, int(students * REFERRED), replace=False), int(students * REFERRALS)
    return _happened(draw.choice(some, number), draw.integers(0, DAYS, number), np.ones(number))


def _answers(draw: np.random.Generator, students: int) -> Happened:
    everyone = np.tile(np.arange(students), len(SURVEYS_ON))
    row = np.repeat(SURVEYS_ON, students) + draw.integers(0, 10, len(everyone))
    return _happened(everyone, row, draw.integers(5, 11, len(everyone)) / 2)


def _happened(student: NDArray[np.int64], row: NDArray[np.int64], value: NDArray[np.float64]) -> Happened:
    order = np.lexsort((row, student))
    columns: tuple[Ints, Ints] = student[order].astype(np.int32), row[order].astype(np.int32)
    return Happened(*columns, value[order])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else STUDENTS)
