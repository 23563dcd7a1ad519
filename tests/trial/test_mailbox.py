import smtplib
from email.message import EmailMessage
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from trial.catcher import KEYWORD, caught_in
from trial.mailbox import FOLDER, caught, mailbox


def message(number: int = 1, text: str = "Querida familia: todo va bien.") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = (
        "school@trellis.invalid",
        f"family{number}@example.org",
        f"Señal {number}",
    )
    mail["Date"] = "Fri, 02 Oct 2026 08:00:00 -0600"
    mail.set_content(text)
    mail["Content-Language"] = "es"
    return mail


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with caught_in(tmp_path / FOLDER) as port, smtplib.SMTP("127.0.0.1", port) as smtp:
        for number in (1, 2, 3):
            smtp.send_message(message(number))
    return tmp_path


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(mailbox)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "140"})


def test_the_catcher_says_what_it_is_and_listens_on_this_machine_only(tmp_path):
    with caught_in(tmp_path / FOLDER) as port, smtplib.SMTP("127.0.0.1", port) as smtp:
        smtp.ehlo()

        assert smtp.has_extn(KEYWORD)
        assert smtp.sock is not None
        assert smtp.sock.getpeername()[0] == "127.0.0.1"


def test_each_message_is_a_file_of_its_own_that_nobody_else_reads(data):
    paths = caught(data)

    assert len(paths) == 3
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in paths)
    assert (data / FOLDER).stat().st_mode & 0o777 == 0o700
    assert b"todo va bien" in paths[0].read_bytes()


def test_a_message_that_cannot_be_kept_is_not_taken(tmp_path):
    with caught_in(tmp_path / FOLDER) as port, smtplib.SMTP("127.0.0.1", port) as smtp:
        (tmp_path / FOLDER).rmdir()

        with pytest.raises(smtplib.SMTPDataError) as refused:
            smtp.send_message(message())

    assert refused.value.smtp_code == 452


def test_the_mailbox_lists_what_was_caught_and_shows_one(data, run):
    listed, shown, beyond = run("--data", data), run(2, "--data", data), run(9, "--data", data)

    assert "family3@example.org" in listed.output
    assert "Señal 2" in listed.output
    assert "2026-10-02 08:00" in listed.output
    assert " es " in listed.output
    assert "Señal 2" in shown.output
    assert "Querida familia: todo va bien." in shown.output
    assert beyond.exit_code == 1
    assert "There are 3 messages." in beyond.output


def test_an_empty_mailbox_says_so(tmp_path, run):
    assert "No message was caught" in run("--data", tmp_path).output
