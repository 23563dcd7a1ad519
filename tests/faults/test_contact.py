"""F1 at the sender, and F20: whatever is killed or set back, no family is told twice (I4)."""

import asyncio
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date

import pytest
import pytest_asyncio
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope
from aiosmtpd.smtp import Session as SmtpSession

from common import embedded
from tests.faults.checker import settled, violations
from tests.faults.district import District, district
from tests.faults.patience import eventually
from tests.faults.push import School, school
from tests.kafka.broker import _free_port

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

SET_BACK = ("mtss", "notifications")
FAMILIES = 6


@dataclass
class Ledger:
    """A mail server's own ledger: everything it accepted, whatever anybody else remembers."""

    accepted: list[str] = field(default_factory=list)

    async def handle_EHLO(
        self, server: SMTP, session: SmtpSession, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], "250-X-TRELLIS-MAIL-CATCHER", responses[-1]]

    async def handle_DATA(self, server: SMTP, session: SmtpSession, envelope: Envelope) -> str:
        self.accepted += envelope.rcpt_tos
        return "250 accepted"

    def told_twice(self) -> dict[str, int]:
        """Addresses with more than one message. Each family here has one ground to be told."""
        return {address: times for address, times in Counter(self.accepted).items() if times > 1}


@contextmanager
def serving(ledger: Ledger) -> Iterable[str]:
    controller = Controller(ledger, hostname="127.0.0.1", port=_free_port())
    controller.start()
    try:
        yield f"smtp://127.0.0.1:{controller.port}"
    finally:
        controller.stop()
