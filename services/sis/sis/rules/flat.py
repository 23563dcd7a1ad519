"""Documents as lines of a spreadsheet: members become columns by their path, and columns members again."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sis.rules.members import BrokenRule, Member, Shape

ID, REASON, WHOLE = "_rejected", "_reason", "_row"
"""Columns of ours: the rejected row's id, why it was rejected, and the whole row where it does not fit into columns."""
MOST_COLUMNS = 200
"""A document with more members than this stands whole in one cell, so that one row cannot widen a file without end."""

_FORMULA = "=+-@\t\r\n＝＋－＠"
_NAME = re.compile(r"[^.\[\]]+")
_STEP = re.compile(r"([^.\[\]]+)((?:\[[0-9]{1,3}\])*)")

Path = tuple[str | int, ...]


def safe(cell: str) -> str:
    """``cell`` so that no spreadsheet takes it for a formula. :func:`plain` gives back exactly what it was.

    Source: OWASP, CSV Injection: a quote before ``= + - @``, tab and line ends, also in their wide forms.
    """
    return f"'{cell}" if cell[:1] in (*_FORMULA, "'") else cell


def plain(cell: str) -> str:
    """What :func:`safe` was given, and any other text as it is."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in (*_FORMULA, "'") else cell


def columns_of(document: Any) -> dict[str, str] | None:
    """The cells of a document by dotted path, such as ``addresses[0].city``; ``None`` where it does not fit into columns."""
    if not isinstance(document, dict) or not document:
        return None
    cells: dict[str, str] = {}
    for path, value in _leaves((), document):
        name = _name(path)
        if name is None or len(cells) == MOST_COLUMNS:
            return None
        if value is not None:
            cells[name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return cells


def document_of(cells: Mapping[str, str], shape: Shape) -> Any:
    """The document whose members stand in ``cells``; an empty cell is a member that is missing.

    Each cell is what the member's reader takes: the text, or the number, flag or list that it spells.

    Raises:
        BrokenRule: the whole row stands in a cell and is not JSON, or a column's name is no path.
    """
    if cells.get(WHOLE):
        return _literal(cells[WHOLE])
    root: dict[str | int, Any] = {}
    for name, cell in cells.items():
        if cell and name not in (ID, REASON, WHOLE):
            path = _path(name)
            _put(root, path, _value(cell, _reader(shape, path)))
    return _settled(root)


def _leaves(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves((*path, name), inner)
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _leaves((*path, index), inner)
    else:
        yield path, value


def _name(path: Path) -> str | None:
    name = ""
    for step in path:
        if isinstance(step, int):
            name += f"[{step}]"
        elif _NAME.fullmatch(step) is None or step != step.strip() or step in (ID, REASON, WHOLE):
            return None
        else:
            name += f".{step}" if name else step
    return name


def _path(name: str) -> Path:
    path: list[str | int] = []
    for part in name.split("."):
        found = _STEP.fullmatch(part)
        if found is None:
            raise BrokenRule("must have columns such as studentReference.studentUniqueId or addresses[0].city")
        path += [found[1], *map(int, re.findall("[0-9]+", found[2]))]
    return tuple(path)


def _reader(shape: Shape, path: Path) -> Callable[[Any], Any] | None:
    """What reads the value at ``path``; ``None`` for an object, a list, and what nothing reads."""
    here: Shape | None = shape
    member: Member | None = None
    for index, step in enumerate(path):
        if isinstance(step, int):
            continue
        member = here.get(step) if here else None
        inner = member.read if member else None
        here = inner if isinstance(inner, Mapping) else None
        if index == len(path) - 1 and member and member.many:
            return None
    return member.read if member and callable(member.read) else None


def _value(cell: str, read: Callable[[Any], Any] | None) -> Any:
    """The cell as its reader takes it: as text if it can, else as what it spells, else as text, to be refused."""
    candidates: Sequence[Any] = [cell, *_spelled(cell)]
    if read is None:
        return candidates[-1] if isinstance(candidates[-1], dict | list) else cell
    for candidate in candidates:
        try:
            read(candidate)
        except BrokenRule:
            continue
        return candidate
    return cell


def _spelled(cell: str) -> list[Any]:
    try:
        value = json.loads(cell.lower() if cell in ("TRUE", "FALSE") else cell, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return []
    return [] if isinstance(value, str) else [value]


def _literal(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise BrokenRule("must be JSON") from None


def _refuse(_: str) -> Any:
    raise ValueError


def _put(root: dict[str | int, Any], path: Path, value: Any) -> None:
    at = root
    for step in path[:-1]:
        inner = at.setdefault(step, {})
        if not isinstance(inner, dict):
            raise BrokenRule("must not name a member both as a value and as an object")
        at = inner
    at[path[-1]] = value


def _settled(value: Any) -> Any:
    """Objects whose keys are places of a list become lists, in order; places left empty are left out."""
    if not isinstance(value, dict):
        return value
    if value and all(isinstance(key, int) for key in value):
        return [_settled(value[key]) for key in sorted(value)]
    return {key: _settled(inner) for key, inner in value.items()}
