import json
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from common.embedded import Cluster
from sis.loading.report import Report
from tests.harness import Running, run_service


class Silent:
    """Progress that nobody watches."""

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}
        self.done: dict[str, int] = {}

    def begin(self, part: str, total: int) -> None:
        self.totals[part] = total

    def advance(self, part: str, rows: int) -> None:
        self.done[part] = self.done.get(part, 0) + rows


@pytest.fixture
def report() -> Report:
    return Report(Silent())


Fill = Callable[..., Path]


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    """Writes a folder: a row for each document, or the bytes of a line as they are."""

    def fill(calendar: str | None = None, **files: Iterable[Any]) -> Path:
        folder = tmp_path / "export"
        folder.mkdir(exist_ok=True)
        for name, rows in files.items():
            lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
            (folder / f"{name.replace('__', '.')}.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
        if calendar is not None:
            (folder / "calendar.csv").write_text(calendar)
        return folder

    return fill


# Not for the whole session: the tests of sis itself have it at work on keys of their own.
@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def service(cluster: Cluster) -> AsyncIterator[Running]:
    async with run_service("sis", cluster) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def sis(service: Running) -> Running:
    await service.empty()
    return service
