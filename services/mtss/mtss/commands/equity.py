"""``trellis equity``: ratios of real decisions by group that wait for a person, and what somebody found about them."""

import json
import sys
from typing import Annotated, Any
from uuid import UUID

import typer

from common.commands import HERE, AsJson, Data, TokenFile, Url, answer_of, one_sentence, operator, out, pages

app = typer.Typer(
    name="equity",
    no_args_is_help=True,
    add_completion=False,
    help="Equity of each month's decisions: what waits for a person, and what they found.",
)


@app.command()
def show(
    as_json: AsJson = False,
    url: Url = None,
    data: Data = HERE,
    token_file: TokenFile = None,
) -> None:
    """Show every ratio that reached the district's threshold, and what was found about it; as JSON every line of every month.

    Example: trellis equity show --json > equity.json
    """
    with one_sentence(), operator(url, data, token_file) as http:
        found = list(pages(http, "/mtss/v1/equity" if as_json else "/mtss/v1/equity/alerts"))
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    for each in found:
        out.print(f"{each['month'][:7]}  {each['id']}\n  {_said(each)}", soft_wrap=True, highlight=False)
    if not found:
        out.print("No ratio has reached the threshold.")


@app.command()
def found(
    alert: Annotated[UUID, typer.Argument(help="Its id, as `trellis equity show` shows it.")],
    finding: Annotated[str, typer.Argument(help="What you found, and what is done about it.")],
    url: Url = None,
    data: Data = HERE,
    token_file: TokenFile = None,
) -> None:
    """Say what you found about a ratio; until somebody does, it waits.

    Example: trellis equity found 0199a3c2-5d41-7c35-9a53-0e7f2f6f6a11 "One school refers for dress code alone."
    """
    with one_sentence(), operator(url, data, token_file) as http:
        answer_of(http.post(f"/mtss/v1/equity/alerts/{alert}/finding", json={"finding": finding}))
    out.print("Kept. A later month may raise it again.")


def _said(alert: dict[str, Any]) -> str:
    seen = f"{alert['measure']}, {alert['kind']} {alert['group']}: "
    if alert["ratio"] is None:
        seen += f"{alert['side']} likely than all others by {alert['threshold']:.1f} times or further"
        interval = " (of too few to tell how far)"
    else:
        seen += f"{alert['ratio']:.1f} times as likely as all others"
        interval = f" ({alert['low']:.1f} to {alert['high']:.1f})"
    waits = f"waits for {alert['assigned']['staff_id'] if alert['assigned'] else 'a person'}"
    return seen.replace("_", " ") + interval + f"; {alert['finding'] or waits}"
