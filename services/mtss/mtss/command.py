"""``trellis policies``: tier policies as files, read, checked and compared without a server."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from common.commands import Stop, one_sentence, out
from mtss.rules import Policy, PolicyInvalid, policy_of
from mtss.rules.policy.checking import check as check_document
from mtss.rules.policy.difference import difference as difference_of
from mtss.rules.policy.schema import schema as schema_of
from mtss.written import as_yaml, document_of

app = typer.Typer(name="policies", no_args_is_help=True, add_completion=False, help="The policies that decide tiers.")

File = Annotated[Path, typer.Argument(help="A policy in JSON or YAML.", readable=False)]


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
        out.print(f"{each.field}: {each.rule}", highlight=False, markup=False, soft_wrap=True)
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
        out.print(each, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except PolicyInvalid as invalid:
        raise Stop(invalid.detail) from None


def _read(file: Path) -> Policy:
    return policy_of(document_of(file.read_bytes()))
