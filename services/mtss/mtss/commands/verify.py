"""``trellis verify``: proofs of what was decided."""

import sys
from typing import Annotated, Any

import httpx
import typer
from rich.progress import Progress

from common.commands import HERE, Data, TokenFile, Url, answer_of, one_sentence, operator, out

_SHOWN = 20
"""So many decisions that differ are told line by line; more are counted."""

app = typer.Typer(
    name="verify", no_args_is_help=True, add_completion=False, help="Check that what was decided can be decided again."
)


@app.callback()
def verify() -> None:
    """Check that what was decided can be decided again."""


@app.command()
def decisions(
    school: Annotated[str | None, typer.Option(help="Only decisions made at this school.")] = None,
    changes: Annotated[
        bool, typer.Option("--changes", help="What would change each as well: three times as long.")
    ] = False,
    url: Url = None,
    data: Data = HERE,
    token_file: TokenFile = None,
) -> None:
    """Make every decision and every proposal again from the facts as they were known then.

    Exit code 1 if any differs.

    Two examples:

        trellis verify decisions

        trellis verify decisions --school 255901001
    """
    given = {"school": school, "changes": changes or None}
    with one_sentence(), operator(url, data, token_file) as http:
        differing = _verify(http, "decisions", given) + _verify(http, "proposals", given)
    if differing:
        sys.exit(1)


def _verify(http: httpx.Client, what: str, given: dict[str, Any]) -> int:
    """Have all of them verified, page by page; how many differ."""
    verified, differing, cursor = 0, 0, None
    with Progress(console=out, transient=True, disable=not out.is_terminal) as progress:
        bar = progress.add_task(what, total=None)
        while True:
            asked = {name: value for name, value in (given | {"cursor": cursor}).items() if value is not None}
            page: dict[str, Any] = answer_of(http.post(f"/mtss/v1/{what}/verify", params=asked, timeout=120))
            verified, differing, cursor = verified + page["verified"], differing + len(page["differing"]), page["next"]
            progress.update(bar, completed=verified)
            for each in page["differing"][: max(_SHOWN - differing + len(page["differing"]), 0)]:
                _tell(each)
            if cursor is None:
                break
    out.print(
        f"{verified:,} {what} verified: {verified - differing:,} the same, {differing:,} differ.", highlight=False
    )
    return differing


def _tell(verdict: dict[str, Any]) -> None:
    fields = ", ".join(difference["field"] for difference in verdict["differences"])
    out.print(
        f"{verdict.get('decision_id') or verdict['proposal_id']} differs: {fields}", highlight=False, soft_wrap=True
    )
