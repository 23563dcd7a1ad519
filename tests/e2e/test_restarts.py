"""Restarts that no client notices: nobody is refused, nobody is cut off, though no client here ever sends anything twice."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest

from tests.faults.district import Member, district
from tests.faults.patience import eventually
from tests.kafka.broker import Broker
from tests.processes import free_port, trellis, up

CONNECTIONS = 8
STUDENTS = "/sis/data/v3/ed-fi/students"


@dataclass
class Exporter:
    """A SIS with eight connections that stay open, which never repeats a request."""

    address: str
    token: str
    sent: int = 0
    answers: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    goes_on: bool = False

    @asynccontextmanager
    async def pushing(self) -> AsyncIterator[None]:
        """Push new students, one a request, meanwhile; each request gets its answer."""
        self.goes_on = True
        tasks = [asyncio.create_task(self._push()) for _ in range(CONNECTIONS)]
        try:
            yield
            assert not any(task.done() for task in tasks), self.failures
        finally:
            self.goes_on = False
            await asyncio.gather(*tasks)

    async def answered(self, more: int) -> None:
        """Wait until so many more requests were answered."""
        until = len(self.answers) + more

        async def enough() -> bool:
            assert not self.failures
            return len(self.answers) >= until

        await eventually(f"{more} more students are accepted", enough, within=60)

    async def _push(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}"}
        one = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(base_url=self.address, headers=headers, timeout=60, limits=one) as http:
            while self.goes_on:
                self.sent += 1
                student = {"studentUniqueId": f"s{self.sent}", "firstName": "A", "lastSurname": "B"}
                try:
                    response = await http.post(STUDENTS, json=student)
                except httpx.TransportError as error:
                    self.failures.append(f"{type(error).__name__}: {error}")
                    return
                self.answers.append(response.status_code)
                await asyncio.sleep(0.005)

    async def count(self) -> int:
        """How many students are there."""
        async with httpx.AsyncClient(base_url=self.address, timeout=60) as http:
            headers = {"Authorization": f"Bearer {self.token}"}
            response = await http.get(STUDENTS, params={"totalCount": "true", "limit": 0}, headers=headers)
            return int(response.headers["Total-Count"])


@dataclass
class Proxy:
    """What stands before the pods: each new connection goes to ``target``, those that are open stay where they are."""

    target: int

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Its address."""
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        with suppress(asyncio.CancelledError):  # at the end of the test; Python 3.11 would log it as an error
            await asyncio.gather(_pipe(reader, there_writer), _pipe(there_reader, writer))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def test_up_starts_again_on_a_hangup_and_every_request_is_answered(tmp_path: Path) -> None:
    data, port = tmp_path / "var", free_port()
    with up(data, port) as process:
        exporter = Exporter(
            f"http://127.0.0.1:{port}", trellis("token", "--role", "sis", "--data", str(data)).stdout.strip()
        )
        async with exporter.pushing():
            await exporter.answered(100)
            process.send_signal(signal.SIGHUP)
            await eventually("it has started again", lambda: starts(data, 2), within=60)
            await exporter.answered(100)
        assert set(exporter.answers) == {201}
        assert await exporter.count() >= len(exporter.answers)


async def starts(data: Path, times: int) -> bool:
    return data.with_suffix(".log").read_text().count("Trellis answers at") == times


@pytest.mark.kafka
async def test_a_rolling_update_refuses_and_cuts_nobody(kafka: Broker, tmp_path: Path) -> None:
    async with district("sis", logs=tmp_path, kafka=kafka) as made:
        old = made.sis
        new = replace(old, port=free_port(), process=None, log=tmp_path / "new.log")
        proxy = Proxy(old.port)
        async with proxy.listening() as address:
            exporter = Exporter(address, made.headers("sis")["Authorization"].removeprefix("Bearer "))
            try:
                async with exporter.pushing():
                    await exporter.answered(100)
                    await roll(proxy, old, new)
                    await exporter.answered(100)
                    await roll(proxy, new, old)
                    await exporter.answered(100)
            finally:
                new.kill()
            assert set(exporter.answers) == {201}
            assert await exporter.count() >= len(exporter.answers)


async def roll(proxy: Proxy, old: Member, new: Member) -> None:
    """What Kubernetes does with surge 1 and unavailable 0: the new pod is ready before the old one loses its place."""
    await new.started()
    proxy.target = new.port
    await asyncio.sleep(0.5)  # preStop: who is on the way to the old pod arrives
    await asyncio.to_thread(old.stop)
    assert old.process is not None
    assert old.process.returncode == 0, "it left by itself"
