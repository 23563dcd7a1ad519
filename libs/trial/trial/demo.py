"""``trellis demo``, what ``make run`` starts: a whole district on this machine, from the push to the word to families."""

import shlex
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import httpx
import typer
from rich.console import Console
from rich.progress import Progress

from common import embedded
from common.commands import file_sentence, make_token, services
from common.system_user import EmbeddedError
from trial.catcher import caught_in
from trial.mailbox import FOLDER
from trial.picture import Watch
from trial.sample.district import Sample
from trial.sample.year import last_weekday_before, usual_start
from trial.server import NotStarted, Server, served

_STUDENTS, _SEED = 1200, 1


def demo(
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 8080,
    data: Annotated[Path, typer.Option(help="Where everything is kept.")] = Path("var"),
) -> None:
    """Run everything on this machine with a made-up district, show what came of it, and keep serving.

    Nothing leaves this machine: messages to families go to a mail catcher. Ctrl-C stops. A second run pushes the same
    again: no new decision, no new message.

    Example: trellis demo --port 8080 --data ./var
    """
    console = Console()
    with _stoppable(console, data):
        embedded.refuse_in_use(data)
        _check_port(port)
        embedded.make_folder(data)
        _write_sample(console, data)
        with (
            caught_in(data / FOLDER) as mail_port,
            served(data, port, {"TRELLIS_SMTP_URL": f"smtp://127.0.0.1:{mail_port}"}) as server,
        ):
            with server.attended():
                with console.status("Starting PostgreSQL and all services …"):
                    server.wait_until_ready()
                _run(console, server)
            server.process.wait()
            raise NotStarted(server.last_words())


@contextmanager
def _stoppable(console: Console, data: Path) -> Iterator[None]:
    """Ctrl-C, a polite kill and a closed terminal end it cleanly; what a person can mend is one sentence."""
    # Also where whoever started us lets Ctrl-C be ignored, as a shell does in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as under nohup, which is to outlive the terminal
        signal.signal(signal.SIGHUP, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        console.print("Stopped.")
    except (NotStarted, EmbeddedError) as error:
        _fail(console, str(error))
    except httpx.HTTPError:
        full = embedded.sentence_of("", data) if embedded.is_full(data) else ""
        _fail(console, full or f"A service does not answer as it should: look into {data / 'logs'}, then start again.")
    except OSError as error:
        _fail(console, file_sentence(error, data))


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _fail(console: Console, sentence: str) -> NoReturn:
    console.print(sentence, style="red", soft_wrap=True, markup=False, highlight=False)
    raise typer.Exit(1)


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise NotStarted(f"Port {port} is taken: stop what uses it or choose another with --port.") from None


def _write_sample(console: Console, data: Path) -> None:
    """Write the district once; a later run pushes the same again."""
    folder = data / "sample"
    if folder.exists():
        return
    today = datetime.now().astimezone().date()
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("made-up students", total=_STUDENTS)
        made = Sample(_STUDENTS, _SEED, usual_start(today), last_weekday_before(today))
        made.write(folder, lambda done: bar.advance(task, done))


def _push(server: Server) -> None:
    """Push the district through the doors by the command that everybody has, found as the command line finds it."""
    (command,) = entry_points(group="trellis.commands", name="load")
    try:
        command.load()(server.data / "sample", url=server.url, data=server.data)
    except typer.Exit as ended:
        if ended.exit_code:
            raise NotStarted(f"The district was not pushed: look into {server.log.parent}, then start again.") from None


def _run(console: Console, server: Server) -> None:
    """Push, wait until everything is decided and told, and show it."""
    headers = {"Authorization": f"Bearer {make_token(server.data, 'district')}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=30, trust_env=False) as http:
        watch = Watch(http, tuple(sorted(services())))
        with watch.timed():
            _push(server)
            with console.status("Deciding and telling families …"):
                settled = watch.settle()
        console.print(watch.table())
        if not settled:
            console.print(
                "This machine is busy: deciding and telling families goes on, and these are not yet the last numbers."
            )
        school, student = watch.example()
    console.print("[bold]Nothing left this machine.[/bold]")
    console.print(f"{server.url}\n", highlight=False)
    console.print("Try next, in another window; Ctrl-C here stops:\n")
    for command in _commands(server, school, student):
        console.print(f"  {command}", soft_wrap=True, markup=False, highlight=False)


def _commands(server: Server, school: str, student: str) -> Iterator[str]:
    trellis = shlex.quote(_program())
    data = "" if server.data == Path("var") else f" --data {shlex.quote(str(server.data))}"
    bearer = f'-H "Authorization: Bearer $({trellis} token --role district{data})"'
    yield f"{trellis} mailbox 1{data}"
    yield f"curl -s {bearer} '{server.url}/mtss/v1/students?school={school}&tier=targeted'"
    yield f"curl -s {bearer} {server.url}/mtss/v1/students/{student}"


def _program() -> str:
    program = Path(sys.executable).with_name("trellis")
    try:
        return str(program.relative_to(Path.cwd()))
    except ValueError:
        return str(program)
