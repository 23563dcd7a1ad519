"""What came of supports, of whole groups alone: before and after, beside those who received none."""

from typing import Annotated

from pydantic import BaseModel, Field

from common.app import Router
from common.db import Session
from common.events import Tier
from mtss.models.outcomes import Compared, compared
from mtss.numbers import LEAST
from mtss.routes.documents import District
from mtss.supports import CATALOGUE

router = Router("mtss", tags=["supports"])

_NUMBERS = [
    f"{name}_{when}" for name in ("percent_missed", "referrals", "injuries", "damages") for when in ("before", "after")
]
"""Of each measure, in their order."""


class BeforeAfter(BaseModel):
    """On average over the students, to one decimal place: in so many days before the support, and in as many from its first day on."""

    students: int
    percent_missed_before: Annotated[
        float | None, Field(description="Of the days enrolled. Null, as each: of too few it was not 0.")
    ]
    percent_missed_after: float | None
    referrals_before: Annotated[float | None, Field(description="For each student.")]
    referrals_after: float | None
    injuries_before: Annotated[
        float | None, Field(description="For each student: incidents they had a part in that hurt somebody.")
    ]
    injuries_after: float | None
    damages_before: Annotated[float | None, Field(description="The same: in which something was broken or burnt.")]
    damages_after: float | None
    survey_before: Annotated[
        float | None,
        Field(
            description="The mean of `survey_subscale` in the last survey before, over those who answered one before and one after "
            "by the same instrument. Null: too few did."
        ),
    ]
    survey_after: Annotated[float | None, Field(description="The same in the first survey from that day on.")]


class OutcomeLine(BaseModel):
    """One kind of support: what it is for, and what was so before and after."""

    kind: Annotated[
        str | None, Field(description="Null: students who were decided into a tier of more support and received none.")
    ]
    outcomes: Annotated[
        list[str], Field(description="What it is for, by the catalogue; also what cannot be measured here.")
    ]
    told: Annotated[BeforeAfter | None, Field(description="Null: too few students.")]


class OutcomesDocument(BaseModel):
    """Every kind that anybody has received. Who is supported is so because much was missed: some of it comes back by itself."""

    days: Annotated[int, Field(description="So many closed days on either side; who has fewer is not counted.")]
    survey_subscale: Annotated[str, Field(examples=["belonging"])]
    minimum: Annotated[int, Field(description="Fewer students are not told of.")]
    items: list[OutcomeLine]


@router.get("/v1/supports/outcomes")
async def read_outcomes(_: District, session: Session) -> OutcomesDocument:
    """What was so before and after each kind of support, and of those who were decided into a tier of more support and received none."""
    days, surveys = CATALOGUE.compare_days, CATALOGUE.compare_surveys
    items = []
    for each in await compared(session, days, Tier.UNIVERSAL, surveys.subscale, surveys.within_days):
        kind = CATALOGUE.kinds.get(each.kind or "")
        items.append(OutcomeLine(kind=each.kind, outcomes=list(kind.outcomes) if kind else [], told=_told(each)))
    return OutcomesDocument(days=days, survey_subscale=surveys.subscale, minimum=LEAST.students, items=items)


def _told(found: Compared) -> BeforeAfter | None:
    if found.students < LEAST.students:
        return None
    numbers = zip(_NUMBERS, found.averages, found.of_whom, strict=True)
    before, after = found.means if found.surveyed >= LEAST.students else (None, None)
    return BeforeAfter(
        students=found.students,
        survey_before=before,
        survey_after=after,
        **{name: each if some >= LEAST.cell else None for name, each, some in numbers},
    )
