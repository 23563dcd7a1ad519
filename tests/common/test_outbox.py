"""What a service says: in the same transaction as its change, one relay at a time, and never lost."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from common.errors import TooLarge
from common.events import SurveyScored
from common.outbox import LARGEST_EVENT_BYTES, Record, Send, drain, publish, publish_standing, publish_stored, relay
from tests.common.echo.app import scored
from tests.faults.patience import eventually, soon
from tests.harness import Running


@dataclass
class Wire:
    """What a relay sends to, instead of a broker; the first ``failures`` sendings fail."""

    failures: int = 0
    sent: list[Record] = field(default_factory=list)
    opened: int = 0

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[Send]:
        self.opened += 1
        yield self._send

    async def _send(self, records: Sequence[Record]) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError
        self.sent += records

    @property
    def subjects(self) -> list[str]:
        return [each.subject for each in self.sent]


@asynccontextmanager
async def relaying(echo: Running, wire: Wire) -> AsyncIterator[None]:
    task = asyncio.create_task(relay(echo.runtime, wire.sending))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def say(echo: Running, *students: UUID) -> None:
    async with echo.session() as session:
        await publish(session, *(scored(student, 1) for student in students))


async def unpublished(echo: Running) -> int:
    async with echo.session() as session:
        found = await session.execute(sa.text("SELECT count(*) FROM outbox WHERE published_at IS NULL"))
        count: int = found.scalar_one()
        return count


async def everything_marked(echo: Running) -> None:
    """Return once the outbox holds nothing to send: a relay marks a moment after it has sent."""

    async def nothing_waits() -> bool:
        return await unpublished(echo) == 0

    await eventually("everything sent is marked", nothing_waits)


async def lock_holders(echo: Running) -> list[int]:
    async with echo.admin.connect() as connection:
        rows = await connection.execute(
            sa.text(
                "SELECT l.pid FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database "
                "WHERE l.locktype = 'advisory' AND d.datname = 'echo' AND l.granted"
            )
        )
        return list(rows.scalars())


async def test_what_is_said_goes_with_its_transaction(echo: Running) -> None:
    async def fail_after_saying() -> None:
        async with echo.session() as session:
            await publish(session, scored(uuid4(), 1))
            raise LookupError

    with pytest.raises(LookupError):
        await fail_after_saying()

    assert await echo.said() == []


async def test_only_what_was_stored_is_said_and_in_the_order_it_was_given(echo: Running) -> None:
    store = sa.text("SELECT id FROM unnest(CAST(:stored AS uuid[])) AS stored(id)")
    ids = [uuid4() for _ in range(20)]
    events = {each: scored(uuid4(), revision) for revision, each in enumerate(ids)}

    async with echo.session() as session:
        stored = await publish_stored(session, store, {"stored": sorted(ids[::2])}, events)
        assert await publish_stored(session, store, {"stored": ids}, {}) == set(ids)

    assert stored == set(ids[::2])
    assert [event.revision for event in await echo.said(SurveyScored)] == list(range(1, 21, 2))


async def test_an_event_over_one_mebibyte_is_refused_when_it_is_written(echo: Running) -> None:
    big = scored(uuid4(), 1).model_copy(update={"instrument": "x" * LARGEST_EVENT_BYTES})

    with pytest.raises(TooLarge) as refused:
        async with echo.session() as session:
            await publish(session, big)

    assert refused.value.status == 413


async def test_a_relay_sends_in_order_and_marks(echo: Running) -> None:
    students, wire = [uuid4() for _ in range(1200)], Wire()
    await say(echo, *students)

    async with relaying(echo, wire):
        await soon("all are sent", lambda: len(wire.sent) >= 1200)
        await everything_marked(echo)

        assert wire.subjects == [str(student) for student in students]


async def test_what_is_said_while_the_relay_rests_leaves_at_once(echo: Running) -> None:
    wire = Wire()
    async with relaying(echo, wire):
        await soon("the relay is at work", lambda: wire.opened == 1)
        await say(echo, uuid4())
        await soon("the first is sent", lambda: len(wire.sent) == 1)
        await asyncio.sleep(0.2)  # it rests again

        await say(echo, uuid4())
        await soon("the second is sent", lambda: len(wire.sent) == 2, within=0.8, every=0.01)


async def test_commits_that_come_out_of_order_are_all_sent(echo: Running) -> None:
    early, late, wire = uuid4(), uuid4(), Wire()
    async with relaying(echo, wire):
        async with echo.session() as slow:
            await publish(slow, scored(early, 1))
            await say(echo, late)
            await soon("the one that committed first is sent", lambda: wire.subjects == [str(late)])

        await soon("the one with the smaller position is sent too", lambda: wire.subjects == [str(late), str(early)])


async def test_after_a_failed_sending_everything_begins_again_at_the_oldest(echo: Running) -> None:
    students, wire = [uuid4() for _ in range(3)], Wire(failures=2)
    await say(echo, *students)

    async with relaying(echo, wire):
        await soon("all are sent", lambda: len(wire.sent) >= 3)
        await everything_marked(echo)

    assert wire.subjects == [str(student) for student in students]
    assert wire.opened == 3


async def test_of_two_relays_one_waits_until_the_other_is_gone(echo: Running) -> None:
    first, second = Wire(), Wire()
    async with relaying(echo, second):
        await soon("the second is at work", lambda: second.opened == 1)
        async with relaying(echo, first):
            await say(echo, *(uuid4() for _ in range(10)))
            await soon("all are sent", lambda: len(second.sent) == 10)
            await everything_marked(echo)
            assert len(await lock_holders(echo)) == 1
            assert first.opened == 0

    async with relaying(echo, first):
        await say(echo, uuid4())
        await soon("the first takes over", lambda: len(first.sent) == 1)

    assert await lock_holders(echo) == []


async def test_a_relay_whose_connection_is_cut_takes_a_new_one(echo: Running) -> None:
    wire = Wire()
    async with relaying(echo, wire):
        await soon("the relay is at work", lambda: wire.opened == 1)
        (holder,) = await lock_holders(echo)
        async with echo.admin.begin() as connection:
            await connection.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": holder})

        await say(echo, student := uuid4())
        await soon("the event is sent", lambda: wire.subjects == [str(student)])

        assert await lock_holders(echo) != [holder]


async def test_a_relay_that_ends_leaves_no_lock_in_the_pool(echo: Running) -> None:
    wire = Wire()
    for _ in range(3):
        async with relaying(echo, wire):
            await soon("the relay is at work", lambda: wire.opened > 0)

        assert await lock_holders(echo) == []


async def test_draining_sends_what_waits_and_says_how_many(echo: Running) -> None:
    wire = Wire()
    await say(echo, *(uuid4() for _ in range(700)))

    assert await drain(echo.runtime, wire._send) == 700
    assert await drain(echo.runtime, wire._send) == 0
    assert len(wire.sent) == 700


async def test_the_same_state_said_again_has_the_same_id(echo: Running) -> None:
    event, wire = scored(uuid4(), 1), Wire()
    for _ in range(2):
        async with echo.session() as session:
            await session.execute(sa.text("DELETE FROM outbox"))
            await publish_standing(session, [event])
        await drain(echo.runtime, wire._send)

    first, second = wire.sent
    assert first.id == second.id == event.standing_id()


async def test_saying_everything_again_twice_works(echo: Running) -> None:
    async def resend(**options: Any) -> Any:
        return await echo.http.post("/echo/v1/events/resend", params=options, headers=echo.headers("district"))

    assert (await resend(dry_run=True)).json() == {"events": 3}
    assert await unpublished(echo) == 0
    first, again = await resend(), await resend()

    assert (first.json(), again.json()) == ({"events": 3}, {"events": 3})
    wire = Wire()
    assert await drain(echo.runtime, wire._send) >= 3
    assert len({each.id for each in wire.sent}) == 3


async def test_after_everything_was_published_it_can_be_said_again(echo: Running) -> None:
    wire = Wire()
    for _ in range(2):
        response = await echo.http.post("/echo/v1/events/resend", headers=echo.headers("district"))
        assert response.json() == {"events": 3}
        await drain(echo.runtime, wire._send)

    assert len(wire.sent) == 6
