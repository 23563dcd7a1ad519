"""What comes in: once, in order, and never lost."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from common.errors import NotFound
from common.events import Cause, Tier, TierDecided
from common.inbox import EverythingFails
from common.outbox import Record
from common.telemetry import metrics_page
from tests.harness import Running, record


def decided(student: UUID, revision: int = 1, **changes: Any) -> TierDecided:
    return TierDecided(
        **{
            "student_id": student,
            "school_id": "1",
            "decision_id": uuid4(),
            "number": revision,
            "tier": Tier.TARGETED,
            "tier_before": None,
            "cause": Cause.ENTERED,
            "policy": "1",
            "effective_on": date(2026, 9, 1),
            "known_at": datetime(2026, 9, 1, tzinfo=UTC),
            "revision": revision,
            **changes,
        }
    )


async def tiers(echo: Running) -> dict[UUID, tuple[str, int, int]]:
    async with echo.session() as session:
        rows = await session.execute(sa.text("SELECT student_id, tier, revision, times FROM echo_tier"))
        return {student: (tier, revision, times) for student, tier, revision, times in rows}


async def parked(echo: Running) -> list[Any]:
    response = await echo.http.get("/echo/v1/events/parked", headers=echo.headers("district"))
    items: list[Any] = response.json()["items"]
    return items


async def test_an_event_heard_twice_acts_once(echo: Running) -> None:
    event = record(decided(uuid4()))

    await echo.app.state.inbox.process([event, event])
    await echo.app.state.inbox.process([event])

    assert [times for _, _, times in (await tiers(echo)).values()] == [1]


async def test_an_older_revision_that_arrives_later_changes_nothing(echo: Running) -> None:
    student = uuid4()

    await echo.deliver(decided(student, 5, tier=Tier.UNIVERSAL))
    await echo.deliver(decided(student, 4))

    assert (await tiers(echo))[student] == ("universal", 5, 1)


async def test_a_poisoned_event_is_parked_and_nobody_else_waits(echo: Running) -> None:
    poisoned, well = uuid4(), uuid4()

    await echo.deliver(decided(poisoned, 1, policy="bug"), decided(well, 2), decided(poisoned, 3))

    assert set(await tiers(echo)) == {well}
    assert [item["error"].partition(":")[0] for item in await parked(echo)] == ["HandlerBug", "behind"]


async def test_what_was_parked_says_nothing_of_its_content(echo: Running) -> None:
    await echo.deliver(decided(uuid4(), policy="bug"))

    assert "canary" not in str(await parked(echo))


async def test_an_event_that_does_not_read_is_parked_with_field_and_rule(echo: Running) -> None:
    student = uuid4()
    event = record(decided(student))
    wrong = Record(event.id, event.type, event.subject, event.key, event.body.replace(b'"targeted"', b'"canary"'))

    await echo.app.state.inbox.process([wrong, record(decided(student, 2))])

    first, second = await parked(echo)
    assert first["error"].startswith("tier: ")
    assert "canary" not in first["error"]
    assert second["error"].startswith("behind")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b"[" * 10_000, b'"' + b"x" * (1024 * 1024 + 1) + b'"'],
    ids=["empty", "cut", "utf8", "deep", "big"],
)
async def test_poison_of_any_kind_is_parked(echo: Running, body: bytes) -> None:
    await echo.app.state.inbox.process([Record(uuid4(), TierDecided.type(), "s", "k", body)])

    assert len(await parked(echo)) == 1


async def test_a_record_without_headers_is_parked(echo: Running) -> None:
    await echo.app.state.inbox.process([Record(uuid4(), "", "", "", b"{}")])

    assert [item["error"] for item in await parked(echo)] == [
        "unreadable: The event is not one this service can read: its headers are missing."
    ]


async def test_somebody_elses_event_is_passed_over(echo: Running) -> None:
    await echo.app.state.inbox.process([Record(uuid4(), "sis.unheard-of.v9", "s", "k", b"{}")])

    assert await parked(echo) == []


async def test_a_replay_handles_the_event_and_those_behind_it_in_order(echo: Running) -> None:
    student = uuid4()
    await echo.deliver(decided(student, 1, policy="bug"), decided(student, 2))
    first, _ = await parked(echo)
    async with echo.session() as session:  # the bug is mended
        await session.execute(
            sa.text(
                "UPDATE inbox_parked SET body = convert_to(replace(convert_from(body, 'UTF8'), '\"bug\"', '\"1\"'), 'UTF8')"
            )
        )

    response = await echo.http.post(f"/echo/v1/events/parked/{first['id']}/replay", headers=echo.headers("district"))

    assert response.json() == {"events": 2}
    assert (await tiers(echo))[student] == ("targeted", 2, 2)
    assert await parked(echo) == []


async def test_a_replay_that_fails_again_leaves_all_parked(echo: Running) -> None:
    student = uuid4()
    await echo.deliver(decided(student, 1, policy="bug"), decided(student, 2))

    with pytest.raises(Exception, match="canary"):
        await echo.app.state.inbox.replay(UUID((await parked(echo))[0]["id"]))

    assert len(await parked(echo)) == 2


async def test_what_was_discarded_stays_on_record_and_blocks_nobody(echo: Running) -> None:
    student = uuid4()
    await echo.deliver(decided(student, 1, policy="bug"))
    identity = (await parked(echo))[0]["id"]

    await echo.http.post(f"/echo/v1/events/parked/{identity}/discard", headers=echo.headers("district"))
    await echo.deliver(decided(student, 2))

    assert student in await tiers(echo)
    async with echo.session() as session:
        assert (await session.execute(sa.text("SELECT count(*) FROM inbox_parked"))).scalar_one() == 1
    with pytest.raises(NotFound):
        await echo.app.state.inbox.replay(UUID(identity))


async def test_when_everything_fails_it_stops_instead_of_parking_it_all(echo: Running) -> None:
    with pytest.raises(EverythingFails):
        await echo.deliver(*(decided(uuid4(), policy="bug") for _ in range(60)))

    assert len(await parked(echo)) < 20
    await echo.deliver(decided(uuid4()))


async def test_the_time_from_acceptance_to_commit_is_measured_once_for_what_was_accepted_together(
    echo: Running,
) -> None:
    def counted() -> dict[str, float]:
        lines = [
            line for line in bytes(metrics_page().body).decode().splitlines() if "trellis_followed_seconds" in line
        ]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if "echo" in line)}

    pushed = [replace(record(decided(uuid4())), created_at=datetime.now(UTC) - timedelta(seconds=3)) for _ in range(2)]
    together = [replace(each, created_at=pushed[0].created_at) for each in pushed]
    before = counted()

    for _ in range(2):
        await echo.app.state.inbox.process([*together, record(decided(uuid4()))])

    grown = {name: value - before.get(name, 0) for name, value in counted().items()}
    assert grown['trellis_followed_seconds_bucket{le="2.5",service="echo"}'] == 0
    assert grown['trellis_followed_seconds_bucket{le="5.0",service="echo"}'] == 1
    assert grown['trellis_followed_seconds_count{service="echo"}'] == 1
