"""``trellis sources`` as it is typed, against a Trellis that runs."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from common.cli import make_token
from tests.processes import free_port, trellis, up


@dataclass
class Trellis:
    """A running Trellis, and what is typed to it."""

    url: str
    data: Path

    def typed(self, *arguments: str) -> tuple[int, str]:
        done = trellis("sources", *arguments, "--url", self.url, "--data", str(self.data))
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout + done.stderr

    def push(self, resource: str, *rows: object, kind: str = "application/jsonl", text: str = "") -> httpx.Response:
        headers = {"Authorization": f"Bearer {make_token(self.data, 'sis')}", "Content-Type": kind}
        body = text or "\n".join(json.dumps(row) for row in rows)
        return httpx.post(f"{self.url}/sis/v1/bulk/{resource}", content=body, headers=headers, trust_env=False)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trellis]:
    folder, port = tmp_path_factory.mktemp("sources"), free_port()
    folder.chmod(0o711)
    data = folder / "var"
    with up(data, port):
        yield Trellis(f"http://127.0.0.1:{port}", data)


def test_it_shows_what_arrived_downloads_what_did_not_and_compares_counts(running: Trellis, tmp_path: Path) -> None:
    assert running.typed() == (0, "Nothing has arrived yet.\n")
    assert "There are 0 sources: name one of them with --source." in running.typed("reconcile")[1]

    running.push("students", {"studentUniqueId": "s1"}, {"firstName": "Ada"})
    code, shown = running.typed()
    assert (code, "students" in shown, "to mend" in shown) == (0, True, True)
    (item,) = json.loads(running.typed("--json")[1])["items"]
    assert (item["source"], item["accepted"], item["rejected_open"]) == ("sis", 1, 1)

    _, sheet = running.typed("rejected", "students")
    (line,) = csv.DictReader(io.StringIO(sheet))
    assert (line["_reason"], line["firstName"]) == ("$.studentUniqueId is required", "Ada")
    mended = sheet.replace("firstName", "firstName,studentUniqueId").replace("Ada", "Ada,s2")
    assert '"status":201' in running.push("students", text=mended, kind="text/csv").text
    assert json.loads(running.typed("--json")[1])["items"][0]["rejected_open"] == 0

    counts = tmp_path / "counts.csv"
    counts.write_text("resource,school_id,day,count\nstudents,,,3\n")
    code, shown = running.typed("reconcile", str(counts))
    assert (code, "students" in shown, "-1" in shown) == (1, True, True)
    counts.write_text("resource,school_id,day,count\nstudents,,,2\n")
    assert running.typed("reconcile", str(counts)) == (0, "Every count agrees.\n")


def test_the_page_is_written_to_a_file(running: Trellis, tmp_path: Path) -> None:
    code, said = running.typed("--page", str(tmp_path / "page.html"))
    assert code == 0
    assert "open it in a browser" in said
    assert "<h1>What arrived" in (tmp_path / "page.html").read_text()


def test_what_an_operator_can_mend_is_one_sentence(running: Trellis, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("a,b\n")
    for arguments, says in (
        (("reconcile", str(tmp_path / "none.csv"), "--source", "sis"), "cannot be used"),
        (("reconcile", str(tmp_path / "bad.csv"), "--source", "sis"), "line 1: must be resource,school_id,day,count"),
        (("--page", str(tmp_path / "none" / "page.html")), "cannot be used"),
    ):
        code, said = running.typed(*arguments)
        assert code == 1
        assert says in said
        assert said.count("\n") == 1


def test_a_trellis_that_is_away_is_one_sentence(running: Trellis) -> None:
    away = Trellis(f"http://127.0.0.1:{free_port()}", running.data)
    code, said = away.typed()
    assert (code, said.count("\n")) == (1, 1)
    assert "is `trellis up` running" in said
