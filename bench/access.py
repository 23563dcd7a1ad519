"""What authorization costs a read: the same route with it and without, in turn, in one run.

Without it: no token is verified, no filter is in the queries and row-level security lets all through at once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from shutil import rmtree
from statistics import median, quantiles
from tempfile import mkdtemp
from typing import Any
from unittest.mock import patch

from bench.parts.report import note, report
from common import access, auth, db, embedded
from common.audit import writing
from common.auth import Principal
from common.embedded import Cluster
from common.events import Event, Relation
from common.scope import EVERYTHING
from tests.harness import Running, run_service
from tests.mtss.made_up import School, named, school_days
from tests.scoped import ALGEBRA, TEACHER, assigned, attends, governed, related, teaches

SCHOOLS, STUDENTS_OF_EACH, DAYS, CLOSED = 10, 600, 60, 50
SECTION, CASELOAD = 25, 200
ROUNDS, READS = 5, 20
COUNSELOR = named("counselor")

Read = Callable[[], Awaitable[None]]


async def main(cluster: Cluster) -> None:
    """Measure and print."""
    async with run_service("mtss", cluster) as mtss:
        mtss.clock.set(datetime(2024, 11, 1, 18, tzinfo=UTC))
        note("access: preparing")
        await _fill(mtss)
        with patch.object(
            type(mtss.app.state.limits), "take", lambda *_, **__: None
        ):  # nobody may ask as often as a benchmark
            await _measure(mtss)


async def _measure(mtss: Running) -> None:
    one, other = named("student", 0, 0), named("student", 0, STUDENTS_OF_EACH - 1)
    await _compare("student_read_by_teacher", mtss, f"/students/{one}", "teacher", staff=TEACHER)
    await _compare("student_read_by_principal", mtss, f"/students/{other}", "principal", schools=["0"])
    await _compare("list_read_by_principal", mtss, "/students?school=0&limit=100", "principal", schools=["0"])
    await _compare("school_summary", mtss, "/schools/0/summary", "principal", reads=5, schools=["0"])
    await _on_record(mtss, f"/students/{other}")
    await _remembered(mtss, f"/students/{one}")
    await _caseload(mtss)


@contextmanager
def _postgres() -> Iterator[Cluster]:
    folder = Path(mkdtemp(prefix="trellis-bench-"))
    folder.chmod(0o711)
    cluster = embedded.start(folder, ("mtss",))
    try:
        yield cluster
    finally:
        cluster.stop()
        rmtree(folder, ignore_errors=True)


async def _fill(mtss: Running) -> None:
    days = school_days(DAYS)
    events = _events([School(str(number), days=days) for number in range(SCHOOLS)], days[0])
    while some := list(islice(events, 500)):
        await mtss.deliver(*some)
    async with mtss.admin.connect() as connection:  # as autovacuum leaves the tables
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).exec_driver_sql("VACUUM ANALYZE")


def _events(schools: list[School], first: date) -> Iterator[Event]:
    """A teacher works at their school, a counselor for the district, as in one."""
    yield teaches(school="0", begin_on=first)
    yield assigned(TEACHER, "0", first)
    yield assigned(COUNSELOR, "district", first)
    for number, school in enumerate(schools):
        yield governed(str(number))
        yield school.calendar()
        for place in range(STUDENTS_OF_EACH):
            student = named("student", number, place)
            yield school.enrols(student)
            yield from (school.absent(day, student) for day in range(place % 9))
            if number == 0 and place < SECTION:
                yield attends(student, ALGEBRA, "0", first)
            if place < CASELOAD // SCHOOLS:
                yield related(Relation.CASELOAD, student, COUNSELOR, first)
        yield from school.closes_through(CLOSED)


async def _compare(name: str, mtss: Running, path: str, role: str, *, reads: int = READS, **token: Any) -> None:
    read = _reading(mtss, path, role, **token)
    who = Principal(role, role, schools=frozenset(token.get("schools", ())), reads=frozenset(_CLASSES))

    async def freely() -> None:
        with _without_authorization(who):
            await read()

    await _report(name, freely, read, reads)


async def _report(name: str, plain: Read, dearer: Read, reads: int = READS) -> None:
    """``seconds`` of the dearer one; ``ratio``: how much dearer, read by read in turn, so that what else runs slows both."""
    ratios, seconds = [], []
    for _ in range(ROUNDS):
        pairs = [(await _timed(plain), await _timed(dearer)) for _ in range(reads)]
        cheap, dear = (median(each) for each in zip(*pairs, strict=True))
        ratios.append(dear / cheap)
        seconds.append(dear)
    report(name=name, seconds=median(seconds), ratio=median(ratios))


async def _on_record(mtss: Running, path: str) -> None:
    """``ratio``: a reading that leaves a row in the audit log beside the same one that leaves none."""
    read = _reading(mtss, path, "principal", schools=["0"])

    async def nothing(*_: object) -> None: ...

    async def unnoticed() -> None:
        with patch.object(writing, "fetch", nothing):
            await read()

    await _report("student_read_on_record", unnoticed, read)


async def _remembered(mtss: Running, path: str) -> None:
    """Verified tokens are remembered for a minute; ``ratio``: what a read would cost if each were verified anew."""
    read = _reading(mtss, path, "teacher", staff=TEACHER)

    async def forgetting() -> None:
        auth._known.cache_clear()  # noqa: SLF001 (nothing of ours forgets before its minute is over)
        await read()

    await _report("token_verified_anew", read, forgetting)


async def _caseload(mtss: Running) -> None:
    """``ratio``: the 95th percentile beside the 50 ms that are allowed."""
    read = _reading(mtss, f"/students?limit={CASELOAD}", "counselor", expected=CASELOAD, staff=COUNSELOR)
    p95 = quantiles([await _timed(read) for _ in range(100)], n=20)[-1]
    report(name="caseload_list_p95", seconds=p95, ratio=p95 / 0.05)


def _reading(mtss: Running, path: str, role: str, *, expected: int | None = None, **token: Any) -> Read:
    headers = mtss.headers(role, **token)

    async def read() -> None:
        answer = await mtss.http.get(f"/mtss/v1{path}", headers=headers)
        assert answer.status_code == 200, answer.text
        assert expected is None or len(answer.json()["items"]) == expected

    return read


_CLASSES = ("directory", "education_record", "discipline", "support_plan")


@contextmanager
def _without_authorization(who: Principal) -> Iterator[None]:
    async def anybody(*_: object) -> Principal:
        return who

    with (
        patch.object(access.Permission, "_asking", anybody),
        patch.object(access, "_sees_all", lambda _: True),
        patch.object(db, "sight_of", lambda *_: EVERYTHING),
    ):
        yield


async def _timed(read: Read) -> float:
    began = time.perf_counter()
    await read()
    return time.perf_counter() - began


if __name__ == "__main__":
    with _postgres() as postgres:
        asyncio.run(main(postgres))
