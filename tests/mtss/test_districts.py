"""Whole districts through the real handler, every course compared day by day with the oracle."""

import os
import random
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import pytest

from common.events import Event
from tests.harness import Running
from tests.mtss.folder import events_of
from tests.mtss.ledger import check_ledger
from trial.sample.district import Sample

_PUBLIC = Path(os.environ.get("TRELLIS_PUBLIC_SAMPLE", "../shared/data/grand-bend"))
_STUDENTS = 227


@pytest.fixture(scope="module")
def public_sample() -> Path:
    """The folder of a public district that nobody here made."""
    if _PUBLIC.is_dir():
        return _PUBLIC
    if os.environ.get("TRELLIS_REQUIRE_ALL") == "1":
        pytest.fail(f"the public sample is not at {_PUBLIC}")
    pytest.skip(f"THE PUBLIC SAMPLE IS NOT AT {_PUBLIC}: set TRELLIS_PUBLIC_SAMPLE to its folder")


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_public_district_gets_the_courses_that_the_oracle_says(mtss: Running, public_sample: Path) -> None:
    events = events_of(public_sample)

    for some in _batches(events):
        await mtss.deliver(*some)

    assert await check_ledger(mtss, events) == _STUDENTS


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_made_up_district_gets_the_courses_that_the_oracle_says(mtss: Running, tmp_path: Path) -> None:
    Sample(150, 1, date(2025, 8, 18), date(2026, 2, 27)).write(tmp_path / "sample", lambda _: None)
    events = events_of(tmp_path / "sample")
    random.Random(1).shuffle(events)

    for some in _batches(events):
        await mtss.deliver(*some)

    assert await check_ledger(mtss, events) > 140


def _batches(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    return (events[first : first + 500] for first in range(0, len(events), 500))
