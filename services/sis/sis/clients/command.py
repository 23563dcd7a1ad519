"""``trellis clients``: the OAuth clients with which student information systems push."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic_core import to_jsonable_python
from sqlalchemy.ext.asyncio import AsyncSession

from common import embedded
from common.auth import DOOR_ROLE
from common.commands import ADDRESS, HERE, AsJson, Stop, one_sentence
from common.db import create_engine
from common.errors import DomainError
from common.settings import Settings
from sis.clients import report
from sis.clients.admission import TRUSTED_SECONDS
from sis.clients.bounds import EVERY_DESCRIPTOR
from sis.clients.credentials import add_client, new_secret, rotate
from sis.clients.database import SERVICE, database, whoever
from sis.clients.register import ClientKnown, clients_known
from sis.clients.register import revoke as end_client
from sis.policy import CLIENTS
from sis.resources import NAMED
from sis.rules.members import BrokenRule
from sis.rules.values import school_id

LONGEST_NAME = 100

T = TypeVar("T")
Data = Annotated[
    Path | None,
    typer.Option(
        "--data", help="The folder of an embedded database; else TRELLIS_DATABASE_URL, else ./var.", readable=False
    ),
]
Which = Annotated[str, typer.Argument(metavar="NAME|ID", help="The client, by its name or its key.")]

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
    resource: Annotated[
        list[str] | None,
        typer.Option(
            help="A resource that it may push and read; repeat for several, else all. "
            f"{EVERY_DESCRIPTOR} stands for every descriptor."
        ),
    ] = None,
    school: Annotated[
        list[str] | None, typer.Option(help="A schoolId whose rows it may push and see; repeat for several, else all.")
    ] = None,
    as_json: AsJson = False,
    data: Data = None,
    url: Annotated[
        str, typer.Option(help="Where the SIS reaches Trellis; else TRELLIS_PUBLIC_URL, else as `trellis up` ran last.")
    ] = "",
) -> None:
    """Make a client, and print its key and its secret. The secret is shown this once.

    Three examples:

        trellis clients create "Infinite Campus" --role sis

        trellis clients create "Charter office" --school 255901001 --resource students --resource studentSchoolAssociations

        TRELLIS_DATABASE_URL=postgresql://sis_app:…@db/sis trellis clients create PowerSchool --role sis --json
    """
    with one_sentence():
        if role != DOOR_ROLE:
            raise Stop(f"A client cannot have that role: --role takes {DOOR_ROLE}.")
        if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
            raise Stop(f"A client's name has 1 to {LONGEST_NAME} letters that can be printed.")
        bounds = {"resources": _resources(resource), "schools": _schools(school)}
        base = f"{(url or _address(data)).rstrip('/')}/{SERVICE}"
        secret = new_secret()
        client = _run(
            data, lambda session: add_client(session, name.strip(), secret, role=role, by=whoever(), **bounds)
        )
        if client is None:
            raise Stop("There is a client of that name already: choose another name.")
    made = {"name": name.strip(), "role": role, "id": str(client), "secret": secret, "base_address": base} | bounds
    _say(made, report.made, as_json=as_json)


@app.command("list")
def list_clients(as_json: AsJson = False, data: Data = None) -> None:
    """Show every client: its key and role, what it is bound to, its secrets, its last token, and who made and ended it.

    Two examples:

        trellis clients list

        trellis clients list --json
    """
    with one_sentence():
        known = _run(data, clients_known)
    _say({"items": [_described(one) for one in known]}, lambda _: report.listed(known), as_json=as_json)


@app.command("rotate")
def rotate_secret(
    which: Which,
    overlap: Annotated[
        int,
        typer.Option(
            min=1, max=CLIENTS.overlap_most_hours, help="For how many hours the secret of before is good as well."
        ),
    ] = CLIENTS.overlap_hours,
    now: Annotated[
        bool, typer.Option("--now", help="End what was good before at once, for a secret that leaked.")
    ] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Make a second secret for a client, and print it this once; no client ever has more than two.

    Three examples:

        trellis clients rotate "Infinite Campus"

        trellis clients rotate "Infinite Campus" --overlap 24 --json

        trellis clients rotate 6d0f2c1e-… --now
    """
    secret, hours = new_secret(), 0 if now else overlap

    async def rotated(session: AsyncSession) -> dict[str, Any]:
        one = await _one(session, which)
        until = await rotate(session, one.id, secret, by=whoever(), overlap_hours=hours)
        return {"name": one.name, "id": str(one.id), "secret": secret, "earlier_until": until, "now": now}

    with one_sentence():
        said = _run(data, rotated)
    _say(said, report.rotated, as_json=as_json)


