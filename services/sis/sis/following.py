"""What follows from documents that were stored before it was known is said once, by itself, after an upgrade.

The migration that brings such news names the resources; each is gone through once. So are attendance, calendars and marks where
the district reads them otherwise than the last time. What stands already is not said again, so whoever is killed on the way
begins anew.
"""

import hashlib
import time
from collections.abc import MutableMapping
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from common.runtime import Runtime
from sis.documents import follow
from sis.policy import ATTENDANCE, BULK_ROWS, CALENDAR, MARKS
from sis.resources import RESOURCES, Resource
from sis.storing import find

_BUSY_SECONDS = 10.0
"""How long one pass goes on; a large district takes several."""
# What was never gone through was taken in as it is read now.
_READ_OTHERWISE = sa.text(
    """
    WITH now AS (SELECT * FROM unnest(CAST(:resources AS text[]), CAST(:readings AS text[])) AS now(resource, reading)),
    first AS (INSERT INTO sis_read SELECT * FROM now ON CONFLICT DO NOTHING)
    INSERT INTO sis_unfollowed SELECT resource FROM now JOIN sis_read AS before USING (resource)
    WHERE before.reading <> now.reading ON CONFLICT DO NOTHING
    """
)
_READ = sa.text("UPDATE sis_read SET reading = :reading WHERE resource = :resource")
_UNFOLLOWED = sa.text("SELECT resource FROM sis_unfollowed ORDER BY resource LIMIT 1")
_FOLLOWED = sa.text("DELETE FROM sis_unfollowed WHERE resource = :resource")
_PAGE = sa.text(
    """
    SELECT key FROM sis_document WHERE resource = :resource AND key > :after AND NOT deleted ORDER BY key LIMIT :page
    """
)
# In the order in which pushes lock them, so that nobody waits in a circle. Who pushes one of them waits until it is said.
_HOLD = sa.text(
    """
    SELECT key FROM sis_document WHERE resource = :resource AND key = ANY(CAST(:keys AS text[]))
    ORDER BY key COLLATE "C" FOR NO KEY UPDATE
    """
)

_places: MutableMapping[Runtime, tuple[str, str]] = WeakKeyDictionary()
"""How far each service has come: a resource and a natural key."""


async def follow_stored(runtime: Runtime) -> None:
    """Say what follows from the documents of every resource that a migration named or that is read otherwise, a page at a time."""
    began = time.monotonic()
    async with runtime.transaction() as session:
        readings = _readings()
        await session.execute(_READ_OTHERWISE, {"resources": list(readings), "readings": list(readings.values())})
    while time.monotonic() - began < _BUSY_SECONDS:
        async with runtime.transaction() as session:
            name = await session.scalar(_UNFOLLOWED)
        if name is None:
            return
        await _follow_page(runtime, RESOURCES[name])


async def _follow_page(runtime: Runtime, resource: Resource) -> None:
    name, after = _places.get(runtime, (resource.name, ""))
    wanted = {"resource": resource.name, "after": after if name == resource.name else "", "page": BULK_ROWS}
    async with runtime.transaction() as session:
        keys = (await session.scalars(_PAGE, wanted)).all()
        if not keys:
            await session.execute(_FOLLOWED, {"resource": resource.name})
            await session.execute(_READ, {"resource": resource.name, "reading": _readings().get(resource.name)})
            _places.pop(runtime, None)
            return
        await session.execute(_HOLD, {"resource": resource.name, "keys": list(keys)})
        at, _, standing = await find(session, runtime.vault, resource, keys)
        await follow(
            session, runtime.vault, resource, at, [one for one in standing.values() if not one.content.deleted]
        )
    _places[runtime] = resource.name, keys[-1]


def _readings() -> dict[str, str]:
    """A digest of how the district reads what is said otherwise where it reads it otherwise, by resource."""
    read_by = {
        "calendarDates": CALENDAR.instructional,
        "grades": MARKS,
        "studentSchoolAttendanceEvents": ATTENDANCE,
    }
    return {resource: hashlib.sha256(repr(policy).encode()).hexdigest() for resource, policy in read_by.items()}
