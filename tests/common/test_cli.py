"""The command line: what it prints, and one sentence for whatever an operator can mend."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from common.auth import principal_of, verified
from common.commands import ADDRESS, address
from common.embedded import tell_address, told_address
from common.keys import read_keys, write_keys
from tests.processes import TRELLIS, at_work, free_port, trellis

NOBODYS = "0199a3c2-5d41-7c35-9a53-0e7f2f6f6a11"


def test_the_version_is_one_line() -> None:
    assert trellis("--version").stdout == "trellis 0.1.0\n"


@pytest.mark.parametrize(
    "command",
    [
        *("up", "serve", "migrate", "keys", "token", "status", "load", "sample", "mailbox", "demo"),
        *("events parked", "events replay", "events discard", "events resend", "audit show", "audit verify"),
    ],
)
def test_every_command_explains_itself_by_an_example(command: str) -> None:
    shown = trellis(*command.split(), "--help")

    assert shown.returncode == 0
    assert "Usage:" in shown.stdout
    assert "xample" in shown.stdout
    assert f"trellis {command} " in shown.stdout.partition("xample")[2]


@pytest.mark.parametrize("group", ["audit", "clients", "events", "sources"])
def test_every_group_of_commands_explains_itself(group: str) -> None:
    assert "Usage:" in trellis(group, "--help").stdout


def test_the_contracts_of_all_events_are_written_into_a_new_folder(tmp_path: Path) -> None:
    written = subprocess.run(
        [sys.executable, "-m", "common.events.asyncapi", tmp_path / "new" / "events"], capture_output=True, check=False
    )

    assert written.returncode == 0, written.stderr
    assert (tmp_path / "new" / "events" / "asyncapi.json").exists()


def test_a_token_is_printed_and_nothing_else(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys", ["mtss"])

    printed = trellis("token", "--role", "principal", "--school", "7", "--school", "8", "--data", str(tmp_path))

    who = principal_of(verified(printed.stdout.strip(), read_keys(tmp_path / "keys" / "mtss").trusted), service="mtss")
    assert (who.role, who.schools, printed.stdout.count("\n")) == ("principal", frozenset({"7", "8"}), 1)


def test_a_token_is_given_the_permission_that_is_named(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys", ["surveys"])

    printed = trellis(
        "token", "--role", "district", "--permission", "surveys.import-paper", "--data", str(tmp_path)
    ).stdout

    who = principal_of(verified(printed.strip(), read_keys(tmp_path / "keys" / "surveys").trusted), service="surveys")
    assert (who.role, who.permissions) == ("district", frozenset({"surveys.import-paper"}))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["token", "--role", "root"], "There is no role of that name"),
        (["token", "--role", "district", "--data", "/nowhere"], "There is no signing key"),
        (["token", "--role", "district", "--permission", "root"], "No route knows a permission of that name"),
        (["token", "--role", "facilitator", "--staff", "207219"], "--staff takes our id"),
        (["serve", "nothing"], "There is no service of that name"),
        (["serve", "mtss"], "TRELLIS_KAFKA is missing"),
        (
            ["events", "parked", "nosvc", "--token-file", "/dev/null"],
            "choose one of mtss, notifications, restorative, sis",
        ),
        (["events", "resend", "nosvc", "--token-file", "/dev/null"], "There is no service of that name"),
        (["events", "replay", "nosvc", NOBODYS, "--token-file", "/dev/null"], "There is no service of that name"),
        (["events", "discard", "nosvc", NOBODYS, "--token-file", "/dev/null"], "There is no service of that name"),
        (["migrate"], "TRELLIS_OWNER_DATABASE_URL is missing"),
        (["status", "--token-file", "/nowhere"], "/nowhere cannot be used (No such file or directory)"),
        (["up", "--port", str(free_port()), "--data", "/proc/nothing"], "/proc/nothing"),
        (["up", "--port", str(free_port()), "--data", "/etc/hostname"], "/etc/hostname is a file"),
    ],
    ids=lambda value: f"{value[0]} {value[1:2]} {value[-1]}" if isinstance(value, list) else "",
)
def test_what_an_operator_can_mend_is_one_sentence(arguments: list[str], says: str) -> None:
    refused = trellis(*arguments)

    assert refused.returncode == 1
    assert says in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert "Traceback" not in refused.stderr + refused.stdout


def test_sis_refuses_to_start_without_the_key_of_its_door(tmp_path: Path) -> None:
    write_keys(tmp_path, ["sis"])
    (tmp_path / "sis" / "door.jwk").unlink()
    settings = {
        "TRELLIS_KAFKA": "127.0.0.1:1",
        "TRELLIS_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/sis",
        "TRELLIS_TIME_ZONE": "America/Denver",
        "TRELLIS_PUBLIC_URL": "https://trellis.example.org",
        "TRELLIS_KEYS": str(tmp_path / "sis"),
    }

    refused = trellis("serve", "sis", **settings)

    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert refused.stderr.startswith("door.jwk is missing")
    assert "`trellis keys DIR`" in refused.stderr


@pytest.mark.parametrize("missing", ["TRELLIS_DATABASE_URL", "TRELLIS_TIME_ZONE", "TRELLIS_PUBLIC_URL", "TRELLIS_KEYS"])
def test_a_service_alone_refuses_to_start_without_what_it_needs(tmp_path: Path, missing: str) -> None:
    write_keys(tmp_path, ["mtss"])
    settings = {
        "TRELLIS_KAFKA": "127.0.0.1:1",
        "TRELLIS_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/mtss",
        "TRELLIS_TIME_ZONE": "America/Denver",
        "TRELLIS_PUBLIC_URL": "https://trellis.example.org",
        "TRELLIS_KEYS": str(tmp_path / "mtss"),
    }

    refused = trellis("serve", "mtss", **{name: value for name, value in settings.items() if name != missing})

    assert (refused.returncode, refused.stderr.startswith(missing)) == (1, True)


def test_a_service_alone_names_the_hosts_it_waits_for(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys", ["mtss"])
    settings = {
        "TRELLIS_KAFKA": "127.0.0.1:1",
        "TRELLIS_DATABASE_URL": "postgresql://nobody@127.0.0.1:2/mtss",
        "TRELLIS_TIME_ZONE": "America/Denver",
        "TRELLIS_PUBLIC_URL": "https://trellis.example.org",
        "TRELLIS_KEYS": str(tmp_path / "keys" / "mtss"),
        "TRELLIS_LOG_FOLDER": str(tmp_path),
    }
    waits: dict[str, str] = {}

    process = subprocess.Popen([*TRELLIS, "serve", "mtss", "--port", str(free_port())], env=os.environ | settings)
    until = time.monotonic() + 30
    while len(waits) < 2 and time.monotonic() < until:
        time.sleep(0.2)
        said = (tmp_path / "mtss.log").read_text().splitlines() if (tmp_path / "mtss.log").exists() else []
        waits = {line["event"]: line["host"] for line in map(json.loads, said) if line["event"].endswith(" waits")}
    process.send_signal(signal.SIGINT)
    process.wait(20)

    assert waits == {"relay waits": "127.0.0.1:2", "consumer waits": "127.0.0.1:1"}


@pytest.mark.parametrize(
    ("setting", "value", "rule"),
    [
        ("TRELLIS_TIME_ZONE", "Nowhere/Else", "must be a name of the IANA"),
        ("TRELLIS_OWNER_DATABASE_URL", "no address", "must be an address such as postgresql://"),
    ],
)
def test_a_setting_that_is_not_acceptable_is_one_sentence(setting: str, value: str, rule: str) -> None:
    refused = trellis("migrate", **{setting: value})

    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert refused.stderr.startswith(f"{setting} is not acceptable: {rule}")


def test_a_database_that_is_away_is_one_sentence() -> None:
    refused = trellis("migrate", "mtss", TRELLIS_OWNER_DATABASE_URL="postgresql://x:x@127.0.0.1:1/mtss")

    assert refused.returncode == 1
    assert "is it running, and is TRELLIS_OWNER_DATABASE_URL right?" in refused.stderr
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("port", ["0", "-1", "99999"])
def test_a_port_that_cannot_be_is_refused_by_name(port: str) -> None:
    refused = trellis("up", "--port", port)

    assert refused.returncode == 2
    assert "--port" in refused.stderr


def test_keys_are_written_once(tmp_path: Path) -> None:
    first = trellis("keys", str(tmp_path / "keys"))
    second = trellis("keys", str(tmp_path / "keys"))

    assert "12 keys written" in first.stdout
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


def test_a_command_asks_where_it_is_told_else_where_that_answers_which_runs_on_its_folder(tmp_path: Path) -> None:
    tell_address(tmp_path, "https://trellis.invalid", "http://127.0.0.1:9000")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "address").touch()

    asked = [
        address(url, folder)
        for url, folder in [
            ("http://127.0.0.1:9001", tmp_path),
            (None, tmp_path),
            (None, tmp_path / "never ran"),
            (None, tmp_path / "empty"),
        ]
    ]

    assert asked == ["http://127.0.0.1:9001", "http://127.0.0.1:9000", ADDRESS, ADDRESS]
    assert told_address(tmp_path) == "https://trellis.invalid"


@pytest.mark.parametrize("given", ["told", "http://127.0.0.1:1", "nonsense", "http://x:port"])
def test_a_command_says_where_nothing_answers(given: str, tmp_path: Path) -> None:
    write_keys(tmp_path / "keys", ["mtss"])
    told = f"http://127.0.0.1:{free_port()}"
    tell_address(tmp_path, told, told)

    asked = trellis("status", "--data", str(tmp_path), *([] if given == "told" else ["--url", given]))

    assert asked.returncode == 1
    assert asked.stderr == (
        f"Trellis does not answer at {told if given == 'told' else given}: is `trellis up` running, and is --url right?\n"
    )


def test_up_serves_all_and_stops_within_five_seconds(tmp_path: Path) -> None:
    data, port = tmp_path / "var", free_port()
    tmp_path.chmod(0o711)

    with at_work(data, port) as process:
        base = f"http://127.0.0.1:{port}"
        assert set(httpx.get(f"{base}/readyz", trust_env=False).json()) == {
            "mtss", "notifications", "restorative", "sis", "surveys",
        }  # fmt: skip
        assert httpx.get(f"{base}/livez", trust_env=False).status_code == 200
        assert "trellis_outbox_oldest" in httpx.get(f"{base}/metrics", trust_env=False).text
        assert httpx.get(f"{base}/nothing", trust_env=False).json()["type"] == "urn:trellis:problem:not-found"
        shown = trellis("status", "--data", str(data))
        assert shown.stdout.count("current") == 5
        assert trellis("events", "parked", "--data", str(data)).stdout == "No event is parked.\n"
        resent = trellis("events", "resend", "notifications", "--data", str(data))
        assert resent.stderr.startswith("The service notifications keeps no facts that others follow")
        expected = 0o711 if os.geteuid() == 0 else 0o700
        assert stat.S_IMODE(data.stat().st_mode) == expected
        second = trellis("up", "--port", str(free_port()), "--data", str(data))
        assert (second.returncode, second.stderr) == (
            1,
            f"Trellis runs on {data} already: stop it, or choose another folder.\n",
        )
        assert httpx.get(f"{base}/readyz", trust_env=False).status_code == 200
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait(timeout=10)
        assert time.monotonic() - began < 5
        assert process.returncode == 0
