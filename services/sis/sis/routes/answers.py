"""How results are answered, and the words of the API's description that several topics share."""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from common.auth import Principal
from common.errors import DomainError, Forbidden
from common.problems import problem_of
from sis.plan import Result, Written
from sis.rules.documents import Outcome

_STATUS = {
    Outcome.CREATED: 201,
    Outcome.WAITING: 201,
    Outcome.UPDATED: 200,
    Outcome.UNCHANGED: 200,
    Outcome.STALE: 200,
    Outcome.DELETED: 204,
}

ATTENDANCE_EXAMPLE = {
    "studentReference": {"studentUniqueId": "604822"},
    "schoolReference": {"schoolId": 255901001},
    "eventDate": "2027-01-29",
    "attendanceEventCategoryDescriptor": "uri://ed-fi.org/AttendanceEventCategoryDescriptor#Unexcused Absence",
    "eventDuration": 1.0,
    "_lastModifiedDate": "2027-01-29T16:04:00Z",
}


class Identified(BaseModel):
    """The document that a row is about; ``waiting`` where it is not there yet, for it refers to what is not known."""

    id: UUID
    waiting: Literal[True] | None = None


def written(result: Result) -> Written:
    """The result of a row that was not refused.

    Raises:
        DomainError: it was.
    """
    if isinstance(result, DomainError):
        raise result
    return result


def status_of(result: Written) -> int:
    """The HTTP status of a row that was not refused."""
    return 200 if result.known else _STATUS[result.outcome]


def line_of(number: int, result: Result) -> dict[str, Any]:
    """One line of a bulk answer."""
    if isinstance(result, DomainError):
        problem = problem_of(result).model_dump(exclude_none=True)
        return {"line": number, "status": result.status, "problem": problem}
    return {"line": number, "status": status_of(result), **identified(result)}


def identified(result: Written) -> dict[str, Any]:
    """The body of an answer: which document it is, and whether it waits."""
    body: dict[str, Any] = {"id": str(result.id)}
    return body | {"waiting": True} if result.outcome is Outcome.WAITING else body


def own(who: Principal, source: str) -> None:
    """Nothing, if this caller may see what concerns ``source``: the district, and a SIS its own.

    Raises:
        Forbidden: it is another's.
    """
    if who.role != "district" and who.subject != source:
        raise Forbidden


def body_of(media_type: str, example: Any) -> dict[str, Any]:
    """The description of a body that the route reads by itself."""
    return {"requestBody": {"required": True, "content": {media_type: {"example": example}}}}
