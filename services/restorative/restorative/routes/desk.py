"""Taking a step: the desk at which a facilitator has one referral before them.

A step may be sent again: one that was taken with the same content is answered with the current state, and nothing else
happens. A step that really is taken twice in the same words, such as going back to an earlier time, carries another
``on``. Refusals are not recorded at all; saying one again changes nothing by itself.

Two facilitators may have one referral before them: a step names in ``If-Match`` the version it was decided on, so that
nobody decides over what they did not see.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncSession

from common.audit.writing import about
from common.auth import Principal
from common.db import Session
from common.preconditions import IfMatch, check_seen
from common.runtime import Now, RuntimeOf, Today
from common.sealed import Vault
from restorative.announcements import announce, facts
from restorative.conferences import Case, canonical, hold, opened, read_case, seal, staff_named, visible
from restorative.models import StepRow
from restorative.routes.documents import ReferralShown, show, tagged, version_of
from restorative.routes.referrals import Facilitator
from restorative.rules.conference import State, check_impartial
from restorative.rules.gathering import Refuse
from restorative.rules.steps import Step, decide

PATH = "/v1/referrals/{referral_id}"
AN_ID = "0190f6a8-0000-7000-8000-000000000001"

Text = tuple[UUID, str, str]
"""A row, a sealed column of it, and what is to stand there."""


class Body(BaseModel):
    """What comes with a step: nothing but what is named here."""

    model_config = ConfigDict(extra="forbid")


class Undated(Body):
    """What comes with a step that has content enough to tell it from others; ``on``, the day it was taken, may be said."""

    on: date | None = None


class Dated(Body):
    """What comes with a step that needs its day."""

    model_config = ConfigDict(json_schema_extra={"example": {"on": "2026-10-12"}})

    on: date


@dataclass
class Desk:
    """One referral, locked, before a facilitator who may take steps on it."""

    session: AsyncSession
    vault: Vault
    case: Case
    who: Principal
    staff_id: UUID
    now: datetime
    today: date
    response: Response
    expected: str | None

    def earlier(self, step: str, content: dict[str, Any]) -> StepRow | None:
        """The recorded step that has this content, if there is one."""
        wanted = canonical(content)
        same = (row for row in self.case.steps if row.step == step and row.content is not None)
        return next((row for row in same if opened(self.vault, row, "content") == wanted), None)

    async def take(
        self, step: Step, content: dict[str, Any], *, party_id: UUID | None = None, texts: Sequence[Text] = ()
    ) -> None:
        """Take the step, unless it was taken already, and seal ``texts`` in the rows it made or changed."""
        if self.earlier(step.name, content) is not None:
            return
        self._check_seen()
        self.case.become(decide(self.case.conference, step, today=self.today))
        for row_id, column, text in texts:
            seal(self.vault, self.case.row(row_id), column, text)
        row = self.case.note(step.name, at=self.now, on=step.on, staff_id=self.staff_id, party_id=party_id)
        seal(self.vault, row, "content", canonical(content))
        await hold(self.case, self.staff_id)
        await announce(self.session, facts(self.case))

    async def decline(self, refusal: Refuse) -> None:
        """Go on without a party, or end the conference, and keep no record of who refused."""
        self._check_seen()
        before = self.case.conference
        after = decide(before, refusal, today=self.today)
        self.case.become(after)
        if after.state is State.DECLINED and before.state is not State.DECLINED:
            self.case.note("decline", at=self.now, on=refusal.on, staff_id=self.staff_id)
            await hold(self.case, self.staff_id)
            await announce(self.session, facts(self.case))

    def shown(self) -> ReferralShown:
        """The referral as it stands now; its ETag goes into If-Match of the next step."""
        return tagged(self.response, show(self.case, self.vault))

    def _check_seen(self) -> None:
        check_seen(self.expected, version_of(show(self.case, self.vault)))


async def open_desk(
    referral_id: UUID,
    who: Facilitator,
    session: Session,
    runtime: RuntimeOf,
    now: Now,
    today: Today,
    response: Response,
    expected: IfMatch = None,
) -> Desk:
    """The referral, locked until the end of the request.

    Raises:
        NotFound: it is not visible.
        FacilitatorNamed: an action names this facilitator.
        FacilitatorIsParty: they were harmed, or caused harm.
    """
    case = await read_case(session, referral_id, visible(who), lock=True)
    about(case.referral.student_id)
    named = await staff_named(session, case.referral.student_id, case.referral.incident_id)
    staff_id = check_impartial(who.staff_id, named=named, parties=case.conference.parties)
    return Desk(session, runtime.vault, case, who, staff_id, now, today, response, expected)


At = Annotated[Desk, Depends(open_desk, scope="function")]


def sent(body: BaseModel) -> dict[str, Any]:
    """The content of a step as it is compared and sealed."""
    return body.model_dump(mode="json")
