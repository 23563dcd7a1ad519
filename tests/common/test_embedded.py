"""Runs as root and, as root, again under a user without rights: each test works in a process of that user's."""

import asyncio
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from common import embedded, system_user
from common.embedded import Cluster, EmbeddedError
from tests.processes import in_a_process, small_disk

SERVICES = ("sis", "mtss")
QUICK = {"fsync": "off"}
ROOT = os.geteuid() == 0
ROOT_FOLDER = Path(__file__).resolve().parents[2]


def ask(url: str, question: str) -> object:
    """The first value that the database of ``url`` answers."""

    async def once() -> object:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        try:
            return await connection.fetchval(question)
        finally:
            await connection.close()

    return asyncio.run(once())


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder under which a server may be left running: it is stopped, and the folder goes."""
    made = Path(tempfile.mkdtemp(prefix="embedded-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    for pid_file in made.rglob("postmaster.pid"):
        embedded.stop(pid_file.parents[2])
    shutil.rmtree(made)


@pytest.fixture(params=["ourselves", pytest.param("nobody", marks=pytest.mark.skipif(not ROOT, reason="needs root"))])
def uid(request: pytest.FixtureRequest, folder: Path) -> int | None:
    """Whose process it is; ``None`` for ourselves."""
    if request.param == "ourselves":
        return None
    nobody = pwd.getpwnam("nobody").pw_uid
    os.chown(folder, nobody, nobody)
    return nobody


def test_each_service_gets_a_database_where_only_its_owner_may_change_the_schema(folder: Path, uid: int | None):
    def work():
        cluster = embedded.start(folder / "var", SERVICES, settings=QUICK)
        owner, application = cluster.owner_url("mtss"), cluster.application_url("mtss")
        assert ask(owner, "SELECT current_user || ' in ' || current_database()") == "mtss_owner in mtss"
        ask(owner, "CREATE TABLE mtss_thing (name text)")
        assert ask(application, "SELECT current_user::text") == "mtss_app"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            ask(application, "CREATE TABLE mtss_other (name text)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            ask(application, "CREATE TEMP TABLE other (name text)")
        for elsewhere in ("/sis?", "/postgres?", "/template1?"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                ask(application.replace("/mtss?", elsewhere), "SELECT 1")
        with pytest.raises(asyncpg.InvalidPasswordError):
            ask(application.replace(cluster.passwords["mtss_app"], "guess"), "SELECT 1")
        rights = (
            "SELECT bool_or(rolsuper OR rolcreatedb OR rolcreaterole OR rolbypassrls OR rolreplication) FROM pg_roles"
        )
        assert ask(owner, f"{rights} WHERE rolname LIKE 'mtss%' OR rolname LIKE 'sis%'") is False

    in_a_process(work, uid)


def test_times_and_order_do_not_depend_on_the_machine(folder: Path):
    cluster = embedded.start(folder / "var", ["mtss"], settings=QUICK)
    place = "SELECT datlocprovider::text || datlocale || pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'mtss'"
    assert ask(cluster.owner_url("mtss"), place) == "bC.UTF-8UTF8"
    assert ask(cluster.owner_url("mtss"), "SELECT current_setting('timezone')") == "UTC"
    assert ask(cluster.owner_url("mtss"), "SELECT current_setting('listen_addresses')") == ""


def test_a_second_start_adopts_the_server_and_adds_what_is_new(folder: Path, uid: int | None):
    def work():
        first = embedded.start(folder / "var", ["sis"], settings=QUICK)
        second = embedded.start(folder / "var", ["sis", "mtss"])
        assert first.pid == second.pid is not None
        assert second.owner_url("sis") == first.owner_url("sis")
        assert ask(second.application_url("mtss"), "SELECT 1") == 1
        second.stop()
        assert first.pid is None
        first.stop()

    in_a_process(work, uid)


def test_starting_again_finds_what_was_written(folder: Path, uid: int | None):
    def work():
        cluster = embedded.start(folder / "var", SERVICES, settings=QUICK | {"work_mem": "5MB"})
        assert ask(cluster.owner_url("mtss"), "SELECT current_setting('work_mem')") == "5MB"
        ask(cluster.owner_url("mtss"), "CREATE TABLE mtss_thing AS SELECT 7 AS value")
        cluster.stop()
        assert not list(cluster.socket.glob(".s.PGSQL*"))
        again = embedded.start(folder / "var", SERVICES, settings=QUICK)
        assert ask(again.owner_url("mtss"), "SELECT value FROM mtss_thing") == 7

    in_a_process(work, uid)


def test_after_kill_minus_nine_it_starts_again_with_everything_committed(folder: Path, uid: int | None):
    def work():
        cluster = embedded.start(folder / "var", SERVICES, settings=QUICK)
        ask(cluster.owner_url("mtss"), "CREATE TABLE mtss_thing AS SELECT 7 AS value")
        killed = cluster.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        again = embedded.start(folder / "var", SERVICES, settings=QUICK)
        assert again.pid != killed
        assert ask(again.owner_url("mtss"), "SELECT value FROM mtss_thing") == 7

    in_a_process(work, uid)


def test_a_process_id_left_behind_that_now_is_another_process_does_not_prevent_a_start(folder: Path, uid: int | None):
    def work():
        cluster = embedded.start(folder / "var", SERVICES, settings=QUICK)
        left = (cluster.folder / "cluster" / "postmaster.pid").read_text()
        cluster.stop()
        lines = [str(os.getpid()), *left.splitlines()[1:]]
        (cluster.folder / "cluster" / "postmaster.pid").write_text("\n".join(lines))
        assert ask(embedded.start(folder / "var", SERVICES, settings=QUICK).owner_url("mtss"), "SELECT 1") == 1

    in_a_process(work, uid)


def test_a_server_that_is_just_ending_is_waited_for_and_started_again(folder: Path, uid: int | None):
    def work():
        cluster = embedded.start(folder / "var", SERVICES, settings=QUICK)
        place = cluster.folder / "cluster"
        left = (place / "postmaster.pid").read_text()
        cluster.stop()
        with subprocess.Popen(["sleep", "1"], cwd=place) as ending:
            (place / "postmaster.pid").write_text("\n".join([str(ending.pid), *left.splitlines()[1:]]))
            reaped = threading.Thread(target=ending.wait)
            reaped.start()
            again = embedded.start(folder / "var", SERVICES, settings=QUICK)
            reaped.join()
        assert ask(again.owner_url("mtss"), "SELECT 1") == 1

    in_a_process(work, uid)


def test_processes_that_start_at_once_share_one_server(folder: Path):
    def start() -> None:
        cluster = embedded.start(folder / "var", SERVICES, settings=QUICK)
        with (folder / "seen").open("a") as seen:
            seen.write(f"{cluster.pid}\n")

    children = []
    for _ in range(3):
        if (child := os.fork()) == 0:
            with suppress(BaseException):
                start()
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)

    seen = (folder / "seen").read_text().split()
    assert len(seen) == 3
    assert len(set(seen)) == 1


def test_an_interrupted_first_start_leaves_nothing_half_made(folder: Path):
    (folder / "var" / "postgres" / "cluster.new" / "base").mkdir(parents=True)
    (folder / "var" / "postgres" / "password.new").touch()

    cluster = embedded.start(folder / "var", SERVICES, settings=QUICK)

    assert ask(cluster.owner_url("mtss"), "SELECT 1") == 1
    assert {each.name for each in cluster.folder.iterdir()} == {"cluster", "server.log", "socket"}


def test_passwords_data_and_socket_are_private(folder: Path, uid: int | None):
    def work():
        cluster = embedded.start(folder / "var", SERVICES, settings=QUICK)
        modes = {
            name: stat.S_IMODE((folder / "var" / name).stat().st_mode)
            for name in (".", "postgres.json", "postgres", "postgres/cluster", "postgres/socket")
        }
        root = os.geteuid() == 0
        assert modes.pop(".") == (0o711 if root else 0o700)
        assert modes.pop("postgres.json") == 0o600
        assert set(modes.values()) == {0o700}
        owner = cluster.folder.stat().st_uid
        assert (owner == pwd.getpwnam(system_user.SYSTEM_USER).pw_uid) if root else (owner == os.geteuid())
        assert not any(password in repr(cluster) for password in cluster.passwords.values())

    in_a_process(work, uid)


def test_a_folder_that_was_there_keeps_its_mode(folder: Path, uid: int | None):
    (folder / "var").mkdir()
    os.chown(folder / "var", uid or -1, -1)
    (folder / "var").chmod(0o755)

    def work():
        embedded.make_folder(folder / "var")
        embedded.start(folder / "var", SERVICES, settings=QUICK)
        assert stat.S_IMODE((folder / "var").stat().st_mode) == 0o755

    in_a_process(work, uid)


def test_a_server_that_is_gone_is_started_again_as_it_was_until_it_is_no_longer_kept(folder: Path, uid: int | None):
    def work():
        for data in (folder / "var", folder / ("long" * 30)):
            cluster = embedded.start(data, SERVICES, settings=QUICK | {"work_mem": "5MB"})
            with embedded.kept(cluster):
                killed = cluster.pid
                assert killed is not None
                os.kill(killed, signal.SIGKILL)
                until = time.monotonic() + 20
                while cluster.pid in (None, killed):
                    assert time.monotonic() < until
                    time.sleep(0.1)
            assert ask(cluster.owner_url("mtss"), "SELECT current_setting('work_mem')") == "5MB"
            cluster.stop()
            assert cluster.pid is None

    in_a_process(work, uid)


def test_what_started_and_does_not_fit_is_stopped_again(folder: Path):
    embedded.start(folder / "var", SERVICES, settings=QUICK).stop()
    passwords = json.loads((folder / "var" / "postgres.json").read_text())
    (folder / "var" / "postgres.json").write_text(json.dumps(dict.fromkeys(passwords, "guess")))

    assert "does not fit" in refused(folder / "var")
    assert not embedded.stop(folder / "var")


def test_a_path_too_long_for_a_socket_gets_a_private_one_elsewhere(folder: Path, uid: int | None):
    def work():
        cluster = embedded.start(folder / ("long" * 30), SERVICES, settings=QUICK)
        assert ask(cluster.owner_url("mtss"), "SELECT 1") == 1
        assert stat.S_IMODE(cluster.socket.stat().st_mode) == 0o700
        os.kill(cluster.pid or 0, signal.SIGKILL)
        again = embedded.start(folder / ("long" * 30), SERVICES, settings=QUICK)
        assert not cluster.socket.exists()
        again.stop()
        assert not again.socket.exists()

    in_a_process(work, uid)


def test_a_failed_statement_does_not_reach_the_log_with_its_values(folder: Path):
    cluster = embedded.start(folder / "var", SERVICES, settings=QUICK)
    ask(cluster.owner_url("mtss"), "CREATE TABLE mtss_thing (name text UNIQUE)")
    ask(cluster.owner_url("mtss"), "INSERT INTO mtss_thing VALUES ('Wanda Canary')")
    with pytest.raises(asyncpg.UniqueViolationError):
        ask(cluster.owner_url("mtss"), "INSERT INTO mtss_thing VALUES ('Wanda Canary')")
    assert "Canary" not in (cluster.folder / "server.log").read_text()


def test_what_cannot_be_is_said_in_one_sentence(folder: Path, uid: int | None):
    (folder / "closed").mkdir()
    (folder / "file").touch()
    (folder / "other" / "postgres" / "cluster").mkdir(parents=True)
    (folder / "other" / "postgres" / "cluster" / "PG_VERSION").write_text("9\n")
    for each in (folder / "other").rglob("*"):
        os.chown(each, uid or -1, -1)
    os.chown(folder / "other", uid or -1, -1)
    (folder / "closed").chmod(0o555)

    def work():
        assert "PostgreSQL 9" in refused(folder / "other")
        assert "not a directory" in refused(folder / "file" / "var").lower()
        if os.geteuid():
            assert "choose another folder" in refused(folder / "closed" / "var")
        lost = embedded.start(folder / "var", SERVICES, settings=QUICK)
        passwords = json.loads((folder / "var" / "postgres.json").read_text())
        (folder / "var" / "postgres.json").write_text(json.dumps(dict.fromkeys(passwords, "guess")))
        assert "does not fit" in refused(folder / "var")
        lost.stop()

    in_a_process(work, uid)


def refused(data: Path) -> str:
    with pytest.raises(EmbeddedError) as refusal:
        embedded.start(data, SERVICES)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


needs_root = pytest.mark.skipif(not ROOT, reason="only root runs it under another user")


def test_a_full_disk_is_said_in_one_sentence():
    with small_disk(20) as small:
        assert "is full" in refused(small / "var")


def test_what_runs_is_not_stopped_to_be_cleared_away(folder: Path):
    ours = Path(sys.executable).parent
    clean = ("make", "-C", folder, "-f", ROOT_FOLDER / "Makefile", f"BIN={ours}", "clean-data")
    server = embedded.start(folder / "var", SERVICES, settings=QUICK).pid

    with embedded.alone(folder / "var"):
        kept = subprocess.run(clean, capture_output=True, text=True, check=False)
        assert Path(f"/proc/{server}/cwd").exists()
        assert (folder / "var" / "postgres.json").exists()
    cleared = subprocess.run(clean, capture_output=True, text=True, check=False)

    assert kept.returncode != 0
    assert kept.stderr.startswith("Trellis runs on var already: stop it, or choose another folder.\n")
    assert cleared.returncode == 0, cleared.stderr
    assert not Path(f"/proc/{server}/cwd").exists()
    assert not (folder / "var").exists()


@needs_root
def test_below_a_closed_folder_only_the_system_user_may_pass(folder: Path):
    closed = folder / "closed"
    (closed / "open").mkdir(parents=True)
    closed.chmod(0o700)

    cluster = embedded.start(closed / "open" / "var", SERVICES, settings=QUICK)

    assert ask(cluster.owner_url("mtss"), "SELECT 1") == 1
    listing = subprocess.run(["/bin/ls", closed], user=SYSTEM_UID(), group=SYSTEM_UID(), extra_groups=(), check=False)
    assert listing.returncode != 0, "passing is not reading"
    assert stat.S_IMODE(closed.stat().st_mode) & 0o007 == 0
    nobody = pwd.getpwnam("nobody").pw_uid

    def stranger():
        with pytest.raises(PermissionError):
            os.chdir(closed / "open")

    in_a_process(stranger, nobody)


def SYSTEM_UID() -> int:
    return pwd.getpwnam(system_user.SYSTEM_USER).pw_uid


@needs_root
def test_a_folder_that_refuses_access_control_entries_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch):
    (folder / "closed").mkdir(mode=0o700)

    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    assert "may not pass to" in refused(folder / "closed" / "var")


@needs_root
def test_passage_keeps_the_entries_that_were_there_and_widens_none(folder: Path):
    nobody = pwd.getpwnam("nobody").pw_uid
    folder.chmod(0o750)
    system_user._grant_passage(folder, nobody)
    folder.chmod(0o700)  # the mask now hides every entry

    system_user._grant_passage(folder, SYSTEM_UID())

    may_pass = {
        uid: system_user._may_enter(system_user.Account("x", uid, uid), folder) for uid in (nobody, SYSTEM_UID())
    }
    assert may_pass == {nobody: False, SYSTEM_UID(): True}


@needs_root
def test_root_adopts_the_folder_of_an_ordinary_user_as_that_user(folder: Path):
    nobody = pwd.getpwnam("nobody").pw_uid
    os.chown(folder, nobody, nobody)
    in_a_process(lambda: embedded.start(folder / "var", SERVICES, settings=QUICK).stop(), nobody)

    cluster: Cluster = embedded.start(folder / "var", SERVICES, settings=QUICK)

    assert cluster.folder.stat().st_uid == nobody
    assert ask(cluster.owner_url("mtss"), "SELECT 1") == 1
