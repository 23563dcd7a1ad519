"""``trellis mailbox``: what the mail catcher got."""

from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table

from common.commands import HERE, Url, address, make_token
from common.keys import KeysMissing

FOLDER = "mail"
_SECONDS = 2.0


def mailbox(
    number: Annotated[int | None, typer.Argument(min=1, help="Show this message; all are listed without.")] = None,
    data: Annotated[Path, typer.Option(help="The folder that holds the caught messages.")] = HERE,
    url: Url = None,
) -> None:
    """List the messages that the mail catcher kept, or show one.

    Two examples:

        trellis mailbox

        trellis mailbox 3
    """
    console = Console()
    paths = caught(data)
    if number is None:
        _list(console, paths)
        letters = _letters_waiting(address(url, data), data)
        if letters is not None:
            console.print(f"{letters} letters wait in the print queue.", highlight=False)
        return
    if number > len(paths):
        console.print(f"There are {len(paths)} messages.", highlight=False)
        raise typer.Exit(1)
    _show(console, _read(paths[number - 1]))


def caught(data: Path) -> list[Path]:
    """The kept messages, oldest first."""
    return sorted((data / FOLDER).glob("*.eml"))


def _list(console: Console, paths: list[Path]) -> None:
    if not paths:
        console.print("No message was caught. `make run` starts the mail catcher.", highlight=False)
        return
    table = Table("", "date", "to", "subject", "language")
    for number, path in enumerate(paths, start=1):
        message = _read(path)
        table.add_row(
            str(number), _date(message), _to(message), str(message["Subject"]), str(message["Content-Language"] or "–")
        )
    console.print(table)


def _show(console: Console, message: EmailMessage) -> None:
    for name in ("Date", "From", "To", "Subject", "Content-Language", "List-Unsubscribe"):
        if message[name]:
            console.print(f"[bold]{name}:[/bold]", end=" ")
            console.print(str(message[name]), markup=False, highlight=False, soft_wrap=True)
    body = message.get_body(("plain",))
    console.print()
    console.print(body.get_content() if body else "(no text)", markup=False, highlight=False, soft_wrap=True)


def _read(path: Path) -> EmailMessage:
    message = message_from_bytes(path.read_bytes(), policy=default)
    if not isinstance(message, EmailMessage):
        raise TypeError("the default policy makes e-mail messages")
    return message


def _date(message: EmailMessage) -> str:
    found: Any = message["Date"]
    return f"{found.datetime:%Y-%m-%d %H:%M}" if found else "–"


def _to(message: EmailMessage) -> str:
    found: Any = message["To"]
    addresses: tuple[Address, ...] = found.addresses if found else ()
    return ", ".join(address.addr_spec for address in addresses)


def _letters_waiting(url: str, data: Path) -> int | None:
    """How many letters nobody has printed yet; ``None`` where that cannot be asked."""
    waiting, cursor = 0, ""
    try:
        headers = {"Authorization": f"Bearer {make_token(data, 'district')}"}
        with httpx.Client(base_url=url, headers=headers, timeout=_SECONDS, trust_env=False) as http:
            while True:
                asked = {"printed": "false", "limit": "500"} | ({"cursor": cursor} if cursor else {})
                page = http.get("/notifications/v1/letters", params=asked).raise_for_status().json()
                waiting += len(page["items"])
                cursor = page["next"] or ""
                if not cursor:
                    return waiting
    except (httpx.HTTPError, KeysMissing, ValueError):
        return None
