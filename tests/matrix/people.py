"""Who asks in the matrix: one column each, or several people who must be answered alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from uuid import UUID

from common import auth
from common.events import Event
from common.events.sis import Relation
from common.keys import read_signing_key, write_keys
from tests.harness import SERVICES, Running
from tests.scoped import assigned, attends, named, related, teaches

NORTH, SOUTH = "255901001", "255901044"
"""Ana is in the ninth grade of the first, Ben in that of the other."""
GRADE = "9"
_numbers = count()


@dataclass(frozen=True)
class Days:
    """The first and the last day on which something counts; without a last day it goes on."""

    first: date
    last: date | None = None


@dataclass(frozen=True)
class Person:
    """Somebody with a token of their own, and what the SIS and Trellis know of them."""

    role: str
    staff: UUID
    facts: Sequence[Event] = ()
    schools: Sequence[str] = ()

    def headers(self, running: Running) -> dict[str, str]:
        return running.headers(self.role, staff=self.staff, schools=self.schools)


Ground = Callable[[UUID, UUID, Days], list[Event]]
"""What lets a member of staff see a student, both by id, on these days."""


def _at(school: str) -> Ground:
    return lambda _, staff, days: [assigned(staff, school, days.first, end_on=days.last)]


def _section(_: UUID, staff: UUID, days: Days) -> list[Event]:
    return [teaches(staff, school=NORTH, begin_on=days.first, end_on=days.last)]


def _relation(kind: Relation) -> Ground:
    return lambda student, staff, days: [related(kind, student, staff, days.first, end_on=days.last)]


def _grade(_: UUID, staff: UUID, days: Days) -> list[Event]:
    of = {"school_id": NORTH, "grade": GRADE}
    return [related(Relation.GRADE, None, staff, days.first, end_on=days.last, **of)]


_COUNSELS = (_relation(Relation.CASELOAD), _relation(Relation.COUNSELOR), _grade)
_TEACHES = (_section, _relation(Relation.CASELOAD), _relation(Relation.TRUSTED_ADULT), _grade)


def everybody(today: date, ana: UUID) -> dict[str, list[Person]]:
    """People by column: with a ground to see Ana, with one to see Ben's school, and with one that is over or still to come."""
    now = Days(today - timedelta(days=60))
    over = Days(now.first, today - timedelta(days=1))
    to_come = Days(today + timedelta(days=1))
    return {
        "principal": [_person(ana, "principal", now, _at(NORTH)), _claims("principal", NORTH)],
        "principal elsewhere": [_person(ana, "principal", now, _at(SOUTH)), _claims("principal", SOUTH)],
        "counselor": [_person(ana, "counselor", now, _at(NORTH)), _claims("counselor", NORTH)],
        "counselor of the student": [_person(ana, "counselor", now, ground) for ground in _COUNSELS],
        "facilitator": [_person(ana, "facilitator", now, _at(NORTH)), _claims("facilitator", NORTH)],
        "facilitator elsewhere": [_person(ana, "facilitator", now, _at(SOUTH)), _claims("facilitator", SOUTH)],
        "teacher of the student": [_person(ana, "teacher", now, ground) for ground in _TEACHES],
        "teacher of others": [_person(ana, "teacher", now, _at(NORTH)), _claims("teacher", NORTH)],
        "principal not now": [_person(ana, "principal", days, _at(NORTH)) for days in (over, to_come)],
        "counselor not now": [
            _person(ana, "counselor", days, ground) for days in (over, to_come) for ground in (_at(NORTH), *_COUNSELS)
        ],
        "facilitator not now": [_person(ana, "facilitator", days, _at(NORTH)) for days in (over, to_come)],
        "teacher not now": [
            *(_person(ana, "teacher", days, ground) for days in (over, to_come) for ground in _TEACHES),
            _left_with_a_section(ana, now, over),
        ],
    }


def facts(people: dict[str, list[Person]], today: date, ana: UUID) -> list[Event]:
    """All that makes them see whom they see, and that Ana sits in the section."""
    of_people = [fact for column in people.values() for person in column for fact in person.facts]
    return [attends(ana, school=NORTH, begin_on=today - timedelta(days=60)), *of_people]


def _person(ana: UUID, role: str, days: Days, ground: Ground) -> Person:
    staff = named("matrix", next(_numbers))
    return Person(role, staff, ground(ana, staff, days))


def _claims(role: str, school: str) -> Person:
    return Person(role, named("matrix", next(_numbers)), schools=(school,))


def _left_with_a_section(ana: UUID, now: Days, over: Days) -> Person:
    staff = named("matrix", next(_numbers))
    return Person("teacher", staff, [*_at(NORTH)(ana, staff, over), *_section(ana, staff, now)])


def sisters(running: Running) -> dict[str, dict[str, str]]:
    """The header with which each service asks."""
    return {name: running.service_headers(name) for name in SERVICES}


def stranger(folder: Path) -> dict[str, str]:
    """The header of an administrator of another district, which has keys of its own."""
    write_keys(folder, SERVICES)
    token = auth.staff_token(read_signing_key(folder / "staff"), role="district")
    return {"Authorization": f"Bearer {token}"}
