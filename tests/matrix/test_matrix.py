"""Who may ask what, and of whom: every route by everybody as ``table.md`` says, and by either of the two nets alone."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio
import sqlalchemy as sa

from common.embedded import Cluster
from tests.harness import SERVICES, Running
from tests.matrix.asking import Headers, Matrix, Route, routes_of
from tests.matrix.district import tell
from tests.matrix.districts import at_work
from tests.matrix.nets import NETS
from tests.matrix.people import CLIENT, FAMILY, STUDENT, everybody, facts, holders, sisters, stranger

# The first test of a service waits until everybody was asked everything: minutes on a machine that has other work.
pytestmark = pytest.mark.timeout(400)
TABLE = Path(__file__).with_name("table.md")
_BARRED = ("401", "403")
"""Said before either net is asked."""
Columns = dict[str, list[Headers]]
Rows = dict[str, list[str]]


@dataclass
class Found:
    """What a service answers, what the table says of it, and what is answered when both nets are cut."""

    columns: list[str]
    answered: Rows
    written: Rows
    unasked: list[str]
    """Routes that somebody of a column was not asked with one net."""
    untaken: list[str]
    """Routes about students that nobody of a column was let through to the end, though they are let in."""
    bare: set[str]
    revealed: dict[str, list[str]]
    """By who asked: the routes whose answer changes when everything about Ben is gone."""


@pytest_asyncio.fixture(params=SERVICES, scope="module", loop_scope="session")
async def found(
    request: pytest.FixtureRequest, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Found]:
    """One service, asked everything by everybody."""
    async with at_work(request.param, cluster) as (running, district):
        matrix = Matrix(running, district)
        people = await _people(matrix)
        anybody = _anybody(running, tmp_path_factory.mktemp("elsewhere"))
        columns = ["route", "tells", *anybody, "sister services", *people, "one net alone"]
        answered, unasked = await _ask_everything(matrix, anybody, people)
        bare = await _bare(matrix, people)
        revealed = await _revealed(matrix, anybody | people)
        untaken = _untaken(matrix, anybody | people, columns, answered)
        yield Found(columns, answered, _written(request.param), unasked, untaken, bare, revealed)


async def _people(matrix: Matrix) -> Columns:
    today, ana = matrix.running.runtime.today(), UUID(matrix.district.ana["student_id"])
    people = everybody(today, ana)
    await tell(matrix.running, facts(people, today, ana))
    staff: Columns = {column: [each.headers(matrix.running) for each in of] for column, of in people.items()}
    return staff | {column: [each] for column, each in holders(matrix.running, matrix.district.held).items()}


def _anybody(running: Running, folder: Path) -> Columns:
    return {
        "no token": [{}],
        "another district": [stranger(folder)],
        "SIS": [running.headers("sis")],
        "district": [running.headers("district")],
    }


async def _ask_everything(matrix: Matrix, anybody: Columns, people: Columns) -> tuple[Rows, list[str]]:
    """The cells of each route, and who was not asked with one net."""
    routes = routes_of(matrix.running.app)
    rows = {route.name: await _row(matrix, route, anybody, people) for route in routes}
    of_students = [route for route in routes if route.of_students]
    gaps, unasked = await _gaps(matrix, of_students, people, {name: row[-len(people) :] for name, row in rows.items()})
    return {name: [*row, gaps.get(name, "-")] for name, row in rows.items()}, unasked


async def _row(matrix: Matrix, route: Route, anybody: Columns, people: Columns) -> list[str]:
    cells = [await matrix.cell(route, who) for who in anybody.values()]
    # Their tokens live for a minute, which all rows together may outlast.
    asking = {name: await matrix.cell(route, [headers]) for name, headers in sisters(matrix.running).items()}
    return [route.tells, *cells, _sisters(asking), *[await matrix.cell(route, who) for who in people.values()]]


def _sisters(asking: dict[str, str]) -> str:
    """One word if they are answered alike, else who is let in."""
    if len(set(asking.values())) == 1:
        return next(iter(asking.values()))
    return ", ".join(name for name, word in asking.items() if word not in ("401", "403"))


async def _gaps(matrix: Matrix, routes: list[Route], people: Columns, rows: Rows) -> tuple[dict[str, str], list[str]]:
    """By route: that each net alone answers the same, or what is otherwise with which of them for whom; and who was not asked."""
    gaps: dict[str, list[str]] = {route.name: [] for route in routes}
    unasked: list[str] = []
    for left, alone in NETS.items():
        matrix.tried.clear()
        async with alone(matrix.running):
            for route in routes:
                gaps[route.name] += await _otherwise(matrix, route, people, rows[route.name], left)
        unasked += [
            f"{left}: {route.name} for {column}"
            for route in routes
            for (column, who), cell in zip(people.items(), rows[route.name], strict=True)
            if cell not in _BARRED and not {(route.name, each["Authorization"]) for each in who} <= matrix.tried
        ]
    return {name: "; ".join(found) or "each" for name, found in gaps.items()}, unasked


async def _otherwise(matrix: Matrix, route: Route, people: Columns, row: list[str], left: str) -> list[str]:
    by_word: dict[str, list[str]] = {}
    for (column, who), cell in zip(people.items(), row, strict=True):
        word = cell if cell in _BARRED else await matrix.cell(route, who)
        if word != cell:
            by_word.setdefault(word, []).append(column)
    return [f"{left}: {word} for {', '.join(columns)}" for word, columns in by_word.items()]


def _untaken(matrix: Matrix, everybody: Columns, columns: list[str], rows: Rows) -> list[str]:
    return [
        f"{route.name} for {column}"
        for route in routes_of(matrix.running.app)
        if route.of_students
        for column, cell in zip(columns[1:], rows[route.name], strict=True)
        if column in everybody and cell in ("own", "Ben", "all", "yes")
        if matrix.taken.isdisjoint((route.name, each.get("Authorization", "")) for each in everybody[column])
    ]


async def _bare(matrix: Matrix, people: Columns) -> set[str]:
    """What principals of one school are answered about both students when neither net is there."""
    async with AsyncExitStack() as nets:
        for alone in NETS.values():
            await nets.enter_async_context(alone(matrix.running))
        routes = [route for route in routes_of(matrix.running.app) if route.by_sight and route.method == "GET"]
        return {await matrix.cell(route, people["principal"]) for route in routes if not matrix.asked(route).handed}


_NOT_BENS = ("district", "principal", "counselor", "facilitator", "teacher of the student", CLIENT, STUDENT, FAMILY)


async def _revealed(matrix: Matrix, everybody: Columns) -> dict[str, list[str]]:
    routes = [route for route in routes_of(matrix.running.app) if route.of_students and route.method == "GET"]
    asked = [(who, route, everybody[who][0]) for who in _NOT_BENS for route in routes]
    before = [await matrix.answer(route, headers) for _, route, headers in asked]
    await _forget(matrix.running, matrix.district.ben["student_id"])
    revealed: dict[str, list[str]] = {who: [] for who in _NOT_BENS}
    for (who, route, headers), answer in zip(asked, before, strict=True):
        if await matrix.answer(route, headers) != answer:
            revealed[who].append(route.name)
    return revealed


async def _forget(running: Running, student: str) -> None:
    """Delete every row about a student, as if there had never been one."""
    async with running.admin.begin() as connection:
        await connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        named = "SELECT table_name FROM information_schema.columns WHERE column_name = 'student_id' AND table_schema = 'public'"
        for table in (
            await connection.scalars(sa.text(f"{named} AND table_name IN (SELECT tablename FROM pg_tables)"))
        ).all():
            await connection.execute(
                sa.text(f"DELETE FROM {table} WHERE student_id::text = :student"), {"student": student}
            )


def _written(service: str) -> Rows:
    rows = [_cells(line) for line in TABLE.read_text().splitlines() if line.startswith("| `")]
    return {route: cells for route, *cells in rows if route.split()[1].split("/")[1] == service}


def test_the_table_has_these_columns(found: Found) -> None:
    headers = {tuple(_cells(line)) for line in TABLE.read_text().splitlines() if line.startswith("| route")}
    assert headers == {tuple(found.columns)}


def test_every_route_answers_everybody_as_the_table_says(found: Found) -> None:
    answered, written = found.answered, found.written
    otherwise = [_line(route, cells) for route, cells in answered.items() if written.get(route, [])[:-1] != cells[:-1]]
    assert otherwise == [], f"rows that {TABLE.name} lacks or has otherwise:\n" + "\n".join(otherwise)
    assert written.keys() - answered.keys() == set(), "rows of routes that are gone"


def test_either_net_alone_holds_or_the_table_says_what_does_not(found: Found) -> None:
    written = found.written
    otherwise = [
        _line(route, cells) for route, cells in found.answered.items() if written.get(route, [""])[-1] != cells[-1]
    ]
    assert otherwise == [], f"rows that {TABLE.name} has otherwise:\n" + "\n".join(otherwise)


def test_everybody_of_each_column_is_asked_with_either_net_alone_too(found: Found) -> None:
    assert found.unasked == []


def test_each_route_is_taken_of_somebody_so_that_refused_is_not_mistaken_for_not_now(found: Found) -> None:
    assert found.untaken == []


def test_with_both_nets_cut_every_page_shows_the_other_student_too(found: Found) -> None:
    assert found.bare == {"all"}


def test_no_answer_tells_by_a_total_or_otherwise_that_there_is_somebody_who_may_not_be_seen(found: Found) -> None:
    changed = {who: routes for who, routes in found.revealed.items() if routes}
    assert changed.keys() == {"district"}, changed


def _line(route: str, cells: list[str]) -> str:
    return f"| `{route}` | {' | '.join(cells)} |"


def _cells(line: str) -> list[str]:
    return [cell.strip("` ") for cell in line.strip().strip("|").split("|")]
