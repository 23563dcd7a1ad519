"""JSON as we accept it: no member twice, valid UTF-8, not too deep."""

from codecs import BOM_UTF8
from typing import Any

import jiter

from common.errors import MalformedJson


def parse(body: bytes) -> Any:
    """The value that ``body`` says; a byte order mark before it is ignored.

    Source: RFC 8259, section 8.1, which lets whoever reads JSON ignore the mark.

    Raises:
        MalformedJson: duplicate members, bad UTF-8, truncated, nested too deep, or anything else that is not JSON.
    """
    try:
        return jiter.from_json(body.removeprefix(BOM_UTF8), catch_duplicate_keys=True, allow_inf_nan=False)
    except ValueError as error:
        raise MalformedJson(rule=_rule(str(error), body)) from None


def as_it_came(body: bytes) -> Any:
    """The value that ``body`` says; its text where it is not JSON, which comes back as no other value."""
    try:
        return parse(body)
    except MalformedJson:
        return body.decode(errors="backslashreplace")


def _rule(message: str, body: bytes) -> str:
    try:
        body.decode()
    except UnicodeDecodeError:  # where the parser looks for a value it does not notice
        return "it is not valid UTF-8"
    # The parser's message may quote the input after a colon or in quotes; only the kind of fault may leave.
    lowered = message.lower()
    for mark, rule in (
        ("duplicate key", "a member stands twice in one object"),
        ("recursion", "nested too deep"),
        ("eof", "it ends too early"),
        ("unicode", "it is not valid UTF-8"),
        ("utf-8", "it is not valid UTF-8"),
    ):
        if mark in lowered:
            return rule
    position = message.rpartition(" at line ")[2]
    if position == message:
        return "it is not JSON"
    # A row of a file has a line number there, which a second one would contradict.
    where = f"line {position}" if b"\n" in body else position.removeprefix("1 ")
    return f"unexpected character at {where}"
