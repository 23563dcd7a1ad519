"""``trellis policies``: tier policies as files, checked and compared without a server; and their life at one."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import httpx
import typer
from rich.table import Table

from common.commands import (
    HERE,
    Data,
    Stop,
    TokenFile,
    Url,
    answer_of,
    one_sentence,
    operator,
    out,
    pages,
)
from mtss.rules import Policy, PolicyInvalid, policy_of
from mtss.rules.policy.checking import check as check_document
from mtss.rules.policy.difference import difference as difference_of
from mtss.rules.policy.schema import schema as schema_of
from mtss.written import as_yaml, document_of

app = typer.Typer(name="policies", no_args_is_help=True, add_completion=False, help="The policies that decide tiers.")

File = Annotated[Path, typer.Argument(help="A policy in JSON or YAML.", readable=False)]
Version = Annotated[str, typer.Argument(help="The version that the document names.")]
FromDay = Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day on which it counts.")]
Changes = Annotated[bool, typer.Option("--changes", help="List every student about whom anything changes, and why.")]
_ASK_SECONDS = 0.25


@app.command()
def default() -> None:
    """Print the policy that Trellis brings, as YAML: a beginning for one of your own.

    Example: trellis policies default > ours.yaml
    """
    text = files("mtss").joinpath("policies", "default.json").read_bytes()
    sys.stdout.write(as_yaml(document_of(text)))


@app.command()
def schema() -> None:
    """Print the JSON Schema of the language, with which editors complete and check.

    Example: trellis policies schema > tier-policy.json
    """
    sys.stdout.write(json.dumps(schema_of(), indent=2) + "\n")


@app.command()
def check(file: File) -> None:
    """Say everything that is wrong with a policy; nothing runs. Exit code 1 if anything is.

    Example: trellis policies check ours.yaml
    """
    with one_sentence(), _refusals():
        found = check_document(document_of(file.read_bytes()))
    for each in found:
        _say(f"{each.field}: {each.rule}")
    if found:
        raise typer.Exit(1)
    out.print("Nothing is wrong with this policy.")


@app.command()
def difference(before: File, after: File) -> None:
    """Say in plain words what one policy says otherwise than another.

    Example: trellis policies difference before.yaml after.yaml
    """
    with one_sentence(), _refusals():
        said = difference_of(_read(before), _read(after))
    for each in said or ("Nothing differs.",):
        _say(each)
    if said:
        _say(f"How many students more or fewer that is: trellis rehearse {after} --against {before}")


@app.command("list")
def list_policies(url: Url = None, data: Data = HERE, token_file: TokenFile = None) -> None:
    """Show every policy of the district, how far it came and from which day it counts.

    Example: trellis policies list
    """
    table = Table("version", "state", "in force from", "title")
    with one_sentence(), operator(url, data, token_file) as http:
        for each in pages(http, "/mtss/v1/policies"):
            table.add_row(each["version"], each["state"], each["in_force_from"] or "–", each["title"])
    out.print(table)


@app.command()
def draft(file: File, url: Url = None, data: Data = HERE, token_file: TokenFile = None) -> None:
    """Keep a policy as a draft, check it, and say what is wrong with it.

    Example: trellis policies draft ours.yaml
    """
    with one_sentence(), _refusals(), operator(url, data, token_file) as http:
        version = answer_of(http.post("/mtss/v1/policies", content=file.read_bytes(), headers=_once()))["version"]
        found = answer_of(http.post(f"/mtss/v1/policies/{version}/check"))
    for each in found["findings"]:
        _say(f"{each['field']}: {each['rule']}")
    if found["findings"]:
        raise typer.Exit(1)
    _say(f"{version} is kept and checked. Somebody else approves it: trellis policies approve {version} --from DAY")


@app.command()
def dry_run(
    version: Version,
    from_day: FromDay,
    changes: Changes = False,
    url: Url = None,
    data: Data = HERE,
    token_file: TokenFile = None,
) -> None:
    """Count whom a checked policy would change, by school and from which tier to which. Nothing is decided.

    Example: trellis policies dry-run ours-1 --from 2027-01-11 --changes
    """
    with one_sentence(), operator(url, data, token_file) as http:
        asked = {"in_force_from": f"{from_day:%Y-%m-%d}"}
        found = answer_of(http.post(f"/mtss/v1/policies/{version}/dry-runs", json=asked, headers=_once()))
        while found["state"] == "counting":
            time.sleep(_ASK_SECONDS)
            found = answer_of(http.get(f"/mtss/v1/adoptions/{found['id']}"))
        _tell(found)
        if changes:
            _tell_changes(http, found["id"])


@app.command()
def approve(
    version: Version,
    from_day: FromDay,
    without_rehearsal: Annotated[str | None, typer.Option(help="Why it was not rehearsed, if it was not.")] = None,
    tell_families: Annotated[bool, typer.Option(help="Tell families of what the adoption itself changes.")] = False,
    url: Url = None,
    data: Data = HERE,
    token_file: TokenFile = None,
) -> None:
    """Approve what somebody else drafted. Everybody is counted first, then the policy counts.

    Example: trellis policies approve ours-1 --from 2027-01-11 --token-file ben.token
    """
    with one_sentence(), operator(url, data, token_file) as http:
        known = answer_of(http.get(f"/mtss/v1/policies/{version}"))
        asked = {"in_force_from": f"{from_day:%Y-%m-%d}", "digest": known["digest"], "tells_families": tell_families}
        asked |= {"without_rehearsal": without_rehearsal}
        _tell(answer_of(http.post(f"/mtss/v1/policies/{version}/approve", json=asked, headers=_once())))


@app.command()
def revert(version: Version, url: Url = None, data: Data = HERE, token_file: TokenFile = None) -> None:
    """Let the policy before count again, from the day on which this one began to.

    Example: trellis policies revert ours-1
    """
    with one_sentence(), operator(url, data, token_file) as http:
        _tell(answer_of(http.post(f"/mtss/v1/policies/{version}/revert", headers=_once())))


@app.command()
def adoption(
    identity: Annotated[UUID, typer.Argument(help="As approving and reverting print it.")],
    confirm: Annotated[bool, typer.Option("--confirm", help="Let one run that changes many students.")] = False,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Give up one that has not begun.")] = False,
    changes: Changes = False,
    url: Url = None,
    data: Data = HERE,
    token_file: TokenFile = None,
) -> None:
    """Show how far an adoption came and how many students it changes; or confirm it, or give it up.

    Example: trellis policies adoption 0193… --confirm --token-file anna.token
    """
    path = f"/mtss/v1/adoptions/{identity}"
    with one_sentence(), operator(url, data, token_file) as http:
        if confirm or withdraw:
            _tell(answer_of(http.post(f"{path}/{'confirm' if confirm else 'withdraw'}")))
        else:
            _tell(answer_of(http.get(path)))
        if changes:
            _tell_changes(http, str(identity))


def _tell(found: dict[str, Any]) -> None:
    _say(
        f"{found['id']}: {found['version']} from {found['first_on']}, {found['state']}, "
        f"{found['done']} of {found['total']} students, {found['changed']} changed, {found['decided']} decided."
    )
    if found["old"]:
        _say("  It is old: a day was closed, or a policy came into force, since it counted. Make it again.")
    if found["behind"]:
        _say(f"  Its first day is not closed yet at {', '.join(found['behind'])}.")
    if found["grown_at"]:
        _say("  It changed so many more than were counted before it began that another person would have been asked.")
    for school, counts in found["counts"].items():
        _say(f"  {school}: " + ", ".join(f"{number} {what.replace('_', ' ')}" for what, number in counts.items()))


def _tell_changes(http: httpx.Client, adoption: str) -> None:
    for each in pages(http, f"/mtss/v1/adoptions/{adoption}/changes", limit=500):
        why = [*(f"{name} stands" for name in each["begins"]), *(f"{name} no longer stands" for name in each["ends"])]
        what = ", ".join(each["what"]).replace("_", " ")
        _say(f"  {each['school_id']} {each['student_id']}: {what}, {'; '.join(why) or 'from the same clauses'}")


def _once() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


def _say(text: str) -> None:
    out.print(text, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except PolicyInvalid as invalid:
        raise Stop(invalid.detail) from None


def _read(file: Path) -> Policy:
    return policy_of(document_of(file.read_bytes()))
