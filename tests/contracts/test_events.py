"""The events on file are the events in code: a change of a contract shows in a review."""

import json
from pathlib import Path

import pytest

from common.events import CATALOGUE, Event
from common.events.asyncapi import asyncapi, schema_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "events"


@pytest.mark.parametrize("event", CATALOGUE, ids=lambda event: event.type())
def test_the_schema_on_file_is_the_one_in_code(event: type[Event]) -> None:
    path = FOLDER / f"{event.type()}.json"

    assert path.exists(), "run `make events`"
    assert json.loads(path.read_text()) == schema_of(event), "run `make events` and read the difference"


def test_asyncapi_on_file_is_the_one_in_code() -> None:
    assert json.loads((FOLDER / "asyncapi.json").read_text()) == asyncapi(), "run `make events`"


def test_no_schema_is_left_of_an_event_that_is_gone() -> None:
    expected = {f"{event.type()}.json" for event in CATALOGUE} | {"asyncapi.json"}

    assert {path.name for path in FOLDER.glob("*.json")} == expected


@pytest.mark.parametrize("event", CATALOGUE, ids=lambda event: event.type())
def test_no_event_has_a_field_for_a_direct_identifier(event: type[Event]) -> None:
    words = ("name", "birth", "address", "phone", "mail", "unique_id", "answer_text", "narrative", "answers")

    assert not [field for field in event.model_fields if any(word in field for word in words)]


@pytest.mark.parametrize("event", CATALOGUE, ids=lambda event: event.type())
def test_fact_subject_and_key_are_fields(event: type[Event]) -> None:
    assert {*event.fact, event.subject_field, event.key_field} <= set(event.model_fields)
