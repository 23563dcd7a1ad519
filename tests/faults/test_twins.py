"""Two services broken on purpose: a checker that does not catch them proves nothing."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from tests.faults.checker import settled, under_load, violations
from tests.faults.district import District, district
from tests.faults.patience import eventually
from tests.faults.push import school
from tests.faults.wire import everything_on, heard_to_the_end, put

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def doomed(shared: District, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[District]:
    """A district of its own: what these tests break stays broken."""
    async with district("sis", "mtss", "tally", logs=tmp_path_factory.mktemp("doomed")) as made:
        yield made


async def test_a_relay_that_reads_on_from_a_position_is_caught_losing_events(doomed: District) -> None:
    await run_as(doomed, "sis", "cursor-relay")
    schools = [school(doomed) for _ in range(3)]

    with pytest.raises(AssertionError, match="everything said is heard"):
        async with under_load(*schools, settle=10):
            await commit_late(doomed)

    found = await violations(doomed, schools)
    assert any(line.startswith("I1 mtss never heard") for line in found), found

    await run_as(doomed, "sis", "")  # the real one finds what the other left behind
    await settled(doomed)
    assert await violations(doomed, schools) == []


async def test_a_service_without_an_inbox_is_caught_acting_twice(doomed: District) -> None:
    await run_as(doomed, "tally", "no-inbox")
    schools = [school(doomed)]
    async with under_load(*schools):
        pass
    assert await violations(doomed, schools) == [], "it is right as long as nothing comes twice"

    await put(doomed, "sis", (await everything_on(doomed, "sis"))[-50:])
    await heard_to_the_end(doomed, "tally", "sis")

    found = await violations(doomed, schools)
    assert len(found) == 1
    assert found[0].startswith("I3 ")
    assert "did not act exactly once" in found[0]


async def run_as(doomed: District, service: str, twin: str) -> None:
    """Let this service go on as this twin of itself."""
    member = doomed.members[service]
    member.stop()
    member.twin = twin
    await member.started()


async def commit_late(doomed: District) -> None:
    """Say what is said already, in a transaction that commits after others that began later.

    Under load that happens by itself now and then; here it surely does.
    """
    engine = doomed.engine("sis")
    async with AsyncSession(engine) as session, session.begin():
        (last,) = (await session.execute(sa.text("SELECT max(position) FROM outbox"))).one()
        await session.execute(
            sa.text(
                "INSERT INTO outbox (id, type, subject, key, body) "
                "SELECT uuidv7(), type, subject, key, body FROM outbox WHERE position = :last"
            ),
            {"last": last},
        )

        async def overtaken() -> bool:
            found = await session.execute(
                sa.text("SELECT count(*) FROM outbox WHERE position > :last + 20"), {"last": last}
            )
            return bool(found.scalar_one())

        await eventually("later transactions have committed", overtaken)