@app.command()
def revoke(
    which: Which,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """End a client: once this returns, its secrets and its tokens are refused in every process. What it pushed stays.

    Two examples:

        trellis clients revoke "Infinite Campus"

        trellis clients revoke 6d0f2c1e-… --yes --json
    """

    async def named(session: AsyncSession) -> ClientKnown:
        return await _one(session, which)

    async def ended(session: AsyncSession) -> ClientKnown:
        one = await _one(session, which)
        await end_client(session, one.id, by=whoever())
        return await _one(session, str(one.id))

    with one_sentence():
        if not yes:
            _confirm(_run(data, named))
        one = _run(data, ended)
    time.sleep(TRUSTED_SECONDS)  # what running processes read before is over then
    _say(_described(one), lambda _: report.revoked(one), as_json=as_json)


def _confirm(one: ClientKnown) -> None:
    if one.revoked_at:
        return
    if not sys.stdin.isatty():
        raise Stop("Nobody is here to confirm that: say --yes.")
    typer.confirm(report.will_revoke(one), abort=True, err=True)


async def _one(session: AsyncSession, which: str) -> ClientKnown:
    found = await clients_known(session, which)
    if not found:
        raise Stop("There is no client of that name or key: see `trellis clients list`.")
    return min(found, key=lambda one: str(one.id) != which.lower())  # a name may look like another's key


def _resources(told: Sequence[str] | None) -> list[str] | None:
    for name in told or ():
        if name not in NAMED and name != EVERY_DESCRIPTOR:
            raise Stop(f"--resource takes {EVERY_DESCRIPTOR} or a resource that the door accepts, such as students.")
    kept = (NAMED[name].name if name in NAMED else name for name in told or ())
    return list(dict.fromkeys(kept)) or None


def _schools(told: Sequence[str] | None) -> list[str] | None:
    try:
        return list(dict.fromkeys(map(school_id, told or ()))) or None
    except BrokenRule as broken:
        raise Stop(f"--school {broken}.") from None


def _described(one: ClientKnown) -> dict[str, Any]:
    described: dict[str, Any] = to_jsonable_python(one)
    return described | {"last_token_at": to_jsonable_python(one.last_token_at)}


def _say(said: dict[str, Any], told: Callable[[dict[str, Any]], str], *, as_json: bool) -> None:
    sys.stdout.write(json.dumps(to_jsonable_python(said)) + "\n" if as_json else told(said))


def _address(data: Path | None) -> str:
    """Where Trellis answers: as the settings say, else as the data folder says that is used."""
    settings = Settings()
    folder = HERE if data is None and not settings.filled(SERVICE).database_url else data
    return settings.public_url or (embedded.told_address(folder) if folder else "") or ADDRESS


def _run(data: Path | None, work: Callable[[AsyncSession], Coroutine[Any, Any, T]]) -> T:
    """What ``work`` comes to in a transaction on the database of sis."""
    with database(data) as address, _as_sentence():
        return asyncio.run(_in_transaction(address, work))


async def _in_transaction(address: str, work: Callable[[AsyncSession], Coroutine[Any, Any, T]]) -> T:
    engine = create_engine(address, pool_size=1)
    try:
        async with AsyncSession(engine) as session, session.begin():
            return await work(session)
    finally:
        await engine.dispose()


@contextmanager
def _as_sentence() -> Iterator[None]:
    try:
        yield
    except DomainError as error:
        raise Stop(str(error)) from None
