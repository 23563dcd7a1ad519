"""``trellis surveys``: a closed window counted, and what it came to at a school and its sections."""

import json
import sys
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.table import Table

from common.commands import ADDRESS, HERE, AsJson, Data, TokenFile, Url, answer_of, one_sentence, operator, out

app = typer.Typer(
    name="surveys",
    no_args_is_help=True,
    add_completion=False,
    help="What a survey came to, by school and section; of no student.",
)

Window = Annotated[UUID, typer.Argument(help="The id of the window.")]


@app.command()
def count(window: Window, url: Url = ADDRESS, data: Data = HERE, token_file: TokenFile = None) -> None:
    """Count what a closed window came to, once all paper has come in: what comes later counts nowhere.

    Example: trellis surveys count 0199a3c2-5d41-7c35-9a53-0e7f2f6f6a11
    """
    with one_sentence(), operator(url, data, token_file) as http:
        counted = answer_of(http.post(f"/surveys/v1/windows/{window}/results"))
    out.print(f"Counted at {counted['counted_at']}; schools: {counted['schools']}.", highlight=False)


@app.command()
def results(
    window: Window,
    school: Annotated[str, typer.Argument(help="The SIS's schoolId.")],
    as_json: AsJson = False,
    url: Url = ADDRESS,
    data: Data = HERE,
    token_file: TokenFile = None,
) -> None:
    """Show what a survey came to at a school and its sections, as far as it may be told.

    Example: trellis surveys results 0199a3c2-5d41-7c35-9a53-0e7f2f6f6a11 255901001
    """
    with one_sentence(), operator(url, data, token_file) as http:
        found = answer_of(http.get(f"/surveys/v1/windows/{window}/schools/{school}/results"))
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    groups = [*([{"section_id": "the school"} | found["school"]] if found["school"] else []), *found["sections"]]
    names = list(groups[0]["subscales"])
    table = Table(title=f"School {school}: means with their 95 percent intervals")
    for column in ("section", "answered", *names):
        table.add_column(column.replace("_", " "), overflow="fold")
    for each in groups:
        answered = "–" if each["answered"] is None else f"{each['answered']} of {each['students']}"
        table.add_row(str(each["section_id"]), answered, *(_said(each["subscales"][name]) for name in names))
    out.print(table)
    out.print(f"–: nothing is told from which something of fewer than {found['minimum']} students could be had.")


def _said(told: dict[str, Any] | None) -> str:
    if told is None:
        return "–"
    beyond = {"at_most": "at most ", "at_least": "at least ", None: ""}[told["beyond"]]
    return f"{beyond}{told['mean']:.2f} ({told['low']:.2f} to {told['high']:.2f})"
