"""Policies as files: JSON and YAML in and out, and what the command line says of them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mtss.commands.policies import app
from mtss.rules import PolicyInvalid
from mtss.written import as_json, as_yaml, document_of
from tests.mtss.test_rules_policy import ENTRY, TEXT, changed, number

trellis = CliRunner()


def test_a_policy_stays_the_same_through_yaml_and_json() -> None:
    document = changed("schools", {"255901001": {}})
    assert document_of(as_yaml(document).encode()) == document
    assert document_of(as_json(document).encode()) == document
    assert list(document_of(as_yaml(document).encode())) == list(document)


def test_a_date_is_a_text() -> None:
    assert document_of(b"title: 2027-01-01") == {"title": "2027-01-01"}


@pytest.mark.parametrize(
    ("text", "field", "rule"),
    [
        (b"a: 1\nb: 2\na: 3", "line 3", "has a key that stands twice"),
        (b"a:\n  b: 1\n  b: 2", "line 3", "has a key that stands twice"),
        (b"schools:\n  100: 1", "line 2", "has a key that is no text: put it in quotes"),
        (b"a: &x [1]\nb: *x", "line 2", "refers to another place"),
        (b"a: !!set {x}", "line 1", "has a tag"),
        (b"a: !!python/object:os.system {}", "line 1", "has a tag"),
        (b"[" * 100, "line 1", "is nested too deep"),
        (b"a: [SECRETVAL", "line 1", "is not YAML"),
        (b"a: 1\n---\nb: 2", "line 2", "is not YAML"),
        (b"\xff", "the file", "is neither JSON nor YAML"),
        (b'{"a": 1, "a": 2}', "the file", "is not JSON: a member stands twice in one object"),
    ],
)
def test_what_is_refused_is_named_by_its_line_and_never_repeated(text: bytes, field: str, rule: str) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        document_of(text)
    assert refused.value.facts == {"field": field, "rule": rule}


def test_the_default_policy_is_printed_as_a_beginning(tmp_path: Path) -> None:
    printed = trellis.invoke(app, ["default"])
    ours = tmp_path / "ours.yaml"
    ours.write_text(printed.output)
    assert document_of(ours.read_bytes()) == json.loads(TEXT)
    checked = trellis.invoke(app, ["check", str(ours)])
    assert (checked.exit_code, checked.output) == (0, "Nothing is wrong with this policy.\n")
    assert json.loads(trellis.invoke(app, ["schema"]).output)["$id"] == "urn:trellis:tier-policy.v1"


def test_what_is_wrong_is_said_line_by_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(as_json(changed("clauses/attendance/exit/below", number(12))))
    checked = trellis.invoke(app, ["check", str(bad)])
    assert checked.exit_code == 1
    assert checked.output.startswith("clauses.attendance.exit.below: must be below the entry")
    bad.write_text("a: [")
    assert trellis.invoke(app, ["check", str(bad)]).exit_code == 1


def test_two_files_are_compared_without_a_server(tmp_path: Path) -> None:
    before, after = tmp_path / "before.json", tmp_path / "after.yaml"
    before.write_text(TEXT)
    after.write_text(as_yaml(changed(f"{ENTRY}/value", 9)))
    said = trellis.invoke(app, ["difference", str(before), str(after)])
    changed_by = "Attendance: a student is now considered from 9 % instead of 10 % of enrolled days missed.\n"
    assert (
        said.output
        == f"{changed_by}How many students more or fewer that is: trellis rehearse {after} --against {before}\n"
    )
    assert trellis.invoke(app, ["difference", str(before), str(before)]).output == "Nothing differs.\n"
    missing = trellis.invoke(app, ["difference", str(before), str(tmp_path / "none")])
    assert missing.exit_code == 1
