"""Fixtures on real parts that tests of every service share."""

from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import pytest

from common import embedded
from common.embedded import Cluster
from tests.harness import SERVICES


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A real PostgreSQL with a database and two roles for each service. It need not survive a power cut."""
    folder = Path(mkdtemp(prefix="trellis-"))
    folder.chmod(0o711)
    running = embedded.start(
        folder, (*SERVICES, "echo"), settings={"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    )
    yield running
    running.stop()
    rmtree(folder, ignore_errors=True)
