"""`trellis up` as operators meet it: whom it listens to, whom its services ask, and a stop or a full disk on the way."""

import os
import pwd
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from typer.testing import CliRunner

from common import embedded
from common.cli import app
from common.embedded import Cluster
from common.runtime import Runtime
from common.serving import _embedded_app
from tests.processes import at_work, free_port, in_a_process, small_disk, trellis, up

ELSEWHERE = "127.0.0.2"
"""Another address of this machine, which only a server that listens everywhere answers."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    tmp_path.chmod(0o711)
    return tmp_path / "var"


@pytest.fixture
def small() -> Iterator[Path]:
    """A disk of 130 MB with nothing on it."""
    with small_disk(150) as disk:
        yield disk


def push(port: int, token: str, *, host: str = "127.0.0.1") -> httpx.Response:
    """Push a school whose name is new."""
    return httpx.post(
        f"http://{host}:{port}/sis/data/v3/ed-fi/schools",
        json={"schoolId": 7, "nameOfInstitution": f"School {uuid4()}"},
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=20,
    )


def fill(disk: Path) -> Path:
    """Leave not a byte on this disk; the file that takes it all."""
    taking = disk / "fill"
    with taking.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(65536)):
                pass
        except OSError:
            return taking
    raise AssertionError("the disk has no end")


async def test_sisters_are_asked_in_the_same_process_whatever_the_public_address(
    data: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("TRELLIS_PUBLIC_URL", "https://trellis.invalid")
    with up(data, port):
        service = _embedded_app("notifications", cluster, data / "keys" / "notifications", port=port, kafka="")
        notifications: Runtime = service.state.runtime
        service.state.runtime = None

        heard = await notifications.clients.request("sis", "GET", f"/sis/v1/students/{uuid4()}/contacts")

        await notifications.close()
    assert (notifications.settings.public_url, heard.status_code) == ("https://trellis.invalid", 404)


def test_with_keys_of_its_own_it_listens_everywhere_and_trusts_no_other_keys(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, own, foreign = free_port(), tmp_path / "own", tmp_path / "foreign"
    for folder in (own / "keys", foreign / "keys"):
        assert trellis("keys", str(folder)).returncode == 0
    ours, theirs = (
        trellis("token", "--role", "sis", "--data", str(folder)).stdout.strip() for folder in (own, foreign)
    )

    monkeypatch.setenv("TRELLIS_KEYS", str(own / "keys"))
    with at_work(data, port):
        answers = [push(port, token, host=ELSEWHERE).status_code for token in (ours, theirs)]
        no_token = trellis("token", "--role", "sis", "--data", str(data))

    assert answers == [201, 401]
    assert (no_token.returncode, no_token.stdout) == (1, "")
    assert not (data / "keys").exists()


def test_without_keys_only_this_machine_is_heard_and_a_half_sent_request_does_not_hold_up_a_stop(data: Path) -> None:
    port = free_port()
    with up(data, port) as process:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((ELSEWHERE, port))
        token = trellis("token", "--role", "sis", "--data", str(data)).stdout.strip()
        with socket.create_connection(("127.0.0.1", port)) as half:
            lines = ("POST /sis/data/v3/ed-fi/schools HTTP/1.1", "Host: x", f"Authorization: Bearer {token}")
            half.sendall("\r\n".join((*lines, "Content-Length: 99", "", '{"schoolId": 7')).encode())
            time.sleep(0.5)

            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            half.settimeout(20)
            with suppress(ConnectionResetError):
                half.recv(1)
            let_go = time.monotonic() - began
        process.wait(timeout=20)

    assert let_go < 5
    assert process.returncode == 0


@pytest.mark.slow
def test_on_a_full_disk_it_answers_503_and_goes_on_once_there_is_space(small: Path) -> None:
    data, port = small / "var", free_port()
    with up(data, port) as process:
        token = trellis("token", "--role", "sis", "--data", str(data)).stdout.strip()
        assert push(port, token).status_code == 201

        taking = fill(small)
        os.kill(int((data / "postgres/cluster/postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        time.sleep(5)  # in which it was started in vain
        refused = [push(port, token) for _ in range(3)]
        assert process.returncode is None
        taking.unlink()
        until = time.monotonic() + 30
        while push(port, token).status_code != 200:
            assert time.monotonic() < until, data.with_suffix(".log").read_text()[-2000:]
            time.sleep(0.2)

    said = data.with_suffix(".log").read_text()[-2000:]
    assert {(each.status_code, each.headers["content-type"]) for each in refused} == {(503, "application/problem+json")}
    assert process.returncode == 0, said


@pytest.mark.parametrize("free_kilobytes", [0, 64, 55_000], ids=["nothing", "no cluster", "no databases"])
def test_a_disk_too_full_to_start_is_one_sentence(small: Path, free_kilobytes: int) -> None:
    taking, data = fill(small), small / "var"
    os.truncate(taking, taking.stat().st_size - free_kilobytes * 1024)

    refused = trellis("up", "--port", str(free_port()), "--data", str(data))

    assert refused.returncode == 1
    assert ("is full" in refused.stderr) or ("No space is left" in refused.stderr)
    assert refused.stderr.count("\n") == 1
    assert not embedded.stop(data), "PostgreSQL still runs"


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder that everybody may read and only its owner may write."""
    made = Path(tempfile.mkdtemp(prefix="closed-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not write")
@pytest.mark.parametrize("mode", [0o755, 0o700], ids=["read only", "closed"])
@pytest.mark.parametrize("name", [".", "var"], ids=["there", "to be made"])
def test_a_folder_that_may_not_be_written_is_one_sentence(closed: Path, name: str, mode: int) -> None:
    closed.chmod(mode)

    def work() -> None:
        refused = CliRunner().invoke(app, ["up", "--port", str(free_port()), "--data", str(closed / name)])

        assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
        assert refused.stderr.startswith(f"No permission to write {closed}")
        assert refused.stderr.endswith("choose another folder.\n")

    in_a_process(work, pwd.getpwnam("nobody").pw_uid)
