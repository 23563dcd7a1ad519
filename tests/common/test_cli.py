"""The command line: what it prints, and one sentence for whatever an operator can mend."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from common.auth import principal_of
from common.keys import read_keys, write_keys

TRELLIS = [sys.executable, "-c", "from common.cli import main; main()"]


def trellis(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*TRELLIS, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"COLUMNS": "200"} | environment,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def up(data: Path, port: int) -> Iterator["subprocess.Popen[str]"]:
    """`trellis up`, ready; killed at the end if it still runs."""
    process = subprocess.Popen(
        [*TRELLIS, "up", "--port", str(port), "--data", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _wait_until_ready(process, port)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def _wait_until_ready(process: "subprocess.Popen[str]", port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"not ready: {process.communicate(timeout=5)}")


def test_the_version_is_one_line() -> None:
    assert trellis("--version").stdout == "trellis 0.1.0\n"


@pytest.mark.parametrize(
    "command", ["up", "serve", "migrate", "keys", "token", "status", "events", "load", "sample", "mailbox"]
)
def test_every_command_explains_itself(command: str) -> None:
    shown = trellis(command, "--help")

    assert shown.returncode == 0
    assert "Usage:" in shown.stdout


def test_a_token_is_printed_and_nothing_else(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys", ["mtss"])

    printed = trellis("token", "--role", "principal", "--school", "7", "--school", "8", "--data", str(tmp_path))

    who = principal_of(printed.stdout.strip(), service="mtss", trusted=read_keys(tmp_path / "keys" / "mtss").trusted)
    assert (who.role, who.schools, printed.stdout.count("\n")) == ("principal", frozenset({"7", "8"}), 1)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["token", "--role", "root"], "There is no role of that name"),
        (["token", "--role", "district", "--data", "/nowhere"], "There is no signing key"),
        (["token", "--role", "facilitator", "--staff", "207219"], "--staff takes our id"),
        (["serve", "nothing"], "There is no service of that name"),
        (["serve", "mtss"], "TRELLIS_KAFKA is missing"),
        (["migrate"], "TRELLIS_OWNER_DATABASE_URL is missing"),
        (["status", "--token-file", "/nowhere"], "No such file or directory: /nowhere"),
        (["up", "--data", "/proc/nothing"], "/proc/nothing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_an_operator_can_mend_is_one_sentence(arguments: list[str], says: str) -> None:
    refused = trellis(*arguments)

    assert refused.returncode == 1
    assert says in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert "Traceback" not in refused.stderr + refused.stdout


@pytest.mark.parametrize("missing", ["TRELLIS_DATABASE_URL", "TRELLIS_TIME_ZONE", "TRELLIS_KEYS"])
def test_a_service_alone_refuses_to_start_without_what_it_needs(tmp_path: Path, missing: str) -> None:
    write_keys(tmp_path, ["mtss"])
    settings = {
        "TRELLIS_KAFKA": "127.0.0.1:1",
        "TRELLIS_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/mtss",
        "TRELLIS_TIME_ZONE": "America/Denver",
        "TRELLIS_KEYS": str(tmp_path / "mtss"),
    }

    refused = trellis("serve", "mtss", **{name: value for name, value in settings.items() if name != missing})

    assert (refused.returncode, refused.stderr.startswith(missing)) == (1, True)


def test_keys_are_written_once(tmp_path: Path) -> None:
    first = trellis("keys", str(tmp_path / "keys"))
    second = trellis("keys", str(tmp_path / "keys"))

    assert "11 keys written" in first.stdout
    assert "nothing was written" in second.stdout


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        refused = trellis("up", "--port", port, "--data", str(tmp_path))

    assert (refused.returncode, refused.stderr) == (
        1,
        f"Port {port} is taken: stop what uses it or choose another with --port.\n",
    )


def test_up_serves_all_and_stops_within_five_seconds(tmp_path: Path) -> None:
    data, port = tmp_path / "var", free_port()
    tmp_path.chmod(0o711)

    with up(data, port) as process:
        base = f"http://127.0.0.1:{port}"
        assert set(httpx.get(f"{base}/readyz", trust_env=False).json()) == {
            "mtss", "notifications", "restorative", "sis", "surveys",
        }  # fmt: skip
        assert httpx.get(f"{base}/livez", trust_env=False).status_code == 200
        assert "trellis_outbox_oldest" in httpx.get(f"{base}/metrics", trust_env=False).text
        assert httpx.get(f"{base}/nothing", trust_env=False).json()["type"] == "urn:trellis:problem:not-found"
        shown = trellis("status", "--url", base, "--data", str(data))
        assert shown.stdout.count("current") == 5
        assert trellis("events", "parked", "--url", base, "--data", str(data)).stdout == "No event is parked.\n"
        expected = 0o711 if os.geteuid() == 0 else 0o700
        assert stat.S_IMODE(data.stat().st_mode) == expected
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait(timeout=10)
        assert time.monotonic() - began < 5
        assert process.returncode == 0
