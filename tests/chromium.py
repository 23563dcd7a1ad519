"""A real browser for tests of pages."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

CHROMIUM = Path(os.environ.get("TRELLIS_CHROMIUM", "/usr/bin/chromium"))
QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
)


def _expect_chromium() -> None:
    if CHROMIUM.exists():
        return
    missing = f"no chromium at {CHROMIUM}: nobody has tried this page in a browser (apt-get install chromium)"
    if os.environ.get("TRELLIS_REQUIRE_ALL") == "1":
        pytest.fail(missing)
    pytest.skip(missing)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium, without a window. Without it the test is skipped, or fails where nothing may be missing."""
    _expect_chromium()
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *QUIET])
        yield chromium
        await chromium.close()
