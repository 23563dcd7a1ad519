"""Who asks in the matrix: one column each, or several people who must be answered alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from secrets import token_urlsafe
from uuid import UUID, uuid4

from common import auth
from common.auth import door_token
from common.events import Event
from common.keys import DOOR_SERVICE, read_keys, read_signing_key, write_keys
from tests.harness import SERVICES, Running
from tests.scoped import GROUNDS, Days, assigned, attends, governed, named

NORTH, SOUTH = "255901001", "255901044"
"""Ana is in the ninth grade of the first, Ben in that of the other."""
ELSEWHERE, DISTRICT = "255901107", "255901"
"""A school where neither is, and the district of all three."""
CLIENT, CLIENT_ELSEWHERE = "client of the school", "client elsewhere"
CLIENT_OF_OTHERS, REVOKED = "client of other resources", "revoked client"
STUDENT, OTHER_STUDENT, TAKEN_BACK = "student by link", "another student by link", "by a link taken back"
FAMILY, RESTRICTED = "family by link", "restricted family by link"
_CLIENTS = (CLIENT, CLIENT_ELSEWHERE, CLIENT_OF_OTHERS, REVOKED)
LINKS = (STUDENT, OTHER_STUDENT, TAKEN_BACK, FAMILY, RESTRICTED)
_numbers = count()


@dataclass(frozen=True)
class Person:
    """Somebody with a token of their own, and what the SIS and Trellis know of them."""

    role: str
    staff: UUID
    facts: Sequence[Event] = ()
    schools: Sequence[str] = ()

    def headers(self, running: Running) -> dict[str, str]:
        return running.headers(self.role, staff=self.staff, schools=self.schools)


_LONG_AGO = date(2020, 8, 17)
_COUNSELS = ("caseload", "counselor", "grade")
_RELATED = ("caseload", "trusted_adult", "grade")
_TEACHES = ("section", *_RELATED)


def everybody(today: date, ana: UUID) -> dict[str, list[Person]]:
    """People by column: with a ground to see Ana, with one to see Ben's school, and with one that is over or still to come."""
    now = Days(today - timedelta(days=60))
    over = Days(now.first, today - timedelta(days=1))
    to_come = Days(today + timedelta(days=1))
    return {
        "principal": [_person(ana, "principal", now, "school"), _claims("principal", NORTH)],
        "principal elsewhere": [_person(ana, "principal", now, "school", school=SOUTH), _claims("principal", SOUTH)],
        "counselor": [_person(ana, "counselor", now, "school"), _claims("counselor", NORTH)],
        "counselor of the student": [_person(ana, "counselor", now, ground, works=DISTRICT) for ground in _COUNSELS],
        "counselor of the student elsewhere": [_person(ana, "counselor", now, *_COUNSELS, works=ELSEWHERE)],
        "facilitator": [_person(ana, "facilitator", now, "school"), _claims("facilitator", NORTH)],
        "facilitator elsewhere": [
            _person(ana, "facilitator", now, "school", school=SOUTH),
            _claims("facilitator", SOUTH),
        ],
        "teacher of the student": [_person(ana, "teacher", now, ground, works=NORTH) for ground in _TEACHES],
        "teacher of the student elsewhere": [_person(ana, "teacher", now, *_RELATED, works=ELSEWHERE)],
        "teacher of others": [_person(ana, "teacher", now, "school"), _claims("teacher", NORTH)],
        "principal not now": [_person(ana, "principal", days, "school") for days in (over, to_come)],
        "counselor not now": [
            person
            for days in (over, to_come)
            for person in (
                _person(ana, "counselor", days, "school"),
                _person(ana, "counselor", days, *_COUNSELS, works=DISTRICT),
            )
        ],
        "facilitator not now": [_person(ana, "facilitator", days, "school") for days in (over, to_come)],
        "teacher not now": [
            *(_person(ana, "teacher", days, *_TEACHES, works=NORTH) for days in (over, to_come)),
            _left(ana, now, over),
        ],
    }


def facts(people: dict[str, list[Person]], today: date, ana: UUID) -> list[Event]:
    """All that makes them see whom they see, and that Ana sits in the section."""
    of_people = [fact for column in people.values() for person in column for fact in person.facts]
    schools = [governed(school, DISTRICT) for school in (NORTH, SOUTH, ELSEWHERE)]
    return [attends(ana, school=NORTH, begin_on=today - timedelta(days=60)), *schools, *of_people]


def holders(running: Running, held: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """By column the header of who is no staff: clients of the door and holders of personal links, good here or nowhere."""
    door = read_keys(running.keys / DOOR_SERVICE).door
    assert door
    tokens = {column: door_token(door, client=str(uuid4()), lifetime_seconds=900) for column in _CLIENTS}
    tokens |= {column: token_urlsafe(16) for column in LINKS}
    return {column: {"Authorization": f"Bearer {held.get(column, token)}"} for column, token in tokens.items()}


def _person(ana: UUID, role: str, days: Days, *grounds: str, school: str = NORTH, works: str | None = None) -> Person:
    staff = named("matrix", next(_numbers))
    facts = [GROUNDS[ground](ana, staff, school, days) for ground in grounds]
    return Person(role, staff, [*facts, assigned(staff, works, _LONG_AGO)] if works else facts)


def _claims(role: str, school: str) -> Person:
    return Person(role, named("matrix", next(_numbers)), schools=(school,))


def _left(ana: UUID, now: Days, over: Days) -> Person:
    """Who has left the school for the district, and still has the section and whatever relates them to Ana."""
    person = _person(ana, "teacher", now, *_TEACHES, works=DISTRICT)
    return Person(person.role, person.staff, [*person.facts, GROUNDS["school"](ana, person.staff, NORTH, over)])


def sisters(running: Running) -> dict[str, dict[str, str]]:
    """The header with which each service asks."""
    return {name: running.service_headers(name) for name in SERVICES}


def stranger(folder: Path) -> dict[str, str]:
    """The header of an administrator of another district, which has keys of its own."""
    write_keys(folder, SERVICES)
    token = auth.staff_token(read_signing_key(folder / "staff"), role="district")
    return {"Authorization": f"Bearer {token}"}
