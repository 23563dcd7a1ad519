"""The parts of answers that several routes share."""

from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from common.access import require
from common.auth import Principal

NO_CONTROL = r"^[^\x00-\x1f\x7f]*$"
"""Texts that are looked for: PostgreSQL takes no NUL, and no name holds a control character."""

Reader = Annotated[Principal, require("district", "principal", "counselor")]


class ClauseDocument(BaseModel):
    """One ground for support: whether it stands, on what evidence, and what would change that."""

    model_config = ConfigDict(from_attributes=True)

    clause: Annotated[str, Field(examples=["attendance"])]
    holds: Annotated[bool | None, Field(description="Null: unknown.")]
    since: date | None
    evidence: Annotated[
        dict[str, Any],
        Field(examples=[{"days_absent": 6.5, "days_enrolled": 60, "days_implied": 1, "through": "2026-11-20"}]),
    ]
    at_entry: Annotated[
        dict[str, Any] | None, Field(description="The evidence on the day it began, if that was earlier.")
    ]
    in_words: str
    what_would_change_it: str
