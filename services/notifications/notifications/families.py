"""A student's name and contacts, asked of ``sis`` at the moment of use and never stored."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.errors import NotFound, SisterUnavailable
from common.problems import problem_of
from common.restrictions import Restriction
from common.runtime import Runtime
from notifications.rules.contacts import Address, Contact

_PROBLEM = "application/problem+json"


class _Told(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class _Address(_Told):
    lines: list[str] = []
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None


class _Restriction(_Told):
    state: str
    codes: list[str] = []
    expires_on: date | None = None


class _Contact(_Told):
    contact_id: UUID
    first_name: str | None = None
    last_name: str | None = None
    relation: str | None = None
    language: str | None = None
    emails: list[str] = []
    phones: list[str] = []
    address: _Address | None = None
    lives_with: bool = False
    restriction: _Restriction


class _About(_Told):
    student_id: UUID


class _Problem(_Told):
    type: str
    detail: str


class _Answer(_Told):
    first_name: str = Field(min_length=1)
    school_name: str = Field(min_length=1)
    contacts: list[_Contact]


class _Decision(_Told):
    stands: bool


@dataclass(frozen=True, slots=True)
class Family:
    """What a message to a student's families needs to know, and the name of the school that signs it."""

    student_first_name: str
    school_name: str
    contacts: tuple[Contact, ...]

    @property
    def emails(self) -> list[str]:
        """Every e-mail address of every contact."""
        return [email for contact in self.contacts for email in contact.emails]


async def ask_family(runtime: Runtime, student_id: UUID, school_id: str) -> Family | None:
    """The student's family as ``sis`` knows it now; ``None`` if it does not know the student, or not well enough.

    ``school_id`` is the school that decided or offered. It signs, also after a transfer: the new school knows nothing of it.

    Raises:
        SisterUnavailable: no answer that can be relied on. Wait; never guess.
    """
    path = f"/sis/v1/students/{student_id}/contacts"
    response = await runtime.clients.request("sis", "GET", path, params={"school": school_id})
    if _says_unknown(response, "student"):
        return None
    if response.status_code != 200 or not _is_about(response, student_id):
        raise SisterUnavailable(service="sis")
    try:
        answer = _Answer.model_validate_json(response.content)
    except ValidationError:
        return None
    return Family(answer.first_name, answer.school_name, tuple(_contact(each) for each in answer.contacts))


async def still_stands(runtime: Runtime, decision_id: UUID) -> bool | None:
    """Whether ``mtss`` says that this is still the student's last decision; ``None`` if it does not know it.

    Raises:
        SisterUnavailable: no answer that can be relied on.
    """
    response = await runtime.clients.request("mtss", "GET", f"/mtss/v1/decisions/{decision_id}")
    if _says_unknown(response, "decision"):
        return None
    try:
        if response.status_code == 200:
            return _Decision.model_validate_json(response.content).stands
    except ValidationError:
        pass
    raise SisterUnavailable(service="mtss")


def _says_unknown(response: httpx.Response, what: str) -> bool:
    """Whether the sister itself says that there is no such thing; any other 404 is the page of a wrong address."""
    if response.status_code != 404 or not response.headers.get("content-type", "").startswith(_PROBLEM):
        return False
    try:
        said = _Problem.model_validate_json(response.content)
    except ValidationError:
        return False
    unknown = problem_of(NotFound(what=what))
    return (said.type, said.detail) == (unknown.type, unknown.detail)


def _is_about(response: httpx.Response, student_id: UUID) -> bool:
    try:
        return _About.model_validate_json(response.content).student_id == student_id
    except ValidationError:
        return False


def _contact(told: _Contact) -> Contact:
    address = (
        None
        if told.address is None
        else Address(
            tuple(told.address.lines), told.address.city or "", told.address.state or "", told.address.postal_code or ""
        )
    )
    return Contact(
        contact_id=told.contact_id,
        first_name=told.first_name or "",
        last_name=told.last_name or "",
        relation=told.relation,
        language=told.language,
        emails=tuple(told.emails),
        phones=tuple(told.phones),
        address=address,
        lives_with=told.lives_with,
        restriction=Restriction(told.restriction.state, frozenset(told.restriction.codes), told.restriction.expires_on),
    )
