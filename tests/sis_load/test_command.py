"""``trellis load`` as it is typed."""

import os
import pwd
import tempfile
import time
from datetime import date
from pathlib import Path

import pytest
import typer
from joserfc import jwt
from joserfc.jwk import OKPKey
from typer.testing import CliRunner

from sis.load import load
from sis.loading import door
from tests.processes import free_port, in_a_process
from trial.sample.district import Sample


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(load)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_dry_run_counts_every_row_and_pushes_nothing(run, tmp_path: Path):
    Sample(60, 3, date(2025, 8, 25), date(2025, 12, 10)).write(tmp_path / "district")

    result = run(tmp_path / "district", "--dry-run", "--url", "http://127.0.0.1:1")

    assert result.exit_code == 0
    assert "rows would be pushed, 0 rejected." in result.output


def test_a_dry_run_lists_what_would_be_rejected_by_file_and_line(run, fill):
    folder = fill(
        "school_id,date,instructional\n1,2025-09-31,true\n",
        students=[{"studentUniqueId": "a"}, {}, b'{"studentUniqueId": "a", "studentUniqueId": "b"}'],
        students__deletes=[{}],
        surveyWindows=[{"key": "w"}],
    )

    result = run(folder, "--dry-run")

    assert result.exit_code == 1
    assert "students.jsonl:2: $.studentUniqueId is required" in result.output
    assert "students.jsonl:3: The body is not acceptable JSON: a member stands twice in one object" in result.output
    assert "students.deletes.jsonl:1: $.studentUniqueId is required" in result.output
    assert "surveyWindows.jsonl:1: $.instrument is required" in result.output
    assert "calendar.csv:2: date must be a date that exists" in result.output
    assert "1 rows would be pushed, 5 rejected." in result.output


def test_a_calendar_that_cannot_be_read_names_its_line_once(run, fill):
    result = run(fill("school,date\n1,2025-09-02\n"), "--dry-run")

    assert result.exit_code == 1
    rule = "must be school_id,date,instructional and may add school_year"
    assert result.output.count("line 1") == result.output.count(f"calendar.csv: line 1 {rule}\n") == 1


def test_a_dry_run_with_what_is_no_token_is_one_sentence(run, fill, tmp_path):
    (tmp_path / "token").write_text("x")

    result = run(fill(students=[{"studentUniqueId": "a"}]), "--dry-run", "--token-file", tmp_path / "token")

    assert result.exit_code == 1
    assert "holds no token" in result.output
    assert "Traceback" not in result.output


def test_a_dry_run_with_a_token_of_the_districts_provider_says_that_it_cannot_tell(run, fill, tmp_path):
    claims = {"iss": "https://login.district.example", "role": "sis", "groups": ["office"]}
    token = jwt.encode({"alg": "Ed25519"}, claims, OKPKey.generate_key("Ed25519"), algorithms=["Ed25519"])
    (tmp_path / "token").write_text(token)

    result = run(fill(students=[{"studentUniqueId": "a"}]), "--dry-run", "--token-file", tmp_path / "token")

    assert result.exit_code == 0
    assert "The token does not say its role itself" in result.output
    assert "1 rows would be pushed, 0 rejected." in result.output


def test_the_help_shows_each_example_on_a_line_of_its_own(run, monkeypatch):
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 80)
    shown = [line.rstrip() for line in run("--help").output.splitlines()]

    examples = [
        line.strip() for line in (load.__doc__ or "").partition("Three examples:")[2].splitlines() if line.strip()
    ]
    assert len(examples) == 3
    assert {f"     {example}" for example in examples} <= set(shown)


def test_a_line_that_is_no_json_has_one_place(run, fill):
    result = run(fill(students=[{"studentUniqueId": "a"}, b"{\xff\xfe}", b'{"studentUniqueId": a}']), "--dry-run")

    assert "students.jsonl:2: The body is not acceptable JSON: it is not valid UTF-8" in result.output
    assert "students.jsonl:3: The body is not acceptable JSON: unexpected character at column 21" in result.output


