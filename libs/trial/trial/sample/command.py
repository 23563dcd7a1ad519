"""``trellis sample``."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from trial.sample.district import FolderInUse, Sample
from trial.sample.year import last_weekday_before, usual_start

_DAY = ["%Y-%m-%d"]


def sample(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write it; made if it is not there.")],
    students: Annotated[int, typer.Option(min=1, max=1_000_000)] = 1200,
    seed: Annotated[int, typer.Option(min=0, help="Another number makes another district.")] = 1,
    starts: Annotated[
        datetime | None,
        typer.Option(formats=_DAY, help="First school day.  [default: so that today is about the 120th school day]"),
    ] = None,
    through: Annotated[
        datetime | None,
        typer.Option(formats=_DAY, help="Last day to tell of.  [default: the last weekday before today]"),
    ] = None,
) -> None:
    """Write a made-up district as a student information system would export it.

    The same arguments give the same files. Nobody in them exists, and no address in them can be anybody's.

    Three examples:

        trellis sample var/sample

        trellis sample /tmp/large --students 50000 --seed 7

        trellis sample /tmp/spring --starts 2025-08-25 --through 2026-03-13
    """
    today = datetime.now().astimezone().date()
    first = starts.date() if starts else usual_start(today)
    last = through.date() if through else max(first, last_weekday_before(today))
    if last < first:
        raise typer.BadParameter(f"--through lies before the first school day, {first}; give --starts too.")
    console = Console(stderr=True)
    try:
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task("students", total=students)
            Sample(students, seed, first, last).write(folder, lambda done: bar.advance(task, done))
    except FolderInUse:
        console.print(f"{folder} holds other files; choose an empty folder or a new one.", soft_wrap=True)
        raise typer.Exit(1) from None
    except OSError as error:
        console.print(f"{folder} cannot be written: {(error.strerror or 'unknown reason').lower()}.", soft_wrap=True)
        raise typer.Exit(1) from None
    typer.echo(f"{students} students, school year from {first}, as known on {last}: {folder}")
