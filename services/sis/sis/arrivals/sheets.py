"""Rejected rows as a spreadsheet file, and such a file as rows again."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

from pydantic_core import to_json

from common.auth import Principal
from common.errors import DomainError
from common.runtime import Runtime
from sis.arrivals.intake import Arrival
from sis.arrivals.rejected import Open, open_rows
from sis.policy import SHEET_ROWS
from sis.resources import Resource
from sis.rows import Row
from sis.rules.flat import ID, REASON, WHOLE, columns_of, document_of, plain, safe
from sis.rules.members import BrokenRule, InvalidMember
from sis.rules.separators import wrong_separator


class MalformedSheet(DomainError):
    """The file is not acceptable CSV: {rule}."""

    status = 400


async def write_sheet(runtime: Runtime, source: str, resource: str, *, deletes: bool) -> AsyncIterator[str]:
    """The open rejected rows as CSV, oldest first, with the id and the reason before the members.

    They are read twice, first for the columns, so that however many there are memory stays flat.
    """
    columns: dict[str, None] = {}
    whole = False
    async for row in open_rows(runtime, source, resource, deletes=deletes):
        cells = columns_of(row.document)
        columns |= dict.fromkeys(cells or ())
        whole = whole or cells is None
    names = [ID, REASON, *columns, *([WHOLE] if whole else ())]
    yield _line(names)
    async for row in open_rows(runtime, source, resource, deletes=deletes):
        yield _line(_cells(row, names))


def read_sheet(
    who: Principal, resource: Resource, body: bytes, read: Callable[[Resource, Any], Row], *, deletes: bool
) -> dict[int, Arrival]:
    """The rows of a CSV file by line number, its first line naming the members by path; the reason is not read.

    Raises:
        MalformedSheet: it is not UTF-8, or a line is not CSV or longer than the first, or a column stands twice.
        InvalidMember: there are too many rows.
    """
    arrivals: dict[int, Arrival] = {}
    for number, cells in _lines(body):
        if len(arrivals) == SHEET_ROWS:
            raise InvalidMember(field="body", rule=f"must have at most {SHEET_ROWS} rows")
        arrivals[number] = _arrival(who, resource, cells, read, deletes=deletes)
    return arrivals


def _arrival(
    who: Principal, resource: Resource, cells: Mapping[str, str], read: Callable[[Resource, Any], Row], *, deletes: bool
) -> Arrival:
    mends, raw = _id(cells.get(ID, "")), dict[str, Any](cells)
    try:
        raw = document_of(cells, resource.told_shape)
        return Arrival(who, raw, read(resource, raw), deletes, mends)
    except BrokenRule as broken:
        return Arrival(who, raw, InvalidMember(field="$", rule=str(broken)), deletes, mends)
    except DomainError as refused:
        return Arrival(who, raw, refused, deletes, mends)


def _lines(body: bytes) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(_text(body), newline=""), strict=True)
    try:
        header = [plain(name.strip()) for name in next(reader, [])]
        if wrong := wrong_separator(header):
            raise MalformedSheet(rule=f"line 1 {wrong}")
        if len(set(header)) != len(header):
            raise MalformedSheet(rule="a column stands twice in line 1")
        for values in reader:
            if any(values[len(header) :]):
                raise MalformedSheet(rule=f"line {reader.line_num} has more than {len(header)} columns")
            if any(value.strip() for value in values):
                yield reader.line_num, dict(zip(header, map(plain, values), strict=False))
    except csv.Error:
        raise MalformedSheet(rule=f"line {reader.line_num} is not well-formed") from None


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body[: error.start].count(b"\n") + 1
        raise MalformedSheet(rule=f"line {line} is not UTF-8") from None


def _id(cell: str) -> UUID | None:
    try:
        return UUID(cell)
    except ValueError:
        return None


def _cells(row: Open, names: list[str]) -> list[str]:
    """One row under these columns; whole where it does not fit, as one that came after the columns were chosen."""
    cells = columns_of(row.document)
    ours = {ID: str(row.id), REASON: row.reason}
    if cells is None or not cells.keys() <= set(names):
        return [(ours | {WHOLE: _whole(row.document)}).get(name, "") for name in names]
    return [(ours | cells).get(name, "") for name in names]


def _whole(document: Any) -> str:
    return document if isinstance(document, str) else to_json(document).decode()


def _line(cells: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(map(safe, cells))
    return out.getvalue()
