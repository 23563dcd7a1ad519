"""A server that ends by itself, as PostgreSQL does on a full disk, is started again as soon as it can be."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from common.embedded.server import Cluster
from common.system_user import EmbeddedError

LOOK_SECONDS = 2.0

log = structlog.get_logger(__name__)


@contextmanager
def kept(cluster: Cluster) -> Iterator[None]:
    """Meanwhile, start ``cluster`` again whenever it is gone. Nobody starts it again afterwards."""
    ended = threading.Event()
    keeper = threading.Thread(target=_keep, args=(cluster, ended), name="keeps PostgreSQL", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()


def _keep(cluster: Cluster, ended: threading.Event) -> None:
    while not ended.wait(LOOK_SECONDS):
        try:
            if cluster.revive():
                log.warning("PostgreSQL was gone and runs again")
        except (EmbeddedError, OSError) as error:
            log.error("PostgreSQL is gone", error=type(error).__name__, reason=str(error))  # noqa: TRY400 (the reason is a sentence; a traceback adds nothing)
