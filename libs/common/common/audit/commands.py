"""``trellis audit``: the audit log shown, and checked to be whole."""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import httpx
import typer
from rich.table import Table

from common.audit.chain import Anchors, Entry, anchors_in, check
from common.auth import READ_AUDIT
from common.commands import (
    HERE,
    AsJson,
    Data,
    TokenFile,
    Url,
    answer_of,
    named,
    one_sentence,
    operator,
    out,
    pages,
    services,
)

app = typer.Typer(
    no_args_is_help=True,
    help="Who changed something or read something sensitive, and whether that record is whole.",
    epilog="Examples: trellis audit show --service mtss --since 2026-11-01; trellis audit verify --anchors trellis.log.",
)


@app.command()
def show(
    service: Annotated[str, typer.Option(help="Whose audit log.")],
    who: Annotated[
        str | None, typer.Option(help="Our id of a member of staff, a service, or a role: who did it.")
    ] = None,
    student: Annotated[UUID | None, typer.Option(help="About whom.")] = None,
    since: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="From this day on.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    data: Data = HERE,
    token_file: TokenFile = None,
) -> None:
    """Show who changed or read what, oldest first. That you looked is in it too.

    Example: trellis audit show --service mtss --student 0199a3c2-5d41-7c35-9a53-0e7f2f6f6a11
    """
    asked = {"subject": who, "student": student, "since": since and since.date()}
    query = {name: str(value) for name, value in asked.items() if value is not None}
    with one_sentence(), operator(url, data, token_file, permissions=[READ_AUDIT]) as http:
        found = list(pages(http, f"/{named(service)}/v1/audit", **query))
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    table = Table("row", "at, UTC")
    for heading in ("who", "what", "students"):
        table.add_column(heading, overflow="fold")
    for each in found:
        table.add_row(*_told(each))
    out.print(table if found else "Nothing is on record.")


def _told(entry: dict[str, Any]) -> tuple[str, ...]:
    students, repeated = entry["students"], " (answered again)" if entry["repeated"] else ""
    some = ", ".join(students[:1]) + (f" and {len(students) - 1} more" if len(students) > 1 else "")
    return (
        str(entry["number"]),
        entry["at"][:19].replace("T", " "),
        f"{entry['role']} {entry['subject']}",
        f"{entry['method']} {entry['route']} {entry['status']}{repeated}",
        some,
    )


@app.command()
def verify(
    anchors: Annotated[
        list[Path] | None, typer.Option(help="A log with lines that anchor the audit log; repeat for several.")
    ] = None,
    url: Url = None,
    data: Data = HERE,
    token_file: TokenFile = None,
) -> None:
    """Check that every audit log is whole: nothing changed, added, taken away or left unsealed. Exit code 1 if one is not.

    What was taken from the end, or made anew from some row on, only anchors show: lines of a log kept elsewhere.

    Example: trellis audit verify --anchors var/logs/trellis.log
    """
    with one_sentence(), operator(url, data, token_file, permissions=[READ_AUDIT]) as http:
        anchored = anchors_in(line for file in anchors or [] for line in file.read_text(encoding="utf-8").splitlines())
        whole = [_verify(http, service, anchored.get(service, {})) for service in sorted(services())]
    if not all(whole):
        sys.exit(1)


def _verify(http: httpx.Client, service: str, anchors: Anchors) -> bool:
    """Say of one service how many rows are sealed and what is wrong; whether nothing is."""
    path = f"/{service}/v1/audit"
    found = check(service, map(Entry.model_validate, pages(http, path, limit=500)), anchors)
    waiting = answer_of(http.get(path, params={"limit": 1}))
    late = [f"{waiting['late']:,} rows were not sealed in time: see that the service runs"] if waiting["late"] else []
    said = f"{found.sealed:,} rows sealed, {waiting['unsealed']:,} wait for it, {len(anchors):,} anchors compared: "
    faults = "; ".join([*found.faults, *late])
    out.print(f"{service}: {said}{faults or 'whole'}", highlight=False, soft_wrap=True)
    return not faults
