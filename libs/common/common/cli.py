"""``trellis``: the command line. Services and further commands are found by their entry points."""

import gc
import sys
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.table import Table
from typer.core import TyperGroup

from common.audit.commands import app as audit_app
from common.auth import PERMISSIONS, STAFF_ROLES
from common.commands import (
    HERE,
    Data,
    Stop,
    TokenFile,
    Url,
    answer_of,
    make_token,
    named,
    one_sentence,
    operator,
    out,
    pages,
    services,
)
from common.keys import write_keys


class _Commands(TyperGroup):
    """Ours, and those that installed packages bring; these are loaded only when asked for, because that takes a second."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Every command's name, sorted."""
        return sorted({*super().list_commands(ctx), *entry_points(group="trellis.commands").names})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name."""
        ours = super().get_command(ctx, cmd_name)
        found = entry_points(group="trellis.commands", name=cmd_name)
        if ours or not found:
            return ours
        with one_sentence():  # a service reads its policy as it is loaded
            loaded = next(iter(found)).load()
        if isinstance(loaded, typer.Typer):
            return typer.main.get_command(loaded)
        alone = typer.Typer(add_completion=False)
        alone.command(cmd_name)(loaded)
        return typer.main.get_command(alone)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Trellis keeps every student connected: attendance, belonging, conferences and word to families.",
    epilog="Examples: trellis up, which serves everything here; trellis status; trellis events parked --help.",
)
events_app = typer.Typer(
    no_args_is_help=True,
    help="Parked events, and what a service has said.",
    epilog="Examples: trellis events parked; trellis events resend sis --dry-run.",
)
app.add_typer(events_app, name="events")
app.add_typer(audit_app, name="audit")


@app.callback(invoke_without_command=True)
def main_options(
    show_version: Annotated[bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)] = False,
) -> None:
    """Trellis keeps every student connected."""
    if show_version:
        out.print(f"trellis {version('trellis-common')}", highlight=False)
        raise typer.Exit


@app.command()
def keys(folder: Annotated[Path, typer.Argument(help="Where the keys go.")]) -> None:
    """Write every key that a deployment needs, once. Nothing is ever overwritten.

    Example: trellis keys ./keys
    """
    with one_sentence():
        written = write_keys(folder, services())
        out.print(
            f"{len(written)} keys written to {folder}."
            if written
            else f"Every key is already in {folder}; nothing was written."
        )


@app.command()
def token(
    role: Annotated[str, typer.Option(help=f"One of {', '.join(sorted(STAFF_ROLES))}.")],
    school: Annotated[list[str] | None, typer.Option(help="A schoolId; repeat for several.")] = None,
    staff: Annotated[
        str | None, typer.Option(help="Our id of the staff member, as GET /sis/…/staffs gives it.")
    ] = None,
    permission: Annotated[
        list[str] | None, typer.Option(help=f"What no role brings by itself: {', '.join(sorted(PERMISSIONS))}.")
    ] = None,
    data: Data = HERE,
) -> None:
    """Print a signed token and nothing else. Only for embedded data.

    Example: curl -H "Authorization: Bearer $(trellis token --role district)" http://127.0.0.1:8080/mtss/v1/…
    """
    with one_sentence():
        if role not in STAFF_ROLES:
            raise Stop(f"There is no role of that name: choose one of {', '.join(sorted(STAFF_ROLES))}.")
        if not PERMISSIONS.issuperset(permission or []):
            raise Stop(f"No route knows a permission of that name: choose of {', '.join(sorted(PERMISSIONS))}.")
        try:
            person = UUID(staff) if staff else None
        except ValueError:
            raise Stop(
                "--staff takes our id, a UUID: GET /sis/data/v3/ed-fi/staffs?staffUniqueId=… shows it."
            ) from None
        made = make_token(data, role, schools=school or [], staff=person, permissions=permission or [])
        sys.stdout.write(made + "\n")


@app.command()
def status(url: Url = None, data: Data = HERE, token_file: TokenFile = None) -> None:
    """Show how each service stands: migrations, oldest unpublished event, lag, parked events.

    Example: trellis status --url http://127.0.0.1:8080 --data ./var
    """
    table = Table("service", "migrations", "unpublished", "oldest, s", "lag", "parked")
    with one_sentence(), operator(url, data, token_file) as http:
        for name in sorted(services()):
            answer = answer_of(http.get(f"/{name}/v1/status"))
            oldest, lag = answer.get("oldest_unpublished_seconds"), answer.get("lag")
            table.add_row(
                name,
                answer["migrations"],
                str(answer["unpublished"]),
                "–" if oldest is None else f"{oldest:.1f}",
                "–" if lag is None else str(lag),
                str(answer["parked"]),
            )
    out.print(table)


Service = Annotated[str, typer.Argument(help="The service that heard it.")]
Event = Annotated[UUID, typer.Argument(help="The event's id, as `trellis events parked` shows it.")]


@events_app.command("parked")
def events_parked(
    service: Annotated[str | None, typer.Argument(help="One service; all if left out.")] = None,
    url: Url = None,
    data: Data = HERE,
    token_file: TokenFile = None,
) -> None:
    """List events that could not be handled, and those that wait behind them.

    Example: trellis events parked mtss
    """
    table = Table("service", "event", "type", "parked at", "why")
    with one_sentence(), operator(url, data, token_file) as http:
        for name in [named(service)] if service else sorted(services()):
            for item in pages(http, f"/{name}/v1/events/parked"):
                table.add_row(name, item["id"], item["type"], item["parked_at"], item["error"])
    out.print(table if table.row_count else "No event is parked.")


@events_app.command("replay")
def events_replay(
    service: Service, event: Event, url: Url = None, data: Data = HERE, token_file: TokenFile = None
) -> None:
    """Handle a parked event again, and those parked behind it.

    Example: trellis events replay mtss 0199a3c2-5d41-7c35-9a53-0e7f2f6f6a11
    """
    with one_sentence(), operator(url, data, token_file) as http:
        done = answer_of(http.post(f"/{named(service)}/v1/events/parked/{event}/replay"))
    out.print(f"{done['events']} events handled.")


@events_app.command("discard")
def events_discard(
    service: Service, event: Event, url: Url = None, data: Data = HERE, token_file: TokenFile = None
) -> None:
    """Give up a parked event; it stays on record.

    Example: trellis events discard mtss 0199a3c2-5d41-7c35-9a53-0e7f2f6f6a11
    """
    with one_sentence(), operator(url, data, token_file) as http:
        answer_of(http.post(f"/{named(service)}/v1/events/parked/{event}/discard"))
    out.print("Discarded. Replay one of those behind it, if there are any.")


@events_app.command("resend")
def events_resend(
    owner: Annotated[str, typer.Argument(help="The service that says it.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    url: Url = None,
    data: Data = HERE,
    token_file: TokenFile = None,
) -> None:
    """Say again every fact of a service as it stands: one added or rebuilt later gets everything, nobody acts twice.

    Example: trellis events resend sis --dry-run
    """
    with one_sentence(), operator(url, data, token_file) as http, out.status(f"{owner} says everything again …"):
        done = answer_of(http.post(f"/{named(owner)}/v1/events/resend", params={"dry_run": dry_run}, timeout=600))
    out.print(f"{done['events']} facts {'would be ' if dry_run else ''}said again.")


_BETWEEN_LOOKS_FOR_GARBAGE = 10_000
"""New objects. A service loads 400,000 that stay, and with Python's 700 looks for garbage take a quarter of its start."""


def main() -> None:
    """Run the command line."""
    gc.set_threshold(_BETWEEN_LOOKS_FOR_GARBAGE)
    try:
        app()
    except BrokenPipeError:
        sys.exit(0)
