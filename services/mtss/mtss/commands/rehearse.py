"""``trellis rehearse``: try a policy on the district's own past, and see what would have come of it."""

import json
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.progress import Progress

from common.commands import HERE, AsJson, Data, Stop, TokenFile, Url, answer_of, one_sentence, operator, out, text_of
from mtss.rehearsals.sheets import SHEETS, by_percent, sheet
from mtss.rules import PolicyInvalid
from mtss.written import document_of

PATH = "/mtss/v1/rehearsals"
_ASK_SECONDS = 0.25
_LINE = "  {:<34} {:>9} {:>8} {:>8} {:>9} {:>9} {:>10} {:>7}"


class Known(StrEnum):
    """By which knowledge each day is judged."""

    NOW = "now"
    THEN = "then"


def rehearse(
    policy: Annotated[Path, typer.Argument(metavar="POLICY", help="The policy to try, as JSON or YAML.")],
    against: Annotated[
        Path | None,
        typer.Option(metavar="POLICY", help="The policy to hold it against.  [default: the one in force]"),
    ] = None,
    years: Annotated[
        list[int] | None,
        typer.Option(help="A school year, by the year it ends in; may be given again.  [default: all]"),
    ] = None,
    school: Annotated[list[str] | None, typer.Option(help="A school; may be given again.  [default: all]")] = None,
    known: Annotated[
        Known, typer.Option(help="Judge each day by what is known now, or by what was known at its end.")
    ] = Known.NOW,
    page: Annotated[Path | None, typer.Option(help="Write the page to read or print to this file.")] = None,
    sheets: Annotated[Path | None, typer.Option("--csv", help="Write every table as CSV into this folder.")] = None,
    into: Annotated[
        Path | None, typer.Option(help="Write report.json, page.html and every table as CSV into this folder.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
    data: Data = HERE,
    token_file: TokenFile = None,
) -> None:
    """Try a policy on the district's own recorded days, without touching a tier.

    Ctrl-C cancels it. Three examples:

        trellis rehearse ours.json --page rehearsal.html

        trellis rehearse ours.json --against theirs.json --years 2025 --years 2026

        trellis rehearse ours.yaml --school 7000011 --into rehearsal/
    """
    with one_sentence(), operator(url, data, token_file) as http:
        asked = {
            "policy": _document(policy),
            "against": _document(against) if against else None,
            "known": known,
            "school_years": years or [],
            "schools": school or [],
        }
        path = finished(http, asked)
        report = answer_of(http.get(f"{path}/report"))
        if into:
            into.mkdir(parents=True, exist_ok=True)
            (into / "report.json").write_text(json.dumps(report) + "\n", encoding="utf-8")
        for file in filter(None, (page, into and into / "page.html")):
            file.write_text(page_of(http, path), encoding="utf-8")
    for folder in filter(None, (sheets, into)):
        _write(report, folder)
    if as_json:
        sys.stdout.write(json.dumps(report) + "\n")
        return
    sys.stdout.write(told(report))
    for written in filter(None, (page, sheets, into)):
        out.print(f"Written to {written}.", highlight=False)


def _document(file: Path) -> Any:
    try:
        return document_of(file.read_bytes())
    except PolicyInvalid as invalid:
        raise Stop(f"{file}: {invalid.detail}") from None


def finished(http: httpx.Client, asked: dict[str, Any]) -> str:
    """The path of the rehearsal, once it is done; cancelled where the command is."""
    path = f"{PATH}/{answer_of(http.post(PATH, json=asked))['id']}"
    try:
        with Progress(transient=True, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("rehearsing", total=None)
            while (seen := answer_of(http.get(path)))["state"] in ("waiting", "running"):
                bar.update(task, completed=seen["done"], total=seen["steps"] or None)
                time.sleep(_ASK_SECONDS)
    except KeyboardInterrupt:
        http.delete(path)
        raise Stop("Cancelled.") from None
    if seen["state"] != "done":
        raise Stop(seen["reason"] or f"The rehearsal was {seen['state']}.")
    return path


def _write(report: dict[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in SHEETS:
        (folder / f"{name}.csv").write_text(sheet(report, name), encoding="utf-8", newline="")


def told(report: dict[str, Any]) -> str:
    """The comparison in plain text of a hundred columns, the same in a terminal and in a file."""
    about = f"{report['students']:,} students, {report['school_days']} school days from {report['from']} to {report['through']}"
    lines = [about, _LINE.format("policy", "mean day", "entries", "exits", "found", "in time", "precision", "ahead")]
    for of in report["policies"]:
        early = by_percent(of["early"])[0]
        daily, flow = of.get("daily"), of.get("flow")
        counts = (
            (f"{daily['mean']:,}", f"{flow['entries']:,}", f"{flow['exits']:,}") if daily and flow else ("", "", "")
        )
        shares = (_percent(early[name]["share"]) for name in ("sensitivity", "in_time", "precision"))
        ahead = early["school_days_ahead"]["quartiles"][1]
        name = {"policy": "this policy", "against": "held against"}.get(of["role"], "public rule")
        lines.append(_LINE.format(f"{name}: {of['version']}"[:34], *counts, *shares, "–" if ahead is None else ahead))
    percent = by_percent(report["policies"][0]["early"])[0]["percent"]
    lines.append(
        f"Found, in time, precision and school days ahead: of students who ended the year at {percent} percent missed or more."
    )
    if report["still_running"]:
        years = ", ".join(map(str, report["still_running"]))
        lines.append(f"Not over yet: {years}. How such a year ended is said of its last closed day.")
    return "\n".join(lines) + "\n"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def page_of(http: httpx.Client, path: str) -> str:
    """The page of the rehearsal at ``path``, which is done."""
    return text_of(http.get(f"{path}/report.html"))
