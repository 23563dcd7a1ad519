"""``trellis freshness``: up to which day each school is known, and what is not."""

import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.table import Table

from common.commands import HERE, AsJson, Data, TokenFile, Url, one_sentence, operator, out, pages


def freshness(
    silent: Annotated[bool, typer.Option("--silent", help="Only schools that are silent.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    data: Data = HERE,
    token_file: TokenFile = None,
) -> None:
    """Show for each school the last closed day, the last push, what is unknown, and what waits to be handled.

    Two examples:

        trellis freshness

        trellis freshness --silent --token-file principal.token
    """
    with one_sentence(), operator(url, data, token_file) as http:
        found = [each for each in pages(http, "/mtss/v1/freshness") if each["silent"] or not silent]
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    table = Table()
    for name in ("school", "closed through", "last push, UTC"):
        table.add_column(name, no_wrap=True)
    table.add_column("students, unknown, waiting", overflow="fold")
    for each in found:
        pushed = (each["last_push_at"] or "–")[:16].replace("T", " ")
        table.add_row(each["school_id"], each["closed_through"] or "–", pushed, "; ".join(_said(each)))
    out.print(table)


def _said(school: dict[str, Any]) -> Iterator[str]:
    if school["silent"]:
        yield f"silent: {school['silent_days']} school days not closed"
    yield f"{school['students']} students"
    unknown = {**school["unknown_clauses"], "everything": school["undecided"]}
    if any(unknown.values()):
        yield "unknown: " + ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in unknown.items() if count)
    if school["oldest_unprocessed_seconds"] is not None:
        yield f"an event waits for {school['oldest_unprocessed_seconds']:.1f} s"
