"""``trellis clients``: the OAuth clients with which student information systems push."""

import asyncio
import json
import os
import pwd
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from common import embedded
from common.auth import DOOR_ROLE
from common.commands import ADDRESS, HERE, Stop, one_sentence
from common.db import create_engine
from common.embedded import EmbeddedError
from common.embedded.server import running
from common.migrations import migrate
from common.settings import NotConfigured, Settings
from sis.credentials import add_client, new_secret

LONGEST_NAME = 100
_SERVICE = "sis"

app = typer.Typer(
    name="clients",
    no_args_is_help=True,
    add_completion=False,
    help="The clients with which student information systems push.",
)


@app.callback()
def clients() -> None:
    """The clients with which student information systems push."""


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What people call it, such as the vendor's product.")],
    role: Annotated[str, typer.Option(help="What it may do; there is one role so far: sis.")] = DOOR_ROLE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="The folder of an embedded database; else TRELLIS_DATABASE_URL, else ./var.", readable=False),
    ] = None,
    url: Annotated[
        str, typer.Option(help="Where the SIS reaches Trellis; else TRELLIS_PUBLIC_URL, else as `trellis up` ran last.")
    ] = "",
) -> None:
    """Make a client, and print its key and its secret. The secret is shown this once.

    Two examples:

        trellis clients create "Infinite Campus" --role sis

        TRELLIS_DATABASE_URL=postgresql://sis_app:…@db/sis trellis clients create PowerSchool --role sis --json
    """
    with one_sentence():
        if role != DOOR_ROLE:
            raise Stop(f"A client cannot have that role: --role takes {DOOR_ROLE}.")
        if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
            raise Stop(f"A client's name has 1 to {LONGEST_NAME} letters that can be printed.")
        base = f"{(url or _address(data)).rstrip('/')}/{_SERVICE}"
        secret = new_secret()
        with _database(data) as address:
            client = asyncio.run(_added(address, name.strip(), role, secret))
        if client is None:
            raise Stop("There is a client of that name already: choose another name.")
    made = {"name": name.strip(), "role": role, "id": client, "secret": secret, "base_address": base}
    sys.stdout.write(json.dumps(made) + "\n" if as_json else _told(made))


def _address(data: Path | None) -> str:
    """Where Trellis answers: as the settings say, else as the data folder says that is used."""
    settings = Settings()
    folder = HERE if data is None and not settings.filled(_SERVICE).database_url else data
    return settings.public_url or (embedded.told_address(folder) if folder else "") or ADDRESS


def _told(made: dict[str, str]) -> str:
    return (
        f"{made['name']} may push into Trellis. Enter into the SIS:\n\n"
        f"  base address  {made['base_address']}\n"
        f"  key           {made['id']}\n"
        f"  secret        {made['secret']}\n\n"
        "The secret is shown this once: Trellis keeps only what is needed to check it.\n"
        f"Where the SIS asks for each address: tokens at {made['base_address']}/oauth/token, "
        f"data at {made['base_address']}/data/v3.\n"
    )


async def _added(address: str, name: str, role: str, secret: str) -> str | None:
    engine = create_engine(address, pool_size=1)
    try:
        async with AsyncSession(engine) as session, session.begin():
            client = await add_client(session, name, secret, role=role, by=_whoever())
    finally:
        await engine.dispose()
    return str(client) if client else None


def _whoever() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container
        return f"user {os.getuid()}"


@contextmanager
def _database(data: Path | None) -> Iterator[str]:
    """The address of the database of sis, as its application role."""
    given = "" if data else Settings().filled(_SERVICE).database_url
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
    if getattr(getattr(error, "orig", None), "sqlstate", "") == "42P01":
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
        cluster = embedded.start(data, [_SERVICE])
        try:
            if alone:  # else `trellis up` has migrated, or is about to
                migrate(_SERVICE, cluster.owner_url(_SERVICE), f"{_SERVICE}_app")
            yield cluster.application_url(_SERVICE)
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
