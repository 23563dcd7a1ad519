"""Spreadsheet files that are no CSV because something else than a comma stands between the cells."""

from collections.abc import Sequence

_OTHERS = {";": "semicolons", "\t": "tabs"}


def wrong_separator(header: Sequence[str]) -> str | None:
    """What is wrong with a first line that commas do not separate and something else does; ``None`` if nothing is.

    Spreadsheets write semicolons where the comma stands in numbers, as in most of Europe.
    """
    found = [name for sign, name in _OTHERS.items() if len(header) == 1 and sign in header[0]]
    return f"is separated by {found[0]}: save it with commas" if found else None
