"""What follows from documents that were stored before it was known is said once, by itself, after an upgrade.

The migration that brings such news names the resources; each is gone through once. So are attendance, calendars, incidents and
marks where the district reads them otherwise than the last time. What stands already is not said again, so whoever is killed on the way
begins anew.
"""

import hashlib
import time
from collections.abc import MutableMapping
from datetime import datetime
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from common.db import transaction_time
from common.runtime import Runtime
from sis.documents import follow
from sis.policy import ATTENDANCE, BULK_ROWS, CALENDAR, INCIDENTS, MARKS
from sis.resources import RESOURCES, Resource
from sis.storing import find

_BUSY_SECONDS = 10.0
"""How long one pass goes on; a large district takes several."""
_SETTLED_MINUTES = 5
"""Until then processes that were started before may still take rows in, and read them otherwise."""
_MINE = (
    "mine AS (SELECT * FROM unnest(CAST(:resources AS text[]), CAST(:readings AS text[])) AS mine(resource, reading))"
)
# What was never gone through was taken in as it is read now. Of processes that read otherwise, as in a rolling update, the one that
# was started last is right.
_CLAIM = sa.text(
    f"""
    WITH {_MINE},
    first AS (
        INSERT INTO sis_read (resource, reading, since) SELECT resource, reading, clock_timestamp() FROM mine
        ON CONFLICT DO NOTHING
    ), claimed AS (
        UPDATE sis_read SET reading = mine.reading, since = clock_timestamp() FROM mine
        WHERE sis_read.resource = mine.resource AND sis_read.reading <> mine.reading AND sis_read.since < :began
        RETURNING sis_read.resource
    )
    INSERT INTO sis_unfollowed SELECT resource FROM claimed ON CONFLICT DO NOTHING
    """  # noqa: S608 (a list of our own)
)
_UNFOLLOWED = sa.text(
    f"""
    WITH {_MINE}
    SELECT resource FROM sis_unfollowed LEFT JOIN mine USING (resource) LEFT JOIN sis_read AS r USING (resource)
    WHERE mine IS NULL
        OR (r.reading = mine.reading AND r.since < clock_timestamp() - make_interval(mins => :settled))
    ORDER BY resource LIMIT 1
    """  # noqa: S608 (a list of our own)
)
_FOLLOWED = sa.text(
    """
    DELETE FROM sis_unfollowed WHERE resource = :resource
        AND NOT EXISTS (SELECT FROM sis_read AS r WHERE r.resource = :resource AND r.reading <> :reading)
    """
)
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
_started: MutableMapping[Runtime, datetime] = WeakKeyDictionary()
"""When each began to look, by the database's clock."""


async def follow_stored(runtime: Runtime) -> None:
    """Say what follows from the documents of every resource that a migration named or that is read otherwise, a page at a time."""
    began, readings = time.monotonic(), _readings()
    mine = {"resources": list(readings), "readings": list(readings.values())}
    async with runtime.transaction() as session:
        started = _started.setdefault(runtime, await transaction_time(session))
        await session.execute(_CLAIM, mine | {"began": started})
    while time.monotonic() - began < _BUSY_SECONDS:
        async with runtime.transaction() as session:
            name = await session.scalar(_UNFOLLOWED, mine | {"settled": _SETTLED_MINUTES})
        if name is None:
            return
        await _follow_page(runtime, RESOURCES[name], readings.get(name))


async def _follow_page(runtime: Runtime, resource: Resource, reading: str | None) -> None:
    name, after = _places.get(runtime, (resource.name, ""))
    wanted = {"resource": resource.name, "after": after if name == resource.name else "", "page": BULK_ROWS}
    async with runtime.transaction() as session:
        keys = (await session.scalars(_PAGE, wanted)).all()
        if not keys:
            await session.execute(_FOLLOWED, {"resource": resource.name, "reading": reading})
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
        "studentDisciplineIncidentBehaviorAssociations": INCIDENTS,
        "studentSchoolAttendanceEvents": ATTENDANCE,
    }
    return {resource: hashlib.sha256(repr(policy).encode()).hexdigest() for resource, policy in read_by.items()}
