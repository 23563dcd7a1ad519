"""Codes stand as descriptors from the start, for clients that look a code up before they send it."""

from collections.abc import Iterable, Iterator, Mapping, Set

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from common.runtime import Runtime
from sis.documents import write
from sis.resources import DESCRIPTORS, RESOURCES, Resource
from sis.resources.core import kind_of
from sis.resources.kinds import leaves
from sis.rows import Row, read_row
from sis.rules.members import InvalidMember
from sis.rules.values import code_value

_LISTED = sa.text(
    "SELECT resource, key FROM sis_document WHERE resource = ANY(CAST(:resources AS text[])) AND NOT deleted"
)
_USED = sa.text(
    """
    SELECT DISTINCT jsonb_path_query(body, CAST(:path AS jsonpath)) #>> '{}' FROM sis_document
    WHERE resource = :resource AND NOT deleted
    """
)


async def list_codes(runtime: Runtime) -> None:
    """List every code that the policy names, and those that rows hold openly; what is listed stays as it is told.

    Sealed members are left out: nothing of them is answered at the door.
    """
    async with runtime.transaction() as session:
        # All is read before anything is written: from then on who asks for change versions waits for us.
        used = {name: await _used(session, name) for name in DESCRIPTORS}
        found = await session.execute(_LISTED, {"resources": list(DESCRIPTORS)})
        listed = {(row.resource, row.key) for row in found}
        for name, resource in DESCRIPTORS.items():
            rows = _unlisted(resource, {*resource.always, *used[name]}, listed)
            if rows:
                await write(session, runtime.vault, resource, rows, ["policy"] * len(rows))


async def used_openly(session: AsyncSession, resource: str, path: str) -> Iterable[str]:
    """What documents that stand hold at ``path``, such as ``disciplines[].disciplineDescriptor``: each value once."""
    wanted = {"resource": resource, "path": f"$.{path.replace('[]', '[*]')}"}
    return filter(None, (await session.execute(_USED, wanted)).scalars())


def is_sealed(resource: str, path: str) -> bool:
    """Whether the member at ``path`` is kept sealed."""
    return path.partition(".")[0].removesuffix("[]") in RESOURCES[resource].sealed


async def _used(session: AsyncSession, kind: str) -> set[str]:
    used: set[str] = set()
    for name, path in _HELD.get(kind, ()):
        used.update(await used_openly(session, name, path))
    return used


def _unlisted(resource: Resource, said: Set[str], listed: Set[tuple[str, str]]) -> list[Row]:
    rows = {row.key: row for row in _rows(resource, sorted(said))}
    return [row for key, row in rows.items() if (resource.name, key) not in listed]


def _rows(resource: Resource, said: Iterable[str]) -> Iterator[Row]:
    for one in said:
        code = code_value(one)
        namespace = one.rpartition("#")[0]
        try:
            yield read_row(resource, {"namespace": namespace, "codeValue": code, "shortDescription": code})
        except InvalidMember:
            continue  # without a namespace, or too long: no descriptor can say that


def _held() -> Mapping[str, list[tuple[str, str]]]:
    held: dict[str, list[tuple[str, str]]] = {}
    for name, resource in RESOURCES.items():
        for path, _ in leaves(resource.shape):
            kind = kind_of(path.rpartition(".")[2])
            if kind and not is_sealed(name, path):
                held.setdefault(kind, []).append((name, path))
    return held


_HELD = _held()
"""For each descriptor resource, where documents openly hold what it lists."""
