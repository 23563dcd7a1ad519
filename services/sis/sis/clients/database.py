"""The database of sis, for commands that an operator runs where sis runs."""

import os
import pwd
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from common import embedded
from common.commands import HERE
from common.embedded import EmbeddedError
from common.embedded.server import running
from common.migrations import migrate
from common.settings import NotConfigured, Settings

SERVICE = "sis"


def whoever() -> str:
    """Who runs this command, for the history."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container
        return f"user {os.getuid()}"


@contextmanager
def database(data: Path | None) -> Iterator[str]:
    """The address of the database of sis, as its application role."""
    given = "" if data else Settings().filled(SERVICE).database_url
    try:
        if given:
            yield given
            return
        with _embedded(data or HERE) as address:
            yield address
    except (SQLAlchemyError, OSError) as error:
        where = "TRELLIS_DATABASE_URL" if given else "--data"
        raise NotConfigured(_sentence(error, where)) from None


def _sentence(error: Exception, where: str) -> str:
    if getattr(getattr(error, "orig", None), "sqlstate", "") in ("42P01", "42703"):  # no such table or column
        return f"The database of sis lacks its newest migrations: run `trellis migrate sis`, or see whether {where} is right."
    return f"The database of sis does not answer ({type(error).__name__}): is it running, and is {where} right?"


@contextmanager
def _embedded(data: Path) -> Iterator[str]:
    """The same in a data folder, whether `trellis up` runs on it or not; what was started here ends with it."""
    if not (data / "postgres.json").exists():
        raise NotConfigured(
            f"{data} holds no database: run `trellis up` first, or set TRELLIS_DATABASE_URL to that of sis."
        )
    ran = running(data.absolute() / "postgres") is not None
    with _may_start(data) as alone:
        cluster = embedded.start(data, [SERVICE])
        try:
            if alone:  # else `trellis up` has migrated, or is about to
                migrate(SERVICE, cluster.owner_url(SERVICE), f"{SERVICE}_app")
            yield cluster.application_url(SERVICE)
        finally:
            if alone and not ran:
                cluster.stop()


@contextmanager
def _may_start(data: Path) -> Iterator[bool]:
    """Whether `trellis up` does not run on ``data``; then it does not start meanwhile either."""
    with ExitStack() as held:
        try:
            held.enter_context(embedded.alone(data))
        except EmbeddedError:
            alone = False
        else:
            alone = True
        yield alone
