"""``trellis reviews``: what waits for a person at a school; ``trellis hand-over``: that it waits for another."""

import json
import sys
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.table import Table

from common.commands import (
    HERE,
    AsJson,
    Data,
    Stop,
    TokenFile,
    Url,
    answer_of,
    one_sentence,
    operator,
    out,
    whole_pages,
)

NOBODY = "nobody"


def reviews(
    school: Annotated[str, typer.Argument(help="The SIS's schoolId.")],
    late: Annotated[bool, typer.Option("--late", help="Only what is late.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    data: Data = HERE,
    token_file: TokenFile = None,
) -> None:
    """Show what waits for a person at a school, the earliest due on top. Who it is handed to reads why.

    Two examples:

        trellis reviews 255901001

        trellis reviews 255901001 --late --token-file counselor.token
    """
    with one_sentence(), operator(url, data, token_file) as http:
        queue = list(whole_pages(http, f"/mtss/v1/schools/{school}/reviews", limit=500))
    found = [each for page in queue for each in page["items"] if each["late"] or not late]
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    table = Table(title=f"School {school}")
    table.add_column("due", no_wrap=True)
    table.add_column("student", no_wrap=True)
    table.add_column("what waits", overflow="fold")
    for each in found:
        ups, downs = each["flapping"]["ups"], each["flapping"]["downs"]
        said = (
            " ".join(filter(None, ["URGENT" * each["urgent"], each["about"].replace("_", " "), each["tier"]])),
            f"since {each['begun_on']}",
            _with(each),
            f"{ups} up and {downs} down of late" if ups or downs else "",
            f"id {each['id']}",
        )
        due = f"{each['due_on'] or '–'}{' (late)' if each['late'] else ''}"
        table.add_row(due, each["student_id"], ", ".join(filter(None, said)))
    out.print(table)
    if silence := queue[0]["silence"]:
        silent = f"Silent: {silence['school_days']} school days from {silence['since']} on are not closed"
        out.print(f"{silent}; {_with(silence)}, id {silence['id']}", soft_wrap=True, highlight=False)


def hand_over(
    review: Annotated[UUID, typer.Argument(help="The id, as `trellis reviews` and `trellis equity show` show it.")],
    staff: Annotated[UUID, typer.Argument(help="The member of staff, by the id that sis gives them.")],
    reason: Annotated[str, typer.Argument(help="Why; it is sealed.")],
    from_: Annotated[str, typer.Option("--from", help="Who has it, as far as you know: their id, or nobody.")] = NOBODY,
    url: Url = None,
    data: Data = HERE,
    token_file: TokenFile = None,
) -> None:
    """Hand over what waits for a person: whatever the queue of a school shows, its silence, or an equity alert.

    It is taken only from whom `--from` names; who else has it is said, and nothing is changed.

    Example: trellis hand-over 0199a3c2-5d41-7c35-9a53-0e7f2f6f6a11 0190f6a8-0000-7000-8000-000000000001 "She knows the family."
    """
    with one_sentence(), operator(url, data, token_file) as http:
        asked, path = {"staff_id": str(staff), "reason": reason}, f"/mtss/v1/reviews/{review}/hand-over"
        seen = http.get(path)
        has = answer_of(seen)["assigned"]
        if from_ != (has["staff_id"] if has else NOBODY):
            taken = f"Not taken: {has['staff_id']} has it since {has['at']}" if has else "Not taken: nobody has it"
            raise Stop(f"{taken}; say so with --from.")
        answer_of(http.post(path, json=asked, headers={"If-Match": seen.headers["ETag"]}))
    out.print("Handed over.")


def _with(waits: dict[str, Any]) -> str:
    return f"with {waits['assigned']['staff_id']}" if waits["assigned"] else "with nobody yet"
