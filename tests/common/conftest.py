from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio

from common.clients import Clients
from common.embedded import Cluster
from common.provider import Provider
from tests.harness import Running, run_service
from tests.identity_provider import Shape, running_provider
from tests.signing_in import Desk, oidc_of


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def service(cluster: Cluster) -> AsyncIterator[Running]:
    async with run_service("echo", cluster) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def echo(service: Running) -> Running:
    await service.empty()
    return service


@pytest.fixture(scope="session")
def provider_process() -> Iterator[dict[str, Shape]]:
    with running_provider() as running:
        yield running


@pytest.fixture
def shapes(provider_process: dict[str, Shape], monkeypatch: pytest.MonkeyPatch) -> dict[str, Shape]:
    """The district's identity provider, which behaves; a new key may be asked for at once."""
    monkeypatch.setattr("common.provider.COOL_DOWN_SECONDS", 0.0)
    for shape in provider_process.values():
        shape.behave()
    return provider_process


@pytest.fixture
def keycloak(shapes: dict[str, Shape]) -> Shape:
    return shapes["keycloak"]


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest_asyncio.fixture(loop_scope="session")
async def clients(service: Running, desk: Desk) -> AsyncIterator[Clients]:
    made = Clients("echo", service.runtime.keys.signing, service.runtime.settings)
    made.use("sis", httpx.ASGITransport(desk.app))
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def provider(keycloak: Shape, clients: Clients) -> AsyncIterator[Provider]:
    made = Provider(oidc_of(keycloak), clients)
    yield made
    await made.close()
