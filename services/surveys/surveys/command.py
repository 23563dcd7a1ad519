"""``trellis surveys``: a closed window counted, and what it came to at a school and its sections."""

import json
import sys
from typing import Annotated, Any
from uuid import UUID

import typer

from common.commands import HERE, AsJson, Data, Page, TokenFile, Url, answer_of, one_sentence, operator, out, write_page

app = typer.Typer(
    name="surveys",
    no_args_is_help=True,
    add_completion=False,
    help="What a survey came to, by school and section; of no student.",
)

Window = Annotated[UUID, typer.Argument(help="The id of the window.")]


@app.command()
def count(window: Window, url: Url = None, data: Data = HERE, token_file: TokenFile = None) -> None:
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
    page: Page = None,
    url: Url = None,
    data: Data = HERE,
    token_file: TokenFile = None,
) -> None:
    """Show what a survey came to at a school and its sections, as far as it may be told.

    Two examples:

        trellis surveys results 0199a3c2-5d41-7c35-9a53-0e7f2f6f6a11 255901001

        trellis surveys results 0199a3c2-5d41-7c35-9a53-0e7f2f6f6a11 255901001 --page results.html
    """
    path = f"/surveys/v1/windows/{window}/schools/{school}/results"
    with one_sentence(), operator(url, data, token_file) as http:
        if page:
            write_page(http.get(f"{path}.html"), page)
            return
        found = answer_of(http.get(path))
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    told = [
        ("School " + school, found["school"]),
        *((f"Section {each['section_id']}", each) for each in found["sections"]),
    ]
    shown = [(name, each) for name, each in told if each and each["answered"] is not None]
    for name, each in shown:
        _line(f"{name}: {each['answered']} of {each['students']} answered")
        for subscale, score in sorted(each["subscales"].items()):
            _line(f"  {subscale.replace('_', ' ')}: {_said(score)}")
    _line(
        f"Not told: {sum(each is not None for _, each in told) - len(shown)}. Nothing is told from which something of fewer than "
        f"{found['minimum']} students could be had."
    )


def _line(text: str) -> None:
    out.print(text, soft_wrap=True, highlight=False)


def _said(told: dict[str, Any] | None) -> str:
    if told is None:
        return "not told"
    beyond = {"at_most": "at most ", "at_least": "at least ", None: ""}[told["beyond"]]
    return f"{beyond}{told['mean']:.2f} ({told['low']:.2f} to {told['high']:.2f})"
