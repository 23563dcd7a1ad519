"""``trellis trainings``: who of the staff was trained to see that a student needs help."""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.table import Table

from common.commands import (
    HERE,
    AsJson,
    Data,
    Stop,
    TokenFile,
    Url,
    answer_of,
    one_sentence,
    operator,
    out,
    whole_pages,
)

app = typer.Typer(
    name="trainings",
    no_args_is_help=True,
    add_completion=False,
    help="Who of the staff was trained to see that a student needs help.",
)
_AT_ONCE = 1000


@app.command()
def record(
    training: Annotated[str, typer.Argument(help="Its name in the district's catalogue, such as signs.")],
    staff: Annotated[
        Path, typer.Argument(help="A file with the ids that sis gives them, one a line.", dir_okay=False, exists=True)
    ],
    on: Annotated[datetime, typer.Option(help="The day on which they took part.", formats=["%Y-%m-%d"])],
    url: Url = None,
    data: Data = HERE,
    token_file: TokenFile = None,
) -> None:
    """Record who took part in a training on a day. Recorded again, it changes nothing.

    Example: trellis trainings record signs trained.txt --on 2026-08-20
    """
    with one_sentence():
        ids = _read(staff)
        recorded = known = 0
        with operator(url, data, token_file) as http:
            for begin in range(0, len(ids), _AT_ONCE):
                asked = {
                    "training": training,
                    "trained_on": f"{on:%Y-%m-%d}",
                    "staff_ids": ids[begin : begin + _AT_ONCE],
                }
                said = answer_of(http.post("/mtss/v1/trainings", json=asked))
                recorded, known = recorded + said["recorded"], known + said["known"]
    out.print(f"{recorded} recorded, {known} known before.")


@app.command()
def show(
    school: Annotated[str, typer.Argument(help="The SIS's schoolId.")],
    due: Annotated[bool, typer.Option("--due", help="Only who holds not all of them.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    data: Data = HERE,
    token_file: TokenFile = None,
) -> None:
    """Show how many of a school's staff hold each training, and who was last trained when.

    Two examples:

        trellis trainings show 255901001

        trellis trainings show 255901001 --due --json > due.json
    """
    with one_sentence(), operator(url, data, token_file) as http:
        read = list(whole_pages(http, f"/mtss/v1/schools/{school}/trainings", limit=500))
    counts = read[0]["counts"]
    names = {each["training"] for each in counts}
    found = [each for page in read for each in page["items"] if not due or names - _holds(each)]
    if as_json:
        sys.stdout.write(json.dumps({"counts": counts, "items": found}, indent=2) + "\n")
        return
    for each in counts:
        out.print(f"{each['training']}: {each['hold']} of {each['staff']} hold it ({each['title']})", highlight=False)
    table = Table(title=f"School {school}")
    table.add_column("staff", no_wrap=True)
    table.add_column("last trained", overflow="fold")
    for each in found:
        table.add_row(each["staff_id"], "; ".join(map(_said, each["trainings"])) or "never")
    out.print(table)


@app.command()
def withdraw(
    training: Annotated[UUID, typer.Argument(help="The id, as `trellis trainings show` shows it.")],
    url: Url = None,
    data: Data = HERE,
    token_file: TokenFile = None,
) -> None:
    """Withdraw what was recorded by mistake.

    Example: trellis trainings withdraw 0199a3c2-5d41-7c35-9a53-0e7f2f6f6a11
    """
    with one_sentence(), operator(url, data, token_file) as http:
        answer_of(http.delete(f"/mtss/v1/trainings/{training}"))
    out.print("Withdrawn. That it was recorded, and by whom it was withdrawn, is kept.")


def _read(file: Path) -> list[str]:
    ids = [line.strip() for line in file.read_text("utf-8-sig").splitlines()]
    for place, each in enumerate(ids, start=1):
        try:
            UUID(each or str(UUID(int=0)))
        except ValueError:
            raise Stop(f"Line {place} of {file.name} is no id that sis gives.") from None
    if not any(ids):
        raise Stop(f"{file.name} names nobody.")
    return [each for each in ids if each]


def _holds(staff: dict[str, Any]) -> set[str]:
    return {each["training"] for each in staff["trainings"] if each["holds"]}


def _said(held: dict[str, Any]) -> str:
    until = f"until {held['holds_until']}" if held["holds"] else "no longer holds"
    return f"{held['training']} on {held['trained_on']}, {until} (id {held['id']})"
