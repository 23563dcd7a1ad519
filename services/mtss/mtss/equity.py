"""Groups of students for ratios of whole groups: asked of sis at the moment of use, held in memory, stored nowhere."""

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from common.errors import SisterUnavailable
from common.runtime import Runtime
from mtss.numbers import LEAST
from mtss.rules.rehearsal.who import Groups, groups_of

ASKED_AT_ONCE = 1_000
_KINDS = ("race", "sex", "disability", "language")
_OPEN = frozenset({"language"})
"""Kinds with as many groups as there are: small ones are one, so that no line tells that there is somebody."""


async def groups_of_students(
    runtime: Runtime, students: Sequence[UUID], step: Callable[[], None] = lambda: None
) -> dict[str, Groups]:
    """The groups of each student, by their kind.

    Raises:
        SisterUnavailable: sis does not answer, or not as it should.
    """
    said: dict[str, list[str | None]] = {kind: [] for kind in _KINDS}
    for first in range(0, len(students), ASKED_AT_ONCE):
        for kind, names in (await _asked(runtime, students[first : first + ASKED_AT_ONCE])).items():
            said[kind] += names
        step()
    return {kind: groups_of(names, LEAST.students if kind in _OPEN else 0) for kind, names in said.items()}


async def _asked(runtime: Runtime, students: Sequence[UUID]) -> Mapping[str, list[str | None]]:
    body = {"students": list(map(str, students))}
    response = await runtime.clients.request("sis", "POST", "/sis/v1/equity/groups", repeatable=True, json=body)
    if response.status_code != 200:
        raise SisterUnavailable(service="sis")
    found: dict[str, list[str | None]] = response.json()
    return found
