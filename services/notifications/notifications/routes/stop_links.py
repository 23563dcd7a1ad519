"""Links that stop e-mail, taken back: for a mailbox whose e-mails came to somebody else."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from common.access import require
from common.app import Router
from common.db import Session
from common.idempotency import repeatable
from common.runtime import Now, RuntimeOf
from notifications.mailboxes import digests, revoke_stop_links

router = Router("notifications")


class Mailbox(BaseModel):
    """Whose links are taken back. The address is not kept."""

    model_config = ConfigDict(
        extra="forbid", hide_input_in_errors=True, json_schema_extra={"example": {"email": "alma@example.org"}}
    )

    email: Annotated[str, Field(min_length=3, max_length=254, pattern=r"^[^\x00-\x1f\x7f]+$")]


@router.post(
    "/v1/stop-links/revoke",
    status_code=204,
    dependencies=[require("district", reads=["non_personal"], purpose="contact")],
)
@repeatable("a link that was taken back stays so")
async def revoke_links_of_mailbox(of: Mailbox, session: Session, runtime: RuntimeOf, now: Now) -> None:
    """Let every link that stops e-mail to a mailbox stop working at once. The next e-mail to it brings a new one.

    It is answered alike whether there were any. An opt-out that was made by one of them stays.
    """
    await revoke_stop_links(session, (await digests(session, runtime.vault)).of(of.email), now)
