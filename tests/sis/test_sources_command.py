"""``trellis sources`` as it is typed, against a Trellis that runs."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from common.commands import make_token
from sis.arrivals.report import differences, not_compared, told
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
    assert "    1 rejected: $.studentUniqueId is required" in shown
    assert running.typed("reconcile") == (1, "No counts were told yet: name a file of them, such as counts.csv.\n")
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
        (("rejected", "nonsense", "--source", "sis"), "There is no such resource."),
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


LONGEST = "studentDisciplineIncidentBehaviorAssociations"


def item(**more: Any) -> dict[str, Any]:
    counts = {"accepted": 1_234_567, "unchanged": 0, "rejected": 12, "rejected_open": 12, "waiting": 3}
    return {
        "source": "6f9d2c1e-7b1c-4def-8a90-0b5f6a7c8d9e",
        "name": "Exporter",
        "resource": LONGEST,
        "last_at": "2026-01-02T10:00:00Z",
        "lag_seconds": 1_324_247,
        **counts,
        "oldest_rejected_at": "2026-01-03T10:00:00Z",
        "oldest_waiting_at": "2026-01-02T08:00:00Z",
        "believed": 5,
        "standing": 4,
        "reasons": [{"field": "$.behaviorDescriptor", "rule": "is required", "rows": 12}],
        **more,
    }


def test_no_name_is_cut_no_line_is_wider_than_a_terminal_and_each_source_stands_alone() -> None:
    now = datetime(2026, 1, 17, 12, tzinfo=UTC)
    quiet: dict[str, Any] = {"oldest_rejected_at": None, "oldest_waiting_at": None, "believed": None, "reasons": []}
    shown = told([item(), item(resource="students", **quiet), item(source="sis", name=None, **quiet)], [], now)
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line[:1].strip()] == [
        "Exporter (6f9d2c1e-7b1c-4def-8a90-0b5f6a7c8d9e)",
        LONGEST,
        "students",
        "sis",
        LONGEST,
    ]
    assert "2 Jan, 10:00        15 days  1,234,567" in shown
    for line in (
        "12 rejected: $.behaviorDescriptor is required",
        "oldest to mend or waiting: 2 Jan, 08:00",
        "they hold 5, we hold 4",
    ):
        assert lines.count(f"    {line}") == 1


@pytest.mark.parametrize(
    ("alert", "says"),
    [
        ({"kind": "rows-waiting", "school_id": None, "age": 1}, "Rows of sis have waited since 2026-01-02"),
        ({"kind": "source-silent", "school_id": None, "age": 3}, "sis has not pushed since 2026-01-02: 3 school days."),
        ({"kind": "school-not-submitted", "school_id": "7", "age": 1}, "school (7) has not submitted since 2026-01-02"),
    ],
)
def test_each_alert_is_a_sentence(alert: dict[str, Any], says: str) -> None:
    whole = {"name": None, "source": "sis", "since": "2026-01-02"} | alert
    assert says in told([], [whole], datetime.now(UTC))


def test_counts_that_differ_stand_under_their_resource_in_full() -> None:
    of = {"resource": LONGEST, "school_id": "7", "day": "2026-01-02", "ours": 1, "difference": 1}
    whole = {**of, "school_id": None, "day": None, "theirs": 2, "difference": -1}
    shown = differences([{**of, "theirs": None}, whole])
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.count(LONGEST) == 1
    assert [line.split() for line in shown.splitlines()[2:]] == [
        ["7", "2026-01-02", "left", "out", "1", "+1"],
        ["all", "all", "2", "1", "-1"],
    ]


def test_a_school_of_another_source_is_a_sentence_once_for_all_its_resources() -> None:
    of = {"resource": LONGEST, "school_id": "7", "source": "6f9d2c1e", "name": "Charter"}
    untold = {**of, "school_id": "8", "source": None, "name": None}
    assert not_compared([of, {**of, "resource": "students"}, untold]).splitlines() == [
        "School 7 is pushed by Charter and not compared.",
        "School 8 is pushed by another source and not compared.",
    ]
