"""``trellis reviews``: what waits for a person at a school."""

import json
import sys
from typing import Annotated

import typer
from rich.table import Table

from common.commands import ADDRESS, HERE, Data, TokenFile, Url, one_sentence, operator, out, pages


def reviews(
    school: Annotated[str, typer.Argument(help="The SIS's schoolId.")],
    late: Annotated[bool, typer.Option("--late", help="Only what is late.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    url: Url = ADDRESS,
    data: Data = HERE,
    token_file: TokenFile = None,
) -> None:
    """Show what waits for a person at a school, what is due first first. Who it is handed to reads why.

    Two examples:

        trellis reviews 255901001

        trellis reviews 255901001 --late --token-file counselor.token
    """
    with one_sentence(), operator(url, data, token_file) as http:
        found = [each for each in pages(http, f"/mtss/v1/schools/{school}/reviews") if each["late"] or not late]
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    table = Table("due", "about", "tier", "student", "since", "assigned to", "up and down", title=f"School {school}")
    for each in found:
        due = f"{each['due_on'] or '–'}{' (late)' if each['late'] else ''}"
        staff = each["assigned"]["staff_id"] if each["assigned"] else "–"
        steps = f"{each['flapping']['ups']} and {each['flapping']['downs']}"
        table.add_row(
            due,
            each["about"].replace("_", " "),
            each["tier"] or "–",
            each["student_id"],
            each["begun_on"],
            staff,
            steps,
        )
    out.print(table)
