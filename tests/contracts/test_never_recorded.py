"""Whom a student loves, and who they are, is asked in surveys alone if at all: nothing of it is ever on a student's record."""

import re
from importlib import import_module

import pytest

from common.db import Table
from common.events import CATALOGUE
from sis.resources import NAMED
from sis.resources.kinds import leaves
from tests.harness import SERVICES

_NEVER = re.compile(
    "lgbt|lesbian|(^|_)gay|bisexual|transgender|queer|non_?binary|orientation|gender|pronoun|two_?spirit|intersex",
    re.IGNORECASE,
)
_SCHEMAS = [event.model_json_schema() for event in CATALOGUE]


def named(*names: str) -> list[str]:
    """Those that say what is never recorded."""
    return [name for name in names if _NEVER.search(name)]


def test_what_is_never_recorded_is_known_by_its_names() -> None:
    assert (
        len(named("lgbtq", "isLGBTQ", "sexualOrientation", "gender_identity", "preferredPronouns", "transgender")) == 6
    )
    assert named("sexDescriptor", "engaged", "student_id", "scores") == []


@pytest.mark.parametrize("service", SERVICES)
def test_no_table_has_a_column_for_it(service: str) -> None:
    import_module(f"{service}.app")
    tables = [table for name, table in Table.metadata.tables.items() if name.startswith(f"{service}_")]
    assert tables
    assert named(*(f"{table.name}.{column.name}" for table in tables for column in table.columns)) == []


def test_no_event_has_a_field_for_it() -> None:
    fields = [
        name
        for schema in _SCHEMAS
        for each in (schema, *schema.get("$defs", {}).values())
        for name in each.get("properties", ())
    ]
    assert {"student_id", "subscale"} <= set(fields)
    assert named(*fields) == []


def test_the_door_keeps_no_member_for_it() -> None:
    members = [f"{resource.name}: {member}" for resource in NAMED.values() for member, _ in leaves(resource.shape)]
    assert "students: lastSurname" in members
    assert named(*members, *NAMED) == []
