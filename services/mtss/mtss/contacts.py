"""Whether a contact of a student may be told anything: asked of sis at the moment of use, stored nowhere."""

from datetime import date
from uuid import UUID

from pydantic import BaseModel

from common.errors import SisterUnavailable
from common.restrictions import Restriction, bar
from common.runtime import Runtime


class _Told(BaseModel):
    state: str
    codes: frozenset[str]
    expires_on: date | None

    def rule(self) -> Restriction:
        return Restriction(self.state, self.codes, self.expires_on)


async def may_be_told(runtime: Runtime, student_id: UUID, contact_id: UUID) -> bool:
    """Whether somebody is a contact of the student today whom no restriction bars; fails closed.

    Raises:
        SisterUnavailable: sis does not answer, or not as it should.
    """
    path = f"/sis/v1/students/{student_id}/contacts/{contact_id}/restriction"
    response = await runtime.clients.request("sis", "GET", path)
    if response.status_code == 404:
        return False
    if response.status_code != 200:
        raise SisterUnavailable(service="sis")
    return bar(_Told.model_validate_json(response.content).rule(), runtime.today()) is None
