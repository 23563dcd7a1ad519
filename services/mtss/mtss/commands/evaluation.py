"""``trellis evaluation``: what supports and policies did, as one file for those who evaluate; and the same made again from it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any
from zipfile import BadZipFile, ZipFile

import httpx
import typer

from common.commands import HERE, Data, Stop, TokenFile, Url, answer_of, one_sentence, operator, out, pages
from mtss.commands.rehearse import PATH, finished, page_of
from mtss.rehearsals.sheets import Row, as_csv
from mtss.rules.rehearsal.report import EDITION

app = typer.Typer(
    name="evaluation",
    no_args_is_help=True,
    add_completion=False,
    help="What supports and policies did, for those who evaluate: of whole groups alone, and to be made again.",
)

Pack = Annotated[Path, typer.Argument(metavar="PACK", help="The file, a zip.")]
_READ_ME = """\
What a district's supports and policies did, as Trellis tells it. It holds no student and no group so small that one could be told from it.

outcomes.csv     each kind of support, what it is for, and what was so before and after, beside students who received none
equity.csv       each month, measure and group: to how many of how many it happened, and how many times as likely as to all others
policies.csv     every version of the tier policy, with its digest and the day from which it counts
policies/        the policies themselves: every number with its unit and source
rehearsal.html   the policy that counted when this was made, over the recorded school years, beside public rules
manifest.json    the SHA-256 of every file, and which rehearsal it is: its full report stays with the district

A table's empty cell is not told, or could not be calculated. outcomes.json and equity.json hold the same with what their fields mean
at /mtss/openapi.json. Where Trellis runs, `trellis evaluation again PACK` checks every file and makes the rehearsal again.
"""


@app.command()
def pack(
    file: Pack,
    years: Annotated[
        list[int] | None,
        typer.Option(help="A school year, by the year it ends in; may be given again.  [default: all]"),
    ] = None,
    url: Url = None,
    data: Data = HERE,
    token_file: TokenFile = None,
) -> None:
    """Write outcomes, equity, policies and a rehearsal of the one in force into one file; name years that are over, and it can be made again.

    Example: trellis evaluation pack 2026.zip --years 2026
    """
    with one_sentence(), operator(url, data, token_file) as http:
        if file.exists():
            raise Stop(f"{file} is there already: choose another name.")
        outcomes = answer_of(http.get("/mtss/v1/supports/outcomes"))
        equity = [{**month, "alerts": len(month["alerts"])} for month in pages(http, "/mtss/v1/equity")]
        policies = [
            answer_of(http.get(f"/mtss/v1/policies/{each['version']}")) for each in pages(http, "/mtss/v1/policies")
        ]
        (now,) = [each for each in policies if each["state"] == "in_force"]
        path, _ = _rehearsed(http, now["document"], years or [])
        files = {
            "README.txt": _READ_ME,
            "outcomes.json": _json(outcomes),
            "outcomes.csv": as_csv(_of_outcomes(outcomes)),
            "equity.json": _json(equity),
            "equity.csv": as_csv(_of_equity(equity)),
            "policies.csv": as_csv(_of_policies(policies)),
            **{f"policies/{place}.json": _json(each["document"]) for place, each in enumerate(policies, 1)},
            "rehearsal.html": page_of(http, path),
        }
    about = {"id": path.rpartition("/")[2], "policy": f"policies/{policies.index(now) + 1}.json"}
    manifest = {"files": {name: _digest(text) for name, text in files.items()}, "rehearsal": about}
    with one_sentence(), ZipFile(file, "x") as zipped:
        for name, text in (*files.items(), ("manifest.json", _json(manifest))):
            zipped.writestr(name, text)
    out.print(f"Written to {file}.", highlight=False)


@app.command()
def again(file: Pack, url: Url = None, data: Data = HERE, token_file: TokenFile = None) -> None:
    """Check every file of a pack, make its rehearsal again from what is recorded now, and say what differs. Exit code 1 if anything does.

    Example: trellis evaluation again 2026.zip
    """
    with one_sentence(), operator(url, data, token_file) as http:
        texts, said = _read(file)
        before = answer_of(http.get(f"{PATH}/{said['id']}/report"))
        if before.get("edition") != EDITION:
            raise Stop(
                "Every file is whole. Its rehearsal was made by an earlier release, which reckoned otherwise: pack anew."
            )
        _, now = _rehearsed(http, json.loads(texts[said["policy"]]), before["school_years"])
    different = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if different:
        raise Stop(f"Differs, by what is recorded now: {', '.join(different)}.")
    out.print("Same: every file is whole, and the rehearsal came to the same.")


def _rehearsed(http: httpx.Client, policy: Mapping[str, Any], years: Sequence[int]) -> tuple[str, dict[str, Any]]:
    path = finished(http, {"policy": policy, "against": policy, "school_years": years})
    return path, answer_of(http.get(f"{path}/report"))


def _read(file: Path) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    """The files of a pack, and which rehearsal it is of."""
    try:
        with ZipFile(file) as zipped:
            texts = {name: zipped.read(name).decode() for name in zipped.namelist()}
        manifest = json.loads(texts.pop("manifest.json"))
        whole = manifest["files"] == {name: _digest(text) for name, text in texts.items()}
        said: Mapping[str, Any] = manifest["rehearsal"]
    except (BadZipFile, KeyError, ValueError):
        raise Stop(f"{file} is no pack of `trellis evaluation pack`.") from None
    if not whole:
        raise Stop(f"{file} is not as it was written: a file of it is another one.")
    return texts, said


def _json(value: Any) -> str:
    return json.dumps(value, indent=1) + "\n"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _of_outcomes(outcomes: Mapping[str, Any]) -> Iterator[Row]:
    names = sorted({name for each in outcomes["items"] for name in each["told"] or ()})
    yield ("kind", "for", *names)
    for each in outcomes["items"]:
        told = each["told"] or {}
        yield (each["kind"] or "none received", "; ".join(each["outcomes"]), *map(told.get, names))


def _of_equity(months: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    told, ratio = ("count", "of", "share", "low", "high"), ("ratio", "low", "high")
    yield ("month", "measure", "kind", "group", *told, "times_as_likely", "times_low", "times_high")
    for month in months:
        for measure, kinds in month["measures"].items():
            for kind, lines in kinds.items():
                for line in lines:
                    said = line["told"] or {}
                    others = said.get("against_all_others") or {}
                    cells = (*map(said.get, told), *map(others.get, ratio))
                    yield (month["month"], measure, kind, line["group"], *cells)


def _of_policies(policies: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    names = ("version", "title", "digest", "state", "in_force_from")
    yield ("file", *names)
    for place, each in enumerate(policies, 1):
        yield (f"policies/{place}.json", *(each[name] for name in names))
