"""The parts of answers that several routes share."""

from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, computed_field

from common.access import require
from common.auth import Principal
from mtss.rules import SIGNALS, InForce, coverage_of

NO_CONTROL = r"^[^\x00-\x1f\x7f]*$"
"""Texts that are looked for: PostgreSQL takes no NUL, and no name holds a control character."""

READS, MIXES, PURPOSE = ("directory", "education_record"), ("discipline", "support_plan"), "support"
Reader = Annotated[
    Principal, require("district", "principal", "counselor", "teacher", reads=READS, mixes=MIXES, purpose=PURPOSE)
]
WholeReader = Annotated[
    Principal, require("district", "principal", "counselor", reads=(*READS, *MIXES), purpose=PURPOSE)
]
"""Who reads every clause: what is told here cannot be told in part."""
District = Annotated[Principal, require("district", reads=(*READS, *MIXES), purpose=PURPOSE)]
Person = Annotated[Principal, require("district", second_factor=True, reads=(*READS, *MIXES), purpose=PURPOSE)]
PROPOSAL = "support_plan"
"""That a proposal is open tells that several grounds stand, whichever they are; and so of what people made of it."""


def may_read(who: Principal, clause: str, in_force: InForce) -> bool:
    """Whether ``who`` reads what a clause says, by the class of what it listens to.

    Where policies gave one name to different things, only who reads all of them reads it; a name that no policy had is for
    those alone who read every class.
    """
    heard = {SIGNALS[signal].reads for signal in in_force.signals_of(clause)}
    return who.reads.issuperset(heard or MIXES)


class LeastDocument(BaseModel):
    """The least that is enough, and the school day from which on it shows."""

    amount: float
    on: date


class ChangeDocument(BaseModel):
    """The least that would change a clause and the tier within this school year, if otherwise every coming day is attended."""

    by: Annotated[
        str,
        Field(
            description="Of what: `school_days` that pass, all attended; days `missing`, `tardies`, `referrals`, `help_requests`, `exclusions` of so many days, `surveys` that name an adult or none, `courses_not_passed` or a `score_of`, each from "
            "or on the next school day."
        ),
    ]
    clause: Annotated[LeastDocument | None, Field(description="Null: not within this school year.")]
    tier: Annotated[LeastDocument | None, Field(description="Null: not by this alone, or not within this school year.")]
    school_days_left: Annotated[int, Field(description="Of this school year, after the last closed day.")]


class ClauseDocument(BaseModel):
    """One ground for support: whether it stands, on what evidence, and what would change that."""

    model_config = ConfigDict(from_attributes=True)

    clause: Annotated[str, Field(examples=["attendance"])]
    holds: Annotated[bool | None, Field(description="Null: unknown.")]
    since: date | None
    evidence: Annotated[
        dict[str, Any],
        Field(
            examples=[{"days_absent": 6.5, "days_enrolled": 60, "days_implied": 1, "through": "2026-11-20"}],
            description="What the clause rests on. `band`, of a share of days missed, is the highest of this clause's own bands in the policy that the "
            "share reaches; `none`: it reaches none of them, or the policy gives this clause no bands.",
        ),
    ]
    at_entry: Annotated[
        dict[str, Any] | None, Field(description="The evidence on the day it began, if that was earlier.")
    ]
    in_words: str
    what_would_change_it: str
    change: Annotated[
        ChangeDocument | None,
        Field(description="The same as data. Null: as of a day before the last, or decided before it was kept."),
    ] = None
    numbers: Annotated[
        dict[str, float], Field(description="The numbers of the policy that counted, by their path.")
    ] = {}
    known: Annotated[
        bool | None,
        Field(
            description="Whether anything was known of it on that day: a clause that stands goes on standing on days of which "
            "nothing is. Null: decided before it was kept."
        ),
    ] = None


class CoverageDocument(BaseModel):
    """Of how many clauses something is known, of all that this reader may read."""

    known: int
    of: int


class Covered(BaseModel):
    """What rests on clauses, of some of which nothing may be known."""

    clauses: list[ClauseDocument]

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorator above a property
    @property
    def coverage(self) -> CoverageDocument:
        """Known clauses of all."""
        known, of = coverage_of([{"holds": each.holds, "known": each.known} for each in self.clauses])
        return CoverageDocument(known=known, of=of)
