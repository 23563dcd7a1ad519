"""``trellis load``."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from common.commands import HERE, Url, address
from common.keys import KeysMissing, read_signing_key
from sis.loading.checking import check_folder
from sis.loading.closing import clock_held, close_days
from sis.loading.conferences import ConferencePusher
from sis.loading.door import As, Door, MintedTokens, NotPermitted, Refused, Stop, TokenFromFile, Tokens, say_nothing
from sis.loading.folder import CALENDAR_FILE, Folder
from sis.loading.report import Report
from sis.loading.rows import Pusher
from sis.loading.surveys import SurveyPusher

_TIMEOUT = httpx.Timeout(60.0, connect=5.0)
_SCORES_SAID_SECONDS = 10.0


def load(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of exported files.", readable=False)],
    url: Url = None,
    data: Annotated[
        Path, typer.Option(help="The folder whose keys sign the tokens.", readable=False)  # else in typer's words
    ] = HERE,
    token_file: Annotated[
        Path | None, typer.Option(help="A file with a token; parts it may not push are left out.", readable=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and count every row, push nothing.")] = False,
    single: Annotated[
        bool, typer.Option("--single", help="One request for each row, as a SIS does, not in bulk.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Let calendar.csv take a large part of a school year's days away.")
    ] = False,
) -> None:
    """Push a folder of exported files through the HTTP doors. It may be interrupted and repeated.

    JSON lines named after the Ed-Fi resources, calendar.csv, survey answers and steps of conferences; any may be missing.

    At the end each school's days are closed through the newest attendance row.

    Rows that were rejected, or wait for what no file brought, are listed, and the exit code is 1.

    Three examples:

        trellis load var/sample

        trellis load exports/2026-10-02 --dry-run

        trellis load exports --url https://trellis.example --token-file sis.token
    """
    console = Console(stderr=True)
    asked = address(url, data)
    with _one_sentence(console, asked):
        source = _source_in(folder)
        with _bars(console) as bars:
            report = Report(bars)
            if dry_run:
                check_folder(source, report, _said_in(token_file, bars.say))
            else:
                tokens = (
                    TokenFromFile(token_file) if token_file else MintedTokens(read_signing_key(data / "keys" / "staff"))
                )
                asyncio.run(push(source, report, asked, tokens, single=single, replace=replace, say=bars.say))
        _tell(console, report, source.unread_names(), dry_run=dry_run)
    raise typer.Exit(1 if report.rejected_count or report.waiting_count else 0)


async def push(
    folder: Folder,
    report: Report,
    url: str,
    tokens: Tokens,
    *,
    single: bool = False,
    replace: bool = False,
    say: Callable[[str], None] = say_nothing,
    transport: httpx.AsyncBaseTransport | None = None,
) -> None:
    """Push everything: rows, surveys, then the school days, so that the first decisions rest on all of it, then conferences.

    Raises:
        Stop: the other side does not answer or does not accept the token; also inside an exception group.
    """
    async with httpx.AsyncClient(base_url=url, timeout=_TIMEOUT, transport=transport, trust_env=False) as http:
        door = Door(http, tokens, say=say)
        async with clock_held(door):
            pusher = Pusher(door, folder, report, single=single, replace=replace)
            await pusher.push_all()
            surveys = SurveyPusher(pusher)
            await surveys.push_all()
            if surveys.windows:
                await _scores_said(door)
            today = datetime.now().astimezone().date()
            await close_days(door, folder, report, today, without=pusher.not_attended)
        await ConferencePusher(pusher).push_all()


async def _scores_said(door: Door) -> None:
    """Give surveys a moment to say its scores, so that days do not close before them; right in any order, calmer in this."""
    for _ in range(int(_SCORES_SAID_SECONDS / 0.2)):
        try:
            status = (await door.send("GET", "/surveys/v1/status", As("district"))).json()
        except (Refused, NotPermitted):
            return
        if not status.get("unpublished"):
            return
        await asyncio.sleep(0.2)


class _Bars:
    """A progress bar for each part."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def begin(self, part: str, total: int) -> None:
        """A part begins."""
        self._tasks[part] = self._progress.add_task(part, total=total)

    def say(self, sentence: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(sentence, soft_wrap=True, markup=False, highlight=False)

    def advance(self, part: str, rows: int) -> None:
        """So many more rows are settled."""
        if part in self._tasks:
            self._progress.advance(self._tasks[part], rows)


@contextmanager
def _bars(console: Console) -> Iterator[_Bars]:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        yield _Bars(progress)


def _tell(console: Console, report: Report, unread: list[str], *, dry_run: bool) -> None:
    _list(console, report.rejected, report.rejected_count)
    _list(console, report.waiting, report.waiting_count)
    for part in report.left_out:
        console.print(f"{part}: left out, this token may not push it", highlight=False)
    for school, year in report.left_years:
        sentence = f"school {school}, school year {year}: left as it was, because a line of it was rejected"
        console.print(f"{CALENDAR_FILE}: {sentence}", soft_wrap=True, markup=False, highlight=False)
    for name in unread:
        console.print(
            f"{name}: left unread, no file of this name is known", soft_wrap=True, markup=False, highlight=False
        )
    rows = sum(report.taken.values())
    what = "would be pushed" if dry_run else "taken"
    closed = f", {report.closed} school days closed" if report.closed else ""
    waiting = f", {report.waiting_count} wait for {', '.join(sorted(report.awaited))}" if report.waiting_count else ""
    console.print(f"{rows} rows {what}, {report.rejected_count} rejected{waiting}{closed}.", highlight=False)


def _list(console: Console, rows: list[tuple[str, int, str]], count: int) -> None:
    for file, line, reason in sorted(rows):
        console.print(f"{file}{f':{line}' if line else ''}: {reason}", soft_wrap=True, markup=False, highlight=False)
    if count > len(rows):
        console.print(f"… and {count - len(rows)} more", highlight=False)


def _said_in(token_file: Path | None, say: Callable[[str], None]) -> As | None:
    if token_file is None:
        return None
    token = TokenFromFile(token_file).says()
    if token is None:
        say("The token does not say its role itself: parts that it may not push are counted too.")
    return token


def _source_in(folder: Path) -> Folder:
    if not folder.is_dir():
        raise Stop(f"{folder} is no folder: give the folder that holds the exported files.")
    source = Folder(folder)
    if not source.known_names():
        raise Stop(f"{folder} holds no file to push: files are named after Ed-Fi resources, such as students.jsonl.")
    return source


@contextmanager
def _one_sentence(console: Console, url: str) -> Iterator[None]:
    """End with one sentence and exit code 1 for what a person can mend."""
    try:
        yield
        return
    except KeysMissing as error:
        sentence = f"{error} Or give a token with --token-file."
    except BaseExceptionGroup as group:
        sentence = _sentence_of(_first_in(group))
    except (Stop, OSError) as error:
        sentence = _sentence_of(error)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        sentence = f"{url} is no address: --url takes one such as http://127.0.0.1:8080."
    console.print(sentence, soft_wrap=True, markup=False, highlight=False)
    raise typer.Exit(1)


def _sentence_of(error: BaseException) -> str:
    if isinstance(error, OSError):
        return f"{error.filename} cannot be read ({error.strerror or error}): give one that you may read."
    return str(error)


def _first_in(group: BaseExceptionGroup[BaseException]) -> BaseException:
    mendable, others = group.split((Stop, OSError))
    if mendable is None or others is not None:
        raise group
    found: BaseException = mendable
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
