"""What the commands of ``trellis`` share: options, one sentence for what went wrong, and a client that asks as the district."""

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import httpx
import typer
from pydantic import ValidationError
from rich.console import Console

from common.auth import staff_token
from common.embedded import EmbeddedError, told_address
from common.keys import KeysMissing, read_signing_key
from common.settings import NotConfigured

out = Console()

# Not checked by typer, whose words for a closed folder do not say what to do.
Data = Annotated[
    Path, typer.Option("--data", help="The folder of the embedded database, keys and logs.", readable=False)
]
HERE, ADDRESS = Path("var"), "http://127.0.0.1:8080"
Url = Annotated[
    str | None,
    typer.Option("--url", help=f"Where Trellis answers; else where it does that runs on --data, else {ADDRESS}."),
]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", help="A file with a token; else one is made from --data.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Page = Annotated[Path | None, typer.Option("--page", help="Write the page to read or print to this file.")]


class Stop(typer.Exit):
    """Ends the command with one sentence that says what to do."""

    def __init__(self, sentence: str) -> None:
        Console(stderr=True).print(sentence, style="red", soft_wrap=True, highlight=False)
        super().__init__(1)


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn what an operator can mend into one sentence and exit code 1."""
    try:
        yield
    except (EmbeddedError, KeysMissing, NotConfigured) as error:
        raise Stop(str(error)) from None
    except ValidationError as error:
        raise Stop(_settings_sentence(error)) from None
    except OSError as error:
        raise Stop(file_sentence(error, error.filename or "the folder")) from None


def file_sentence(error: OSError, where: object) -> str:
    """What to do about a file or folder that cannot be used, in one sentence."""
    if error.errno == errno.ENOSPC:
        return f"No space is left for {where}: free some, or choose another folder."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"No permission to write {where}: choose another folder."
    return f"{where} cannot be used ({error.strerror or error}): choose another file or folder."


def _settings_sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    name = "__".join(str(part) for part in first["loc"]).upper()
    return f"TRELLIS_{name} is not acceptable: {first['msg'].removeprefix('Value error, ')}."


def services() -> dict[str, Callable[[], Any]]:
    """Every installed service by name, with what loads its application."""
    return {each.name: each.load for each in entry_points(group="trellis.services")}


def named(service: str) -> str:
    """The name of a service, if one is installed under it.

    Raises:
        Stop: none is; names those that are.
    """
    if service not in services():
        raise Stop(f"There is no service of that name: choose one of {', '.join(sorted(services()))}.")
    return service


def make_token(
    data: Path, role: str, *, schools: Sequence[str] = (), staff: UUID | None = None, permissions: Sequence[str] = ()
) -> str:
    """A token signed with the staff key of embedded data.

    Raises:
        KeysMissing: there is no such key in ``data``.
    """
    key = read_signing_key(data / "keys" / "staff")
    return staff_token(key, role=role, schools=schools, staff=staff, permissions=permissions)


def address(url: str | None, data: Path) -> str:
    """Where Trellis is asked: at ``url``, else where it answers that runs on ``data``, else at the port that is usual."""
    return url or told_address(data, here=True) or ADDRESS


@contextmanager
def operator(
    url: str | None, data: Path, token_file: Path | None, *, permissions: Sequence[str] = ()
) -> Iterator[httpx.Client]:
    """A client that asks as the district, with the token in the file, or one made from embedded data with ``permissions``.

    Raises:
        Stop: Trellis does not answer; says where.
    """
    text = token_file.read_text().strip() if token_file else make_token(data, "district", permissions=permissions)
    asked = address(url, data)
    try:
        with httpx.Client(
            base_url=asked, headers={"Authorization": f"Bearer {text}"}, timeout=30, trust_env=False
        ) as http:
            yield http
    except (httpx.TransportError, httpx.InvalidURL):
        raise Stop(f"Trellis does not answer at {asked}: is `trellis up` running, and is --url right?") from None


def answer_of(response: httpx.Response) -> dict[str, Any]:
    """The body of a good answer; nothing, if it has none.

    Raises:
        Stop: it is not one; says why.
    """
    if response.is_success:
        body: dict[str, Any] = response.json() if response.content else {}
        return body
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError):
        detail = f"{response.status_code} {response.reason_phrase}"
    raise Stop(str(detail))


def text_of(response: httpx.Response) -> str:
    """The text of a good answer that is no JSON.

    Raises:
        Stop: it is not one; says why.
    """
    if not response.is_success:
        answer_of(response)
    return response.text


def write_page(response: httpx.Response, file: Path) -> None:
    """Write the page of a good answer to a file, and say so.

    Raises:
        Stop: it is not one; says why.
    """
    file.write_text(text_of(response), encoding="utf-8")
    out.print(f"Written to {file}: open it in a browser, or print it.", highlight=False)


def pages(http: httpx.Client, path: str, **query: Any) -> Iterator[dict[str, Any]]:
    """The items of every page."""
    for page in whole_pages(http, path, **query):
        yield from page["items"]


def whole_pages(http: httpx.Client, path: str, **query: Any) -> Iterator[dict[str, Any]]:
    """Every page, with what else it says."""
    cursor: str | None = None
    while True:
        page = answer_of(http.get(path, params=query | ({"cursor": cursor} if cursor else {})))
        yield page
        cursor = page["next"]
        if cursor is None:
            return
