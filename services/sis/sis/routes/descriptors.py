"""Code values that the SIS uses and nothing here understands: kept as they came, and listed for a person to map."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

import sqlalchemy as sa
from pydantic import BaseModel

from common.access import require
from common.app import Router
from common.auth import Principal
from common.db import Session
from common.paging import Cursor, Limit, Page, part_of
from common.runtime import RuntimeOf
from common.sealed import Vault
from sis.clients.bounds import check_whole
from sis.languages import LANGUAGES
from sis.listing import is_sealed, used_openly
from sis.policy import UNDERSTOOD
from sis.resources import RESOURCES
from sis.resources.core import kind_of
from sis.resources.kinds import leaves
from sis.rules.members import values_at
from sis.rules.values import code_value
from sis.storing import open_secret

router = Router("sis", tags=["descriptors"])

_LANGUAGE = "languageDescriptors"
_PAGE = 500
_SEALED = sa.text(
    """
    SELECT key, id, sealed FROM sis_document
    WHERE resource = :resource AND key > :after AND NOT deleted ORDER BY key LIMIT :page
    """
)
_MEANINGS = sa.text(
    """
    SELECT resource, lower(body ->> 'codeValue') AS code, max(body ->> 'shortDescription') AS meaning FROM sis_document
    WHERE resource = ANY(CAST(:kinds AS text[])) AND NOT deleted GROUP BY 1, 2
    """
)

Code = tuple[str, str]
"""The resource that lists a descriptor, and a code value."""


class Unmapped(BaseModel):
    """One code value that is used; ``short_description`` is what the SIS says that it means, if it pushed that."""

    descriptor: str
    code_value: str
    short_description: str | None


@router.get("/v1/descriptors/unmapped")
async def list_unmapped(
    session: Session,
    runtime: RuntimeOf,
    who: Annotated[Principal, require("district", "sis", reads=["non_personal"], purpose="operations")],
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Page[Unmapped]:
    """Code values in use that are not understood: grade levels, relations, languages and the like. Nothing says who has them."""
    check_whole(who)
    used: set[Code] = set()
    for name, paths in _HELD.items():
        for path in paths:
            if not is_sealed(name, path):
                used.update(_strange(path, await used_openly(session, name, path)))
        used |= await _used_sealed(session, runtime.vault, name, [path for path in paths if is_sealed(name, path)])
    some, following = part_of(list(used), " ".join, cursor, limit)
    found = await session.execute(_MEANINGS, {"kinds": sorted({kind for kind, _ in some})})
    meanings = {(row.resource, row.code): row.meaning for row in found}
    return Page(
        items=[
            Unmapped(descriptor=kind, code_value=code, short_description=meanings.get((kind, code.lower())))
            for kind, code in some
        ],
        next=following,
    )


async def _used_sealed(session: Session, vault: Vault, name: str, paths: list[str]) -> set[Code]:
    used: set[Code] = set()
    after = "" if paths else None
    while after is not None:
        rows = (await session.execute(_SEALED, {"resource": name, "after": after, "page": _PAGE})).all()
        for row in rows:
            secret = open_secret(vault, row.id, row.sealed)
            for path in paths:
                used.update(_strange(path, values_at(secret, path)))
        after = rows[-1].key if len(rows) == _PAGE else None
    return used


def _strange(path: str, said: Iterable[str]) -> Iterator[Code]:
    kind = _kind(path)
    for code in map(code_value, said):
        if not _understands(kind, code):
            yield kind, code


def _understands(kind: str, code: str) -> bool:
    return LANGUAGES.code(code) is not None if kind == _LANGUAGE else code.lower() in UNDERSTOOD[kind]


def _kind(path: str) -> str:
    return kind_of(path.rpartition(".")[2]) or ""


def _held() -> Mapping[str, list[str]]:
    asked = {*UNDERSTOOD, _LANGUAGE}
    held = {name: [path for path, _ in leaves(one.shape) if _kind(path) in asked] for name, one in RESOURCES.items()}
    return {name: paths for name, paths in held.items() if paths}


_HELD: Mapping[str, list[str]] = _held()
"""For each resource the paths of descriptors that somebody may have to map."""
