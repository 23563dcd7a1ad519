"""Each ground shows its student in every table of every service, on its days and on no other, by either net alone."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
import sqlalchemy as sa

from common.embedded import Cluster
from common.scope import EVERYTHING, Sight, see_all, seen
from tests.harness import Running
from tests.matrix.district import tell
from tests.matrix.districts import at_work
from tests.matrix.people import NORTH
from tests.scoped import GROUNDS, Days, assigned, attends

Rows = dict[str, set[UUID]]
"""By table the students of whom a row is seen."""

# Who holds a conference is shown to who holds it: tests/restorative/test_scope.py.
_OF_STUDENTS = sa.text(
    """
    SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
    WHERE attname = 'student_id' AND relrowsecurity AND relname LIKE :service AND relname <> 'restorative_facilitator'
    ORDER BY relname
    """
)


@dataclass
class Filled:
    """A service in which every student has rows, Ana in the north and Ben in the south."""

    running: Running
    ana: UUID
    tables: list[str]

    async def rows(self, sight: Sight, *, filtered: bool = False) -> Rows:
        """Whose rows are seen; ``filtered``: by ``visible_to``, row security letting all through."""
        async with self.running.runtime.transaction(lambda: sight) as session:
            if filtered:
                await see_all(session)
            found: Rows = {}
            for table in self.tables:
                student = sa.table(table, sa.column("student_id", sa.Uuid)).c.student_id
                chosen = sa.select(student).where(student.is_not(None))
                chosen = chosen.where(seen(student)) if filtered else chosen
                if students := set((await session.execute(chosen)).scalars()):
                    found[table] = students
            return found


@pytest_asyncio.fixture(
    params=["surveys", "mtss", "restorative", "notifications"], scope="module", loop_scope="session"
)
async def filled(request: pytest.FixtureRequest, cluster: Cluster) -> AsyncIterator[Filled]:
    async with at_work(request.param, cluster) as (running, district):
        async with running.session() as session:
            tables = list((await session.execute(_OF_STUDENTS, {"service": f"{request.param}_%"})).scalars())
        ana = UUID(district.ana["student_id"])
        await tell(running, [attends(ana, school=NORTH, begin_on=running.runtime.today() - timedelta(days=60))])
        yield Filled(running, ana, tables)


@pytest.mark.parametrize("ground", GROUNDS)
async def test_a_ground_shows_its_student_on_its_days_by_either_net_alone(filled: Filled, ground: str) -> None:
    today, one = filled.running.runtime.today(), timedelta(days=1)
    now, over, to_come = Days(today - 60 * one), Days(today - 60 * one, today - one), Days(today + one)
    hers = {
        table: {filled.ana} for table, students in (await filled.rows(EVERYTHING)).items() if filled.ana in students
    }
    assert hers

    for days, expected in ((now, hers), (Days(today, today), hers), (over, {}), (to_come, {})):
        sight = Sight(frozenset({ground}), uuid4(), today=today)
        assert sight.staff_id
        works = [] if ground == "school" else [assigned(sight.staff_id, NORTH, now.first)]
        await tell(filled.running, [GROUNDS[ground](filled.ana, sight.staff_id, NORTH, days), *works])
        assert await filled.rows(sight) == expected
        assert await filled.rows(sight, filtered=True) == expected


@pytest.mark.parametrize("how", ["ended", "deleted"])
@pytest.mark.parametrize("ground", [each for each in GROUNDS if each != "school"])
async def test_a_ground_at_a_school_that_was_left_shows_nobody(filled: Filled, ground: str, how: str) -> None:
    today = filled.running.runtime.today()
    first, last = today - timedelta(days=60), today - timedelta(days=1)
    sight = Sight(frozenset(GROUNDS), uuid4(), today=today)
    assert sight.staff_id
    ways: dict[str, Any] = {"ended": {"end_on": last}, "deleted": {"deleted": True}}
    held = GROUNDS[ground](filled.ana, sight.staff_id, NORTH, Days(first))
    await tell(filled.running, [held, assigned(sight.staff_id, NORTH, first, **ways[how])])

    assert await filled.rows(sight) == await filled.rows(sight, filtered=True) == {}
