"""A district's policy file changes what it names, and nothing else; what it does not understand it says at once."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from common.policies import PolicyInvalid, merged, policy_of
from tests.processes import TRELLIS

DEFAULT = tomllib.loads(
    """
    version = "default-1"
    [waiting]
    on = true
    hours = 24
    at = 18:00:00
    codes = ["a", "b"]
    [quiet]
    value = "20:00"
    source = "Ours."
    [codes."One thing"]
    counts = true
    source = "Ours."
    [open]
    "tardy" = "late"
    """.replace("    ", "")
)
ADDED_TO = ("codes", "open")


def said(text: str) -> dict[str, object]:
    return merged(DEFAULT, tomllib.loads(f'version = "ours-1"\n{text}'), added_to=ADDED_TO)


def test_what_a_district_names_holds_and_the_rest_stays() -> None:
    changed = said('[waiting]\non = false\ncodes = ["c"]\n[open]\nskipped = "absent"\n')
    assert changed["version"] == "ours-1"
    assert changed["waiting"] == {**DEFAULT["waiting"], "on": False, "codes": ["c"]}
    assert changed["open"] == {"tardy": "late", "skipped": "absent"}
    assert {name: changed[name] for name in ("quiet", "codes")} == {name: DEFAULT[name] for name in ("quiet", "codes")}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[wating]\non = false", "wating is unknown, choose from version, waiting, quiet, codes, open"),
        ("[waiting]\nof = 1", "waiting.of is unknown, choose from on, hours, at, codes"),
        ("waiting = 1", "waiting must be a section"),
        ('[waiting]\non = "secret"', "waiting.on must be true or false"),
        ("[waiting]\non = 0", "waiting.on must be true or false"),
        ("[waiting]\nhours = -1", "waiting.hours must be a whole number from 0"),
        ("[waiting]\nhours = true", "waiting.hours must be a whole number from 0"),
        ('[waiting]\nat = "secret"', "waiting.at must be a time such as 18:00:00, without quotes"),
        ("[waiting]\ncodes = [1]", "waiting.codes must be a list, and each in it text"),
        ('[quiet]\nvalue = "21:00"', "quiet needs a source of its own"),
        ('[codes."One thing"]\ncounts = false', "codes.One thing needs a source of its own"),
        ('[codes.Another]\nsource = "Ours."', "codes.Another needs counts, source"),
        ("[open]\nskipped = 1", "open.skipped must be text"),
    ],
)
def test_what_is_not_understood_is_one_sentence_without_the_value(text: str, sentence: str) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        said(text)
    assert str(refused.value) == sentence


@pytest.mark.parametrize("text", ["", 'version = "default-1"'])
def test_a_policy_that_decisions_name_has_a_version_of_its_own(text: str) -> None:
    with pytest.raises(PolicyInvalid, match="needs a version of its own"):
        merged(DEFAULT, tomllib.loads(text))


SERVICES_WITH_A_POLICY = ["sis", "surveys", "mtss", "restorative", "notifications"]


def started_with(service: str, file: Path) -> "subprocess.CompletedProcess[str]":
    """A process that has loaded nothing before, for a service reads its policy as it is loaded."""
    given = {
        f"TRELLIS_{service.upper()}_POLICY": str(file),
        "TRELLIS_OWNER_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x",
    }
    command = [*TRELLIS, "migrate", service]
    return subprocess.run(command, env=os.environ | given, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("service", SERVICES_WITH_A_POLICY)
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "it cannot be read"),
        ("x = secret", "it is not TOML in UTF-8"),
        ('version = "x"\n[nothing]\nx = 1', "is unknown, choose from"),
    ],
)
def test_every_service_refuses_a_policy_file_that_it_does_not_understand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: str, text: str | None, sentence: str
) -> None:
    file, variable = tmp_path / "policy.toml", f"TRELLIS_{service.upper()}_POLICY"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    monkeypatch.setenv(variable, str(file))
    with pytest.raises(PolicyInvalid, match=f"^The policy file that {variable} names: .*{sentence}") as refused:
        policy_of(service)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("service", SERVICES_WITH_A_POLICY)
def test_every_service_with_a_policy_file_says_so_in_one_sentence_before_it_starts(
    tmp_path: Path, service: str
) -> None:
    refused = started_with(service, tmp_path / "policy.toml")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"The policy file that TRELLIS_{service.upper()}_POLICY names: it cannot be read")
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("service", "text", "sentence"),
    [
        ("sis", '[attendance.categories]\nskipped = "secret"', "attendance.categories may only say "),
        ("sis", '[attendance]\nstrongest_first = ["tardy"]', "attendance.strongest_first must say all of "),
        (
            "notifications",
            'version = "x"\n[quiet_from]\nvalue = "secret"\nsource = "x"',
            "quiet_from.value must be a time such as 20:00",
        ),
        ("mtss", '[groups.cell]\nvalue = 9\nsource = "x"', "groups.cell must be at least 10"),
        (
            "mtss",
            '[groups.students]\nvalue = 0\nsource = "x"',
            "groups.cell must be at least 10, and groups.students at least 1",
        ),
    ],
)
def test_what_only_a_service_can_judge_is_one_sentence_too(
    tmp_path: Path, service: str, text: str, sentence: str
) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(text, encoding="utf-8")
    refused = started_with(service, file)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"The policy of {service}: {sentence}")
    assert refused.stderr.count("\n") == 1
    assert "secret" not in refused.stderr


def test_the_example_of_the_page_switches_the_waiting_room_off_and_leaves_the_rest(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "policies.md").read_text(encoding="utf-8")
    examples = {block.split("\n", 1)[0]: block for block in page.split("```toml\n")[1:]}
    printed = {
        "sis": "from sis.policy import ATTENDANCE as A, WAITING as W; print(W.on, W.listed_after_hours, A.kind('Skipped'))",
        "restorative": "from restorative.policy import POLICY as P; print(P.late_after_days, P.excludes(['off-campus']))",
        "notifications": "from notifications.policy import POLICY as P; print(P.quiet_from, P.quiet_until)",
    }
    expected = {"sis": "False 24 unexcused", "restorative": "14 True", "notifications": "21:00:00 08:00:00"}
    for service, code in printed.items():
        file = tmp_path / f"{service}.toml"
        block = next(text for first, text in examples.items() if first == f"# {service}.toml")
        file.write_text(block.partition("```")[0], encoding="utf-8")
        environment = {**os.environ, f"TRELLIS_{service.upper()}_POLICY": str(file)}
        ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert ran.stdout.strip() == expected[service]


def test_without_a_file_the_default_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRELLIS_SIS_POLICY", raising=False)
    assert policy_of("sis")["waiting"]["on"] is True
