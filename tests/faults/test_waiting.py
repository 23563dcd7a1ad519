"""Kill -9 of sis while rows wait for what they refer to, and while they are taken in."""

import asyncio
from typing import Any

import pytest

from tests.faults.checker import settled, violations
from tests.faults.district import District
from tests.faults.patience import eventually
from tests.faults.push import School, school

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

_SHARE = 50


async def test_rows_pushed_before_their_students_are_all_applied_however_often_sis_is_killed(shared: District) -> None:
    late = school(shared, students=40)
    names = [f"{late.id}-{number}" for number in range(late.students)]

    async def push_backwards() -> None:
        for day in late.days:
            lines = await late.push("studentSchoolAttendanceEvents", [_absence(late, name, day) for name in names])
            assert all(line.get("waiting") for line in lines)
        await late.open()

    async def kill_again_and_again() -> None:
        for _ in range(5):
            await asyncio.sleep(0.5)
            shared.sis.kill()
            await shared.sis.started()

    await asyncio.gather(push_backwards(), kill_again_and_again())
    shared.sis.kill()
    await shared.sis.started()

    await eventually("nothing waits", lambda: _nothing_waits(shared), within=60)
    late.missed = {(late.ids[name], day): _SHARE for name in names for day in late.days}
    await late.close(late.days[-1])
    await settled(shared)
    assert await violations(shared, [late]) == []
    await late.leave()


async def _nothing_waits(district: District) -> bool:
    return await district.rows("sis", "SELECT 1 FROM sis_waiting LIMIT 1") == []


def _absence(of: School, name: str, day: Any) -> dict[str, Any]:
    return {
        "studentReference": {"studentUniqueId": name},
        "schoolReference": {"schoolId": of.id},
        "eventDate": day.isoformat(),
        "attendanceEventCategoryDescriptor": "uri://ed-fi.org/AttendanceEventCategoryDescriptor#Excused Absence",
        "eventDuration": _SHARE / 100,
    }
