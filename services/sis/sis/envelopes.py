"""CloudEvents as they come over HTTP: in binary mode, in structured mode, or many in a batch."""

import binascii
from base64 import b64decode
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from common.errors import DomainError
from common.json import as_it_came, parse
from sis.rules.members import BrokenRule, InvalidMember
from sis.rules.values import moment, text

STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
"""Media types of the JSON event format, CloudEvents 1.0."""

_attribute = text(500)


class MediaTypeUnknown(DomainError):
    """Events are taken as JSON: binary, structured or batched."""

    status = 415


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event: who says it under which id, of which type, when, and the document it is about."""

    source: str
    id: str
    type: str
    time: datetime | None
    document: Any


@dataclass(frozen=True, slots=True)
class Unread:
    """What came instead of an event, as it came, and why it is none."""

    raw: Any
    problem: DomainError


def media_type(header: str) -> str:
    """The media type of a Content-Type header, without its parameters and in lower case."""
    return header.partition(";")[0].strip().lower()


def read_one(headers: Mapping[str, str], body: bytes, types: Container[str]) -> Envelope:
    """The event, one of ``types``, of a request in structured mode or else in binary mode.

    Raises:
        InvalidMember: a member or an attribute is missing or breaks a rule.
        MediaTypeUnknown: the data is not JSON.
        MalformedJson: it says so and is not.
    """
    if media_type(headers.get("content-type", "")) == STRUCTURED:
        return read_structured(parse(body), types)
    return read_binary(headers, body, types)


def as_sent(headers: Mapping[str, str], body: bytes) -> Any:
    """What a request that could not be read said; in binary mode as it would stand in structured mode."""
    if media_type(headers.get("content-type", "")) in (STRUCTURED, BATCH):
        return body
    attributes = {name[3:]: _decoded(value) for name, value in headers.items() if name.startswith("ce-")}
    return attributes | {"data": as_it_came(body)}


def read_binary(headers: Mapping[str, str], body: bytes, types: Container[str]) -> Envelope:
    """The event, one of ``types``, whose attributes stand in ``ce-`` headers, percent-encoded, and whose data is the body.

    Raises:
        InvalidMember: an attribute is missing or breaks a rule.
        MediaTypeUnknown: the data is not JSON.
        MalformedJson: it says so and is not.
    """
    _expect_json(headers.get("content-type"))
    return _envelope(lambda name: _decoded(headers.get(f"ce-{name}")), "ce-", lambda: parse(body), types)


def read_structured(event: Any, types: Container[str]) -> Envelope:
    """The event, one of ``types``, that a JSON object says, its data in ``data`` or, as bytes, in ``data_base64``.

    Raises:
        InvalidMember: a member is missing or breaks a rule.
        MediaTypeUnknown: the data is not JSON.
        MalformedJson: ``data_base64`` holds no JSON.
    """
    if not isinstance(event, dict):
        raise InvalidMember(field="$", rule="must be an object")
    _expect_json(event.get("datacontenttype"))
    return _envelope(event.get, "$.", lambda: _data(event), types)


def read_batch(body: bytes, types: Container[str], *, most: int) -> list[Envelope | Unread]:
    """The events of a JSON array in order; one that cannot be read stands with its reason.

    Raises:
        InvalidMember: it is not an array, or holds more than ``most`` events.
        MalformedJson: the body is not JSON.
    """
    events = parse(body)
    if not isinstance(events, list):
        raise InvalidMember(field="$", rule="must be a list")
    if len(events) > most:
        raise InvalidMember(field="$", rule=f"must have at most {most} events")
    return [_read_or_refuse(event, types) for event in events]


def _read_or_refuse(event: Any, types: Container[str]) -> Envelope | Unread:
    try:
        return read_structured(event, types)
    except DomainError as refused:
        return Unread(event, refused)


def _envelope(attribute: Callable[[str], Any], at: str, data: Callable[[], Any], types: Container[str]) -> Envelope:
    if attribute("specversion") != "1.0":
        raise InvalidMember(field=f"{at}specversion", rule="must be 1.0")

    def read(name: str, reader: Callable[[Any], Any]) -> Any:
        try:
            return reader(attribute(name))
        except BrokenRule as broken:
            raise InvalidMember(field=at + name, rule=str(broken)) from None

    return Envelope(
        source=read("source", _attribute),
        id=read("id", _attribute),
        type=read("type", _one_of(types)),
        time=read("time", lambda value: None if value is None else moment(value)),
        document=data(),
    )


def _one_of(types: Container[str]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        name = str(_attribute(value))
        if name not in types:
            raise BrokenRule("must be sis.<resource>.upserted.v1 or sis.<resource>.deleted.v1")
        return name

    return read


def _decoded(value: str | None) -> str | None:
    # A double-quoted value is a quoted-string of HTTP: other producers than the official one send it so.
    return None if value is None else unquote(value.removeprefix('"').removesuffix('"'))


def _expect_json(content_type: Any) -> None:
    """Nothing where the data is JSON or nothing is said of it, as the official producer does."""
    if content_type is None:
        return
    kind = media_type(content_type) if isinstance(content_type, str) else ""
    if kind.rpartition("/")[2] != "json" and not kind.endswith("+json"):
        raise MediaTypeUnknown


def _data(event: Mapping[str, Any]) -> Any:
    if "data_base64" not in event:
        return event.get("data")
    if "data" in event:
        raise InvalidMember(field="$.data", rule="must not stand beside data_base64")
    try:
        return parse(b64decode(event["data_base64"], validate=True))
    except (TypeError, ValueError, binascii.Error):
        raise InvalidMember(field="$.data_base64", rule="must be base64") from None
