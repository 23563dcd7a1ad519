"""notifications at work with its sisters and a real mail server, empty before each test."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest_asyncio

from common.embedded import Cluster
from tests.harness import Running, run_service
from tests.notifications.made_up import (
    FRIDAY_MORNING,
    MailServer,
    Sisters,
    calendar,
    contact,
    send_through,
    serving,
    weekdays,
)


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def everyone() -> Sisters:
    return Sisters()


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def service(cluster: Cluster, everyone: Sisters) -> AsyncIterator[Running]:
    peers = {"sis": everyone.sis(), "mtss": everyone.mtss()}
    async with run_service("notifications", cluster, peers=peers) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def one_server() -> AsyncIterator[tuple[MailServer, str]]:
    mail = MailServer()
    async with serving(mail) as url:
        yield mail, url


@pytest_asyncio.fixture(loop_scope="session")
async def mail(one_server: tuple[MailServer, str]) -> MailServer:
    mail, _ = one_server
    mail.__init__()  # type: ignore[misc]  # as new, at the same address
    return mail


@pytest_asyncio.fixture(loop_scope="session")
async def sisters(everyone: Sisters) -> Sisters:
    everyone.forget()
    return everyone


@pytest_asyncio.fixture(loop_scope="session")
async def notifications(
    service: Running, sisters: Sisters, mail: MailServer, one_server: tuple[MailServer, str]
) -> Running:
    await service.empty()
    service.clock.set(FRIDAY_MORNING)
    send_through(service, one_server[1])
    await service.deliver(calendar(*weekdays()))
    return service


@pytest_asyncio.fixture(loop_scope="session")
async def student(sisters: Sisters) -> UUID:
    """A student whose mother has an e-mail address."""
    student = uuid4()
    sisters.families[student] = [contact(emails=["alma@example.org"])]
    return student
