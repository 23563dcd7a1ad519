"""Groups of many students at once, given to the service that makes ratios of them and to nobody else."""

import json
from typing import Any
from uuid import uuid4

from tests.sis.conftest import Sis, student

_PATH = "/sis/v1/equity/groups"
_EDFI = "uri://ed-fi.org"


def _groups(name: str, organization: int = 255901, **more: Any) -> dict[str, Any]:
    return {
        "studentReference": {"studentUniqueId": name},
        "educationOrganizationReference": {"educationOrganizationId": organization},
        **more,
    }


async def _told(sis: Sis) -> list[str]:
    one, two, three = await sis.put_in("students", *(student(name) for name in ("s1", "s2", "s3")))
    home = {"languageDescriptor": "x#Spanish", "uses": [{"languageUseDescriptor": "x#Home language"}]}
    await sis.put_in(
        "studentEducationOrganizationAssociations",
        _groups("s1", hispanicLatinoEthnicity=True, sexDescriptor=f"{_EDFI}/SexDescriptor#Female", languages=[home]),
        _groups("s1", 1, disabilities=[{"disabilityDescriptor": f"{_EDFI}/DisabilityDescriptor#Autism"}]),
        _groups("s2", races=[{"raceDescriptor": f"{_EDFI}/RaceDescriptor#White"}]),
    )
    return [three, two, one]


async def test_groups_are_answered_in_the_order_in_which_students_were_asked_for(sis: Sis) -> None:
    students = [*await _told(sis), str(uuid4())]

    answer = await sis.running.http.post(
        _PATH, json={"students": students}, headers=sis.running.service_headers("mtss")
    )

    assert answer.json() == {
        "race": [None, "white", "hispanic", None],
        "sex": [None, None, "female", None],
        "disability": [None, "no_disability", "disability", None],
        "language": [None, None, "es", None],
    }


async def test_nobody_but_mtss_is_given_groups(sis: Sis) -> None:
    asking = [sis.running.headers(role) for role in ("sis", "district", "principal", "counselor")]
    asking += [sis.running.service_headers(name) for name in ("surveys", "restorative", "notifications")]

    answers = [await sis.running.http.post(_PATH, json={"students": []}, headers=each) for each in asking]

    assert {answer.status_code for answer in answers} == {403}


async def test_too_many_at_once_are_refused_without_their_ids(sis: Sis) -> None:
    whom = str(uuid4())

    answer = await sis.running.http.post(
        _PATH, json={"students": [whom] * 1001}, headers=sis.running.service_headers("mtss")
    )

    assert answer.status_code == 422
    assert whom not in json.dumps(answer.json())
