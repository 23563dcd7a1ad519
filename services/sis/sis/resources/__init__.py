"""The Ed-Fi resources that the door accepts, as a table: what is read, what identifies, what is sealed, what is referred to.

Source: Ed-Fi Data Standard 5.2. Members that are not named here are dropped unstored.
"""

from collections.abc import Mapping

from common.errors import NotFound
from sis.resources.attendance import ATTENDANCE_EVENTS
from sis.resources.calendar import CALENDARS
from sis.resources.contacts import CONTACTS
from sis.resources.discipline import DISCIPLINE
from sis.resources.kinds import Reference, Resource, key_text
from sis.resources.roster import ROSTER
from sis.resources.staff import STAFFS

__all__ = ["LOCK_ORDER", "REFERENCED", "RESOURCES", "Reference", "Resource", "key_text", "resource_named"]

_ALL = (*ROSTER, *CONTACTS, *STAFFS, *CALENDARS, *ATTENDANCE_EVENTS, *DISCIPLINE)

RESOURCES: Mapping[str, Resource] = {resource.name: resource for resource in _ALL}

REFERENCED = frozenset(reference.to for resource in _ALL for reference in resource.references)
"""Resources that others refer to: their documents are not deleted while somebody does."""

LOCK_ORDER: Mapping[str, int] = {
    name: rank for rank, name in enumerate(("schools", "students", "contacts", "staffs", "disciplineIncidents"))
}
"""Referenced documents are locked in this order, then by key, so that no two requests wait for each other."""


def resource_named(name: str) -> Resource:
    """The resource of that name.

    Raises:
        NotFound: Trellis takes no such resource.
    """
    if name not in RESOURCES:
        raise NotFound(what="resource")
    return RESOURCES[name]
