"""``trellis sources``: what arrived from student information systems, what did not, and whether their counts agree."""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import httpx
import typer

from common.commands import (
    HERE,
    AsJson,
    Data,
    Page,
    Stop,
    TokenFile,
    Url,
    answer_of,
    one_sentence,
    operator,
    pages,
    text_of,
    whole_pages,
    write_page,
)
from sis.arrivals.report import differences, not_compared, told

_PATH = "/sis/v1/sources"
Source = Annotated[
    str | None, typer.Option(help="The source, as `trellis sources` names it; needed if there are several.")
]

app = typer.Typer(name="sources", invoke_without_command=True, add_completion=False)


@app.callback()
def sources(
    context: typer.Context,
    url: Url = None,
    data: Data = HERE,
    token_file: TokenFile = None,
    as_json: AsJson = False,
    page: Page = None,
) -> None:
    """Show what arrived from each source, what was rejected, what waits, and who is silent.

    Three examples:

        trellis sources

        trellis sources --page sources.html

        trellis sources reconcile counts.csv --source 6f9d2c1e-…
    """
    if context.invoked_subcommand:
        return
    with one_sentence(), operator(url, data, token_file) as http:
        if page:
            write_page(http.get(f"{_PATH}.html"), page)
            return
        found = list(whole_pages(http, _PATH))
    items, alerts = [each for page in found for each in page["items"]], found[0]["alerts"]
    if as_json:
        sys.stdout.write(json.dumps({"items": items, "alerts": alerts}) + "\n")
        return
    sys.stdout.write(told(items, alerts, datetime.now().astimezone()))


@app.command()
def rejected(
    resource: Annotated[str, typer.Argument(help="The resource, such as students.")],
    source: Source = None,
    deletes: Annotated[bool, typer.Option("--deletes", help="Rows that were to take documents away.")] = False,
    url: Url = None,
    data: Data = HERE,
    token_file: TokenFile = None,
) -> None:
    """Print the rejected rows as CSV, with a reason each: mend them, and push the file to /sis/v1/bulk/{resource}.

    Example: trellis sources rejected students > rejected.csv
    """
    with one_sentence(), operator(url, data, token_file) as http:
        path = f"{_PATH}/{quote(_chosen(http, source), safe='')}/rejected.csv"
        sys.stdout.write(text_of(http.get(path, params={"resource": resource, "deletes": deletes})))


@app.command()
def reconcile(
    file: Annotated[
        Path | None, typer.Argument(help="CSV: resource,school_id,day,count. Left out: as told before.")
    ] = None,
    source: Source = None,
    as_json: AsJson = False,
    url: Url = None,
    data: Data = HERE,
    token_file: TokenFile = None,
) -> None:
    """Compare a source's own counts with what stands here; the exit code is 1 if any differ or none were told.

    A school that another source pushes is named, and not compared: that one is bound to it or counts it, and this one never did.

    Example: trellis sources reconcile counts.csv
    """
    with one_sentence(), operator(url, data, token_file) as http:
        path = f"{_PATH}/{quote(_chosen(http, source), safe='')}"
        if file:
            body, headers = file.read_bytes(), {"Content-Type": "text/csv"}
            answer_of(http.put(f"{path}/counts", content=body, headers=headers))
        found = list(whole_pages(http, f"{path}/reconciliation", limit=500))
        differing, others = [item for each in found for item in each["items"]], found[0]["of_others"]
        if (
            not differing
            and not answer_of(http.get(f"{path}/reconciliation", params={"every": True, "limit": 1}))["items"]
        ):
            raise Stop("No counts were told yet: name a file of them, such as counts.csv.")
    if as_json:
        sys.stdout.write(json.dumps({"items": differing, "of_others": others}) + "\n")
    else:
        sys.stdout.write(differences(differing) if differing else "Every count agrees.\n")
        sys.stdout.write(not_compared(others))
    raise typer.Exit(1 if differing else 0)


def _chosen(http: httpx.Client, source: str | None) -> str:
    if source:
        return source
    known = sorted({item["source"] for item in pages(http, _PATH)})
    if len(known) != 1:
        raise Stop(f"There are {len(known)} sources: name one of them with --source.")
    return str(known[0])
