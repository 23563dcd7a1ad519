"""A client that nobody here wrote, unchanged and as a process of its own, does everything it can with the door."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sis.policy import CODES
from tests.processes import free_port, trellis, up

PROGRAM = Path(__file__).with_name("edfi_client.py")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the client's program found, at the door of a Trellis that was just started."""
    data, port = tmp_path_factory.mktemp("door") / "var", free_port()
    with up(data, port):
        client = json.loads(
            trellis("clients", "create", "exporter", "--role", "sis", "--json", "--data", str(data)).stdout
        )
        address = f"http://127.0.0.1:{port}/sis"
        program = [sys.executable, str(PROGRAM), address, client["id"], client["secret"]]
        ran = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def test_it_finds_out_what_is_here(done: dict[str, Any]) -> None:
    assert done["about"] == ["shared_instance", "7.3", "5.2.0"]
    assert {"ed-fi/students", "ed-fi/studentSchoolAttendanceEvents", "ed-fi/parents"} <= set(done["resources"])
    assert "ed-fi/attendanceEventCategoryDescriptors" in done["descriptors"]
    assert (done["deletes"], done["described"]) == (True, True)


def test_it_finds_every_code_that_it_may_send_before_it_sends_any(done: dict[str, Any]) -> None:
    codes = done["codes"]
    assert codes["listed"] == CODES["attendanceEventCategoryDescriptors"]
    assert codes["count"] == len(codes["listed"])
    described = ("uri://ed-fi.org/AttendanceEventCategoryDescriptor", "Unexcused Absence", "Unexcused Absence")
    assert tuple(codes["by_id"][name] for name in ("namespace", "codeValue", "shortDescription")) == described
    assert sorted(codes["grades"]) == CODES["gradeLevelDescriptors"]


def test_what_is_new_is_created_and_the_same_again_is_not(done: dict[str, Any]) -> None:
    assert done["said"] == [201] * 9 + [200] * 9


def test_it_reads_back_every_row_however_it_turns_pages(done: dict[str, Any]) -> None:
    names = [f"s{n}" for n in range(7)]
    assert (done["ping"], done["count"], done["by_id"]) == (200, 7, "s3")
    assert done["by_token"] == done["by_offset"] == names


def test_who_follows_change_versions_hears_what_was_replaced_and_what_is_gone(done: dict[str, Any]) -> None:
    assert (done["replaced"], done["deleted"]) == (204, 204)
    assert done["changed"] == done["changed_in_steps"] == ["s3"]
    assert done["gone"] == [{"studentUniqueId": "s4"}]
    assert done["renamed"] == []


def test_its_token_says_for_whom_it_is(done: dict[str, Any]) -> None:
    assert done["token"]["active"] is True
