"""The Ed-Fi resources that the door accepts, as a table: what is read, what identifies, what is sealed, what is referred to.

Source: Ed-Fi Data Standard 5.2. Members that are not named here are dropped unstored.
"""

from collections.abc import Mapping

from common.errors import DomainError, NotFound
from sis.resources.attendance import ATTENDANCE_EVENTS
from sis.resources.calendar import CALENDARS
from sis.resources.contacts import CONTACTS, PARENTS
from sis.resources.core import CORE, descriptors_of
from sis.resources.discipline import DISCIPLINE
from sis.resources.kinds import Reference, Resource, key_text
from sis.resources.roster import ROSTER
from sis.resources.sections import SECTIONS
from sis.resources.staff import STAFFS

__all__ = [
    "DESCRIPTORS",
    "LOCK_ORDER",
    "NAMED",
    "REFERENCED",
    "RESOURCES",
    "WAVES",
    "Reference",
    "Resource",
    "ResourceNotUsed",
    "key_text",
    "resource_named",
]


class ResourceNotUsed(DomainError):
    """Trellis has no use for this Ed-Fi resource and keeps nothing of it."""

    status = 403


_TABLE = (*ROSTER, *CONTACTS, *STAFFS, *CALENDARS, *SECTIONS, *ATTENDANCE_EVENTS, *DISCIPLINE)

DESCRIPTORS: Mapping[str, Resource] = {resource.name: resource for resource in descriptors_of(_TABLE)}
"""Lists of what descriptors may say. They tell what a code means; no value needs to be on them."""

RESOURCES: Mapping[str, Resource] = {**{resource.name: resource for resource in _TABLE}, **DESCRIPTORS}

NAMED: Mapping[str, Resource] = {**RESOURCES, **PARENTS}
"""Every name that may stand in a path; some resources go by an older name too."""

REFERENCED = frozenset(reference.to for resource in _TABLE for reference in resource.references)
"""Resources that others refer to: their documents are not deleted while somebody does."""


_IN_ANY_CASE: Mapping[str, str] = {name.lower(): name for name in (*CORE, *NAMED)}


def resource_named(name: str) -> Resource:
    """The resource of that name, in any case: an Ed-Fi ODS/API reads paths so.

    Raises:
        ResourceNotUsed: Ed-Fi has one of this name, and Trellis does not take it.
        NotFound: there is no such resource.
    """
    if name in NAMED:
        return NAMED[name]
    if (meant := _IN_ANY_CASE.get(name.lower(), name)) != name:
        return resource_named(meant)
    if name in CORE:
        raise ResourceNotUsed
    raise NotFound(what="resource")


def _wave(name: str) -> int:
    resource = RESOURCES[name]
    before = {*(reference.to for reference in resource.references), *resource.after}
    return max((_wave(one) + 1 for one in before), default=0)


_WAVE_OF = {name: _wave(name) for name in RESOURCES}

WAVES: tuple[tuple[str, ...], ...] = tuple(
    tuple(name for name in RESOURCES if _WAVE_OF[name] == wave) for wave in range(max(_WAVE_OF.values()) + 1)
)
"""Resources in the order of loading: those of one wave refer only to earlier ones."""

LOCK_ORDER: Mapping[str, int] = {
    name: rank for rank, name in enumerate(sorted(REFERENCED, key=lambda name: (_WAVE_OF[name], name)))
}
"""Referenced documents are locked in this order, then by key, so that no two requests wait for each other."""
