"""No request, whoever sends it, is answered with an error of ours, with what OpenAPI does not name, or with what they may not know.

``make test`` asks one round, whose seed is fixed. ``make fuzz`` asks round after round for an hour, each with the next seed on a
new district; ``make fuzz SEED=…`` begins with the one that a failure named.
"""

import os
import sys
import time
from typing import Any
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from common.auth import PERMISSIONS
from common.embedded import Cluster
from tests.fuzz.fuzzing import Asker, Fuzz
from tests.harness import SERVICES, Running, run_service
from tests.matrix.district import District
from tests.matrix.districts import district_of
from tests.matrix.people import CLIENT, FAMILY, LINKS, NORTH, STUDENT, holders, sisters
from tests.notifications.made_up import Sisters

SEED = int(os.environ.get("TRELLIS_FUZZ_SEED", "1"))
SECONDS = float(os.environ.get("TRELLIS_FUZZ_SECONDS", "0"))
"""How long all services together are asked; a round that has begun is ended."""
CASES = 3
KNOWN = {
    "sis": {"resource": ["students", "schools", "studentSchoolAttendanceEvents", "contacts"], "section": ["resources"]},
    "mtss": {"version": ["default-1"]},
}
"""Values of parameters that no answer names."""
DOOR = ("students", "studentSchoolAttendanceEvents")


@pytest.mark.parametrize("service", SERVICES)
async def test_nothing_that_anybody_asks_is_answered_wrongly(
    service: str, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    families = Sisters()
    peers = {"sis": families.sis(), "mtss": families.mtss()}
    until, number = time.monotonic() + SECONDS / len(SERVICES), SEED
    async with run_service(service, cluster, peers=peers) as running:
        while number == SEED or time.monotonic() < until:
            await running.empty()
            fuzz = await _fuzz(running, await district_of(service, running, families))
            with capture_logs():  # thousands of lines
                for document in await _documents(running):
                    await fuzz.ask(document, number, CASES)
            capsys.readouterr()
            with capsys.disabled():
                sys.stdout.write(
                    f"{service}, seed {number}: {dict(sorted(fuzz.statuses.items()))}\n" if SECONDS else ""
                )
            assert not fuzz.found, f"make fuzz SEED={number} asks it again\n" + "\n".join(
                f"{what}\n    {how}" for what, how in fuzz.found.items()
            )
            assert {asker.name for asker in fuzz.askers if asker.link} <= fuzz.let_in
            number += 1


async def _documents(running: Running) -> list[dict[str, Any]]:
    """What the service describes; of the resources of its Ed-Fi door, where there is no hour, two."""
    documents = [running.app.openapi()]
    if running.name == "sis":
        door = (await running.http.get("/sis/metadata/data/v3/resources/swagger.json")).json()
        paths = {path: of for path, of in door["paths"].items() if SECONDS or path.split("/")[2] in DOOR}
        documents.append(door | {"paths": paths})
    return documents


async def _fuzz(running: Running, district: District) -> Fuzz:
    names = {*district.ana, *district.ben}
    known = {name: [fill[name] for fill in (district.ana, district.ben) if name in fill] for name in names}
    known |= {"school": known.get("school_id", [NORTH])} | KNOWN.get(running.name, {})
    ana, ben = (frozenset(value for value in fill.values() if _is_id(value)) for fill in (district.ana, district.ben))
    named = sorted(PERMISSIONS)
    known["token"] = [token for column, token in district.held.items() if column in LINKS]
    askers = [
        Asker("nobody", {}, ana | ben),
        Asker("SIS", running.headers("sis")),
        Asker("district", running.headers("district", staff=uuid4(), permissions=named)),
        *(Asker(f"sister {name}", headers) for name, headers in sisters(running).items()),
    ]
    for role in ("principal", "counselor", "facilitator", "teacher"):
        headers = running.headers(role, schools=[NORTH], staff=uuid4(), permissions=named)
        askers.append(Asker(role, headers, ben - ana))
    if CLIENT in district.held:
        askers.append(Asker(CLIENT, holders(running, district.held)[CLIENT], ben - ana))
    askers += [
        Asker(column, {}, ben - ana, link=district.held[column])
        for column in (STUDENT, FAMILY)
        if column in district.held
    ]
    return Fuzz(running, askers, known)


def _is_id(value: str) -> bool:
    try:
        return bool(UUID(value))
    except ValueError:
        return False


async def test_what_is_broken_is_found(cluster: Cluster) -> None:
    async with run_service("echo", cluster) as running:
        fuzz = Fuzz(running, [Asker("nobody", {})], {})
        with capture_logs():
            await fuzz.ask(running.app.openapi(), SEED, CASES)
    assert {what.partition(":")[0] for what in fuzz.found} == {"GET /echo/v1/broken 500", "POST /echo/v1/shout 422"}
