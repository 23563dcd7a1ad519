"""A claim about security names its test, and the test exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLAIMS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "asvs.md").read_text())))


@pytest.mark.parametrize(("file", "test"), CLAIMS, ids=lambda part: part.removeprefix("test_"))
def test_the_test_that_a_claim_names_exists(file: str, test: str) -> None:
    assert re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text(), re.MULTILINE)


def test_every_claim_names_a_test() -> None:
    rows = [line for line in (ROOT / "docs" / "asvs.md").read_text().splitlines() if re.match(r"\| (V|API)\d", line)]
    assert len(rows) > 20
    assert [row for row in rows if "::" not in row] == []


@pytest.mark.parametrize("file", sorted(set(re.findall(r"`(tests/[\w/]+\.py)`", (ROOT / "SECURITY.md").read_text()))))
def test_the_file_of_tests_that_security_names_exists(file: str) -> None:
    assert (ROOT / file).exists()
