"""A claim, about security or about a practice that is supported, names its test, and the test exists."""

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECURITY, PRACTICES = ((ROOT / "docs" / name).read_text() for name in ("asvs.md", "practices.md"))
CLAIMS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", SECURITY + PRACTICES)))
ROUTES = sorted(set(re.findall(r"`([A-Z]+) (/(\w+)/v1/[^`?]+)`", PRACTICES)))


@pytest.mark.parametrize(("file", "test"), CLAIMS, ids=lambda part: part.removeprefix("test_"))
def test_the_test_that_a_claim_names_exists(file: str, test: str) -> None:
    assert re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text(), re.MULTILINE)


def test_every_claim_names_a_test() -> None:
    rows = [line for line in SECURITY.splitlines() if re.match(r"\| (V|API)\d", line)]
    assert len(rows) > 20
    assert [row for row in rows if "::" not in row] == []


@pytest.mark.parametrize("file", sorted(set(re.findall(r"`(tests/[\w/]+\.py)`", (ROOT / "SECURITY.md").read_text()))))
def test_the_file_of_tests_that_security_names_exists(file: str) -> None:
    assert (ROOT / file).exists()


def test_every_practice_names_what_shows_it_and_a_way_to_do_it() -> None:
    rows = [line.split(" | ") for line in PRACTICES.splitlines() if re.match(r"\| \d", line)]
    assert len(rows) == 15
    assert [row[0] for row in rows if "::" not in row[3] or not re.search("`[A-Z]+ /|`trellis ", row[2])] == []


@pytest.mark.parametrize(("method", "path", "service"), ROUTES, ids=lambda part: part.rpartition("/v1/")[2])
def test_the_route_that_a_practice_names_is_there(method: str, path: str, service: str) -> None:
    described = import_module(f"{service}.app").app.openapi()["paths"]
    there = {re.sub(r"{\w+}", "{}", each): methods for each, methods in described.items()}
    assert method.lower() in there[re.sub(r"{\w+}", "{}", path)]
