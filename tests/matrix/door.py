"""The district of the matrix at the Ed-Fi door: rows of two schools, and clients bound to one, to the other, and elsewhere."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx

from sis.clients.register import revoke
from tests.harness import Running
from tests.matrix.district import Asked, District, Fill, tell
from tests.matrix.people import CLIENT, CLIENT_ELSEWHERE, CLIENT_OF_OTHERS, NORTH, REVOKED, SOUTH
from tests.scoped import enrolled
from tests.sis.clients import Bound
from tests.sis.clients import made as client_of
from tests.sis.conftest import Sis, enrolment, school, student


async def sis(running: Running) -> District:
    """Two students, each enrolled, with somebody who answers for them, and one more at each school who is gone; and clients."""
    running.clock.set(datetime(2026, 10, 14, 18, tzinfo=UTC))
    made = Sis(running)
    await made.put_in("schools", school(int(NORTH)), school(int(SOUTH)))
    days = "".join(f"{name},2026-09-01,true\n" for name in (NORTH, SOUTH))
    assert (await made.calendar(f"school_id,date,instructional\n{days}")).status_code == 200
    (staff,) = await made.put_in("staffs", {"staffUniqueId": "t1"})
    held, fills = await _clients(made), []
    for name, key, column in ((NORTH, "ana", CLIENT), (SOUTH, "ben", CLIENT_ELSEWHERE)):
        (who,) = await made.put_in("students", student(key))
        (enrolled_by,) = await made.put_in("studentSchoolAssociations", enrolment(key, int(name)))
        await tell(running, [enrolled(UUID(who), name, date(2026, 8, 17))])
        about = {"staff_id": staff, "kind": "caseload", "student_id": who}
        made_one = await made.call("POST", "/sis/v1/relations", "district", json=about)
        wrong = enrolment(key, int(name)) | {"entryDate": "never"}
        refused = await held[column].call("POST", "/sis/data/v3/ed-fi/studentSchoolAssociations", json=wrong)
        assert refused.status_code == 400, refused.text
        fills.append(
            {
                "student_id": who,
                "document_id": who,
                "enrolled_by": enrolled_by,
                "key": key,
                "gone": await _gone(made, f"gone-{key}", int(name)),
                "relation_id": made_one.json()["id"],
                "school_id": name,
                "source": held[column].id,
            }
        )
    ana, ben = fills
    return District(ana, ben, _door(staff), {column: client.token for column, client in held.items()})


async def _clients(made: Sis) -> dict[str, Bound]:
    clients = {
        CLIENT: await client_of(made, CLIENT, schools=[NORTH]),
        CLIENT_ELSEWHERE: await client_of(made, CLIENT_ELSEWHERE, schools=[SOUTH]),
        CLIENT_OF_OTHERS: await client_of(made, CLIENT_OF_OTHERS, resources=["calendars"]),
        REVOKED: await client_of(made, REVOKED),
    }
    async with made.running.session() as session:
        await revoke(session, UUID(clients[REVOKED].id), by="a test")
    return clients


async def _gone(made: Sis, key: str, number: int) -> str:
    """A student who was enrolled at the school, and whom the SIS then took away."""
    (who,) = await made.put_in("students", student(key))
    (enrolled_by,) = await made.put_in("studentSchoolAssociations", enrolment(key, number))
    for resource, document in (("studentSchoolAssociations", enrolled_by), ("students", who)):
        assert (await made.delete(resource, document)).status_code == 204
    return who


_COUNTED = "studentSchoolAssociations"


def _door(staff: str) -> dict[str, Asked]:
    """Rows of the student that is asked about."""

    def row(fill: Fill) -> Any:
        return student(fill["key"])

    def taken(answer: httpx.Response, _: Fill) -> bool:
        return answer.json()["status"] not in (403, 404)

    def enrolment_of(fill: Fill) -> Fill:
        return {"resource": "studentSchoolAssociations", "document_id": fill["enrolled_by"]}

    event = {"specversion": "1.0", "source": "urn:sis:north", "type": "sis.students.upserted.v1"}
    asked = {
        "POST /sis/v1/relations": Asked(
            body=lambda fill: {"staff_id": staff, "kind": "caseload", "student_id": fill["student_id"]}
        ),
        "POST /sis/v1/bulk/{resource}": Asked(body=row, about=taken),
        "POST /sis/v1/bulk/{resource}/deletes": Asked(body=row, about=taken),
        "POST /sis/v1/events": Asked(
            body=lambda fill: event | {"id": str(uuid4()), "data": row(fill)},
            headers={"Content-Type": "application/cloudevents+json"},
        ),
        "GET /sis/v1/sources/{source}/rejected.csv": Asked(
            query=lambda _: {"resource": "studentSchoolAssociations"},
            about=lambda answer, fill: fill["key"] in answer.text,
        ),
        "PUT /sis/v1/sources/{source}/counts": Asked(
            body=lambda fill: {"items": [{"resource": _COUNTED, "school_id": fill["school_id"], "count": 1}]}
        ),
        "GET /sis/v1/sources/{source}/reconciliation": Asked(query=lambda fill: {"school": fill["school_id"]}),
    }
    for year in ("", "{school_year}/"):
        rows = f"/sis/data/v3/{year}ed-fi/{{resource}}"
        asked[f"POST {rows}"] = Asked(body=row)
        asked[f"GET {rows}/deletes"] = Asked(about=lambda answer, fill: fill["gone"] in answer.text)
        asked[f"PUT {rows}/{{document_id}}"] = Asked(body=row)
        asked[f"DELETE {rows}/{{document_id}}"] = Asked(instead=enrolment_of)
    return asked
