"""What is logged stands on a page, and who was let in and who was refused stands in the log."""

import ast
import re
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from common.logs import FIELDS
from tests.common.test_telemetry import CANARY, Written, written
from tests.harness import Running

ROOT = Path(__file__).parents[2]
LEVELS = {"info", "warning", "error", "exception"}
Line = tuple[str, str, frozenset[str]]

__all__ = ["written"]


def said_in(file: Path) -> set[Line]:
    """Level, sentence and named fields of each line that a file of ours writes to the log."""
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    return {
        (
            call.func.attr.replace("exception", "error"),
            call.args[0].value,
            frozenset(each.arg for each in call.keywords if each.arg),
        )
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in LEVELS
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "log"
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


def test_the_page_names_every_line_that_is_logged_with_its_fields() -> None:
    files = [file for part in ("libs", "services") for file in (ROOT / part).rglob("*.py")]
    said = {line for file in files for line in said_in(file)}
    rows = [
        re.split(r"\s*\|\s*", row)[1:4]
        for row in (ROOT / "docs/log.md").read_text().splitlines()
        if row.startswith("| ")
    ]
    page = {
        (level, sentence, frozenset(filter(None, fields.split(", "))))
        for level, sentence, fields in rows
        if level in LEVELS
    }
    assert page == said
    assert {field for _, _, fields in said for field in fields} <= FIELDS


async def test_who_was_let_in_is_logged_once_a_token_and_who_was_refused_each_time(
    echo: Running, written: Written
) -> None:
    counselor = uuid4()
    headers = echo.headers("counselor", staff=counselor)
    for _ in range(2):
        await echo.http.get("/echo/v1/who", headers=headers)
    await echo.http.get("/echo/v1/who", headers={"Authorization": f"Bearer {CANARY}"})
    await echo.http.get("/echo/v1/who")

    about = {"service": "echo", "logger": "common.security_log"}
    lines = [{name: value for name, value in line.items() if name != "time"} for line in written.lines]
    assert all(about.items() <= line.items() for line in lines), lines
    told = [(line["event"], line.get("subject"), line.get("route"), line.get("error")) for line in lines]
    refused = ("a request was refused", str(counselor), "/echo/v1/who", "forbidden")
    unknown = ("a request was refused", None, "/echo/v1/who", "unauthenticated")
    assert told == [("a token was accepted", str(counselor), None, None), refused, refused, unknown, unknown]
    assert CANARY not in written.text
    assert not [part for part in headers["Authorization"].split(".") if part in written.text]


@pytest.mark.parametrize("asked", ["/echo/v1/open/0", f"/echo/v1/students/{UUID(int=7)}"])
async def test_a_refusal_names_the_route_and_nothing_of_the_path(echo: Running, written: Written, asked: str) -> None:
    await echo.http.get(asked, headers=echo.headers("principal", staff=uuid4()))
    assert asked not in written.text
