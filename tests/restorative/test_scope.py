"""Who holds a conference sees it wherever its student goes to school by now, and nobody else of the old school does."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.matrix.nets import NETS
from tests.restorative.conftest import OTHER_SCHOOL, SCHOOL, Conference, Restorative, ago
from tests.scoped import assigned

THIRD_SCHOOL = "255901088"


@pytest.fixture(params=["both nets", *NETS])
async def nets(request: pytest.FixtureRequest, restorative: Restorative) -> AsyncIterator[None]:
    """Both nets, and what is left when one is cut."""
    if request.param not in NETS:
        yield
        return
    async with NETS[request.param](restorative.running):
        yield


async def sees(restorative: Restorative, conference: Conference, role: str = "facilitator", **who: object) -> bool:
    """Whether these see the referral, on which its page and the list agree."""
    page = await restorative.get(f"/referrals/{conference.id}", role, **who)
    items = (await restorative.get("/referrals", role, **who)).json()["items"]
    assert page.status_code == (200 if items else 404)
    return bool(items)


async def test_who_holds_a_conference_sees_it_after_its_student_has_moved(restorative: Restorative, nets: None) -> None:
    conference = await restorative.conference()
    assert await sees(restorative, conference, staff=uuid4()), "facilitators of the school choose who holds it"
    await conference.screen()
    moved_on = ago(2)
    await restorative.hear(
        restorative.enrolled(exit_on=moved_on),
        restorative.enrolled(school_id=OTHER_SCHOOL, entry_on=moved_on + timedelta(days=1)),
    )

    assert await sees(restorative, conference)
    assert await sees(restorative, conference, schools=[]), "the conference alone shows it"
    assert not await sees(restorative, conference, staff=uuid4())
    assert not await sees(restorative, conference, staff=uuid4(), schools=[THIRD_SCHOOL])
    assert await sees(restorative, conference, staff=uuid4(), schools=[OTHER_SCHOOL])
    assert not await sees(restorative, conference, "principal", schools=[SCHOOL], staff=restorative.facilitator)


async def test_who_left_the_school_yesterday_no_longer_sees_the_conference_they_held(
    restorative: Restorative, nets: None
) -> None:
    conference = await restorative.conference()
    await conference.screen()
    await restorative.hear(assigned(restorative.facilitator, SCHOOL, ago(90)))
    assert await sees(restorative, conference, schools=[])

    await restorative.hear(assigned(restorative.facilitator, SCHOOL, ago(90), end_on=ago(2)))
    assert not await sees(restorative, conference, schools=[])
