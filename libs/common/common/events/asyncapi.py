"""The contracts of all events as JSON Schema and AsyncAPI 3, for docs/events. ``python -m common.events.asyncapi DIR``."""

import json
import sys
from pathlib import Path
from typing import Any

from common.events import CATALOGUE, Event


def schema_of(event: type[Event]) -> dict[str, Any]:
    """The JSON Schema of one event's body."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:trellis:event:{event.type()}",
        **event.model_json_schema(mode="serialization"),
    }


def asyncapi() -> dict[str, Any]:
    """Every topic with the events on it."""
    owners = sorted({event.owner for event in CATALOGUE})
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Trellis events",
            "version": "1",
            "description": "CloudEvents 1.0 in binary mode; one topic per owner; each event is the standing state of one fact.",
        },
        "channels": {owner: _channel(owner) for owner in owners},
        "operations": {
            f"say-{owner}": {"action": "send", "channel": {"$ref": f"#/channels/{owner}"}} for owner in owners
        },
        "components": {"messages": {event.type(): _message(event) for event in CATALOGUE}},
    }


def write(folder: Path) -> None:
    """Write every contract into ``folder``, and remove those of events that are gone."""
    documents = {f"{event.type()}.json": schema_of(event) for event in CATALOGUE} | {"asyncapi.json": asyncapi()}
    folder.mkdir(parents=True, exist_ok=True)
    for path in set(folder.glob("*.json")) - {folder / name for name in documents}:
        path.unlink()
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, indent=2) + "\n")


def _channel(owner: str) -> dict[str, Any]:
    types = [event.type() for event in CATALOGUE if event.owner == owner]
    return {"address": owner, "messages": {each: {"$ref": f"#/components/messages/{each}"} for each in types}}


def _message(event: type[Event]) -> dict[str, Any]:
    return {
        "name": event.type(),
        "title": event.__name__,
        "summary": " ".join((event.__doc__ or "").split()),
        "contentType": "application/json",
        "payload": {"$ref": f"./{event.type()}.json"},
        "x-fact": list(event.fact),
        "x-subject": event.subject_field,
        "x-kafka-key": event.key_field,
    }


if __name__ == "__main__":
    match sys.argv[1:]:
        case [into]:
            write(Path(into))
        case _:
            sys.exit("usage: python -m common.events.asyncapi DIR")