def test_files_that_nothing_reads_are_named(run, fill):
    folder = fill(students=[{"studentUniqueId": "a"}], student=[{"studentUniqueId": "b"}])
    (folder / ".hidden").touch()

    result = run(folder, "--dry-run")

    assert result.exit_code == 0
    assert "student.jsonl: left unread, no file of this name is known\n1 rows would be pushed" in result.output
    assert "hidden" not in result.output
    assert "students.jsonl" not in result.output


def test_a_school_year_that_is_left_as_it_was_is_named(run, fill):
    result = run(fill("school_id,date,instructional\n1,2025-09-31,true\n1,2025-09-01,true\n"), "--dry-run")

    assert result.exit_code == 1
    assert (
        "calendar.csv: school 1, school year 2025: left as it was, because a line of it was rejected" in result.output
    )
    assert "0 rows would be pushed, 1 rejected." in result.output


def test_what_a_person_can_mend_is_one_sentence(run, fill, tmp_path, monkeypatch):
    monkeypatch.setattr("sis.loading.door.Door.__init__.__kwdefaults__", {"patience": 0.0})
    folder = fill(students=[{"studentUniqueId": "a"}])
    (tmp_path / "token").write_text("x")
    (tmp_path / "empty").mkdir()

    for arguments, sentence in (
        ((tmp_path / "nowhere",), "is no folder"),
        ((tmp_path / "empty",), "holds no file to push"),
        ((folder, "--data", tmp_path / "none"), "There is no signing key"),
        ((folder, "--token-file", tmp_path / "gone"), "cannot be read"),
        ((folder, "--token-file", tmp_path / "token", "--url", "nonsense"), "is no address"),
        ((folder, "--token-file", tmp_path / "token", "--url", "http://x:port"), "is no address"),
        ((folder, "--token-file", tmp_path / "token", "--url", "http://127.0.0.1:1"), "does not answer"),
    ):
        result = run(*arguments)
        assert result.exit_code == 1
        assert sentence in result.output
        assert "Traceback" not in result.output


def test_an_address_where_nothing_listens_is_waited_for_aloud_and_soon_given_up(run, fill, tmp_path, monkeypatch):
    monkeypatch.setattr(door, "_QUIET_SECONDS", 0.2)
    monkeypatch.setattr(door, "_UNHEARD_PATIENCE", 1.0)
    (tmp_path / "token").write_text("x")
    folder = fill(students=[{"studentUniqueId": "a"}])
    address = f"http://127.0.0.1:{free_port()}"
    began = time.monotonic()

    given_up = run(folder, "--url", address, "--token-file", tmp_path / "token")

    assert time.monotonic() - began < 4
    assert given_up.exit_code == 1
    waiting, sentence = [line.strip() for line in given_up.stderr.splitlines() if line.strip()]
    assert waiting == f"Waiting for Trellis at {address} …"
    assert sentence == f"Trellis does not answer at {address}: is `trellis up` running, and is --url right?"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not read")
@pytest.mark.parametrize("closed", ["--data", "--token-file", "DIR", "a file"])
def test_what_may_not_be_read_is_one_sentence(run, closed):
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        home = Path(made)
        home.chmod(0o755)
        for name in ("open", "closed"):
            (home / name).mkdir()
            (home / name / "students.jsonl").write_text('{"studentUniqueId": "a"}')
        (home / "closed").chmod(0o700)
        dry = ("--dry-run",)
        arguments: dict[str, tuple[object, ...]] = {
            "--data": (home / "open", "--data", home / "closed"),
            "--token-file": (home / "open", "--token-file", home / "closed" / "token"),
            "DIR": (home / "closed", *dry),
            "a file": (home / "open", *dry),
        }
        if closed == "a file":
            (home / "open" / "students.jsonl").chmod(0o600)

        def work() -> None:
            result = run(*arguments[closed])
            assert (result.exit_code, len(result.output.strip().splitlines())) == (1, 1)
            assert "may not read" in result.output or "cannot be read" in result.output

        in_a_process(work, pwd.getpwnam("nobody").pw_uid)
