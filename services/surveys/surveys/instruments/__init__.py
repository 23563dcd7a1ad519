"""The instruments: wording, protected areas and scoring key, as data beside this file.

A changed wording or key is another instrument: give it a new key, so that old scores keep their meaning.
"""

from functools import cache
from importlib.resources import files
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from common.errors import Invalid
from surveys.policy import POLICY
from surveys.rules import Item, ScoringKey

Language = Literal["en", "es"]
Texts = dict[Language, str]
Protected = Literal[
    "political",
    "mental_or_psychological",
    "sex",
    "illegal_or_demeaning",
    "critical_of_family",
    "privileged_relation",
    "religion",
    "income",
]
"""The areas that federal law protects. Source: PPRA, 20 U.S.C. 1232h(b)."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Scale(_Data):
    """The answers offered, from disagreement to agreement."""

    lowest: int
    labels: dict[Language, list[str]]

    @property
    def values(self) -> range:
        """Every answer as a number."""
        return range(self.lowest, self.lowest + len(self.labels["en"]))


class Question(_Data):
    """One item with its wording. ``ppra_area`` is the protected area it touches, ``None`` if none.

    ``scale`` is its own, where it has one.
    """

    key: str
    subscale: str
    reversed: bool
    referent: str
    ppra_area: Protected | None
    text: Texts
    scale: Scale | None = None


class Scoring(_Data):
    """The numbers of the scoring rules, and where they come from."""

    answered_percent: int
    straight_line_items: int
    source: str


class Instrument(_Data):
    """One survey as students see it and as it is scored."""

    key: Annotated[str, Field(max_length=80)]
    status: Literal["unvalidated", "validated"]
    written_by: str
    audience: Literal["student"]
    title: Texts
    introduction: Texts
    confidential: Texts
    scale: Scale
    scoring: Scoring
    subscales: list[str]
    items: list[Question]

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        languages = set(self.title)
        texts = [self.introduction, self.confidential, *(item.text for item in self.items)]
        scales = [self.scale, *(item.scale for item in self.items if item.scale)]
        if any(said.keys() != languages for said in texts) or any(each.labels.keys() != languages for each in scales):
            raise ValueError("every text needs every language")
        if any(len({len(labels) for labels in scale.labels.values()}) != 1 for scale in scales):
            raise ValueError("every language needs every label of a scale")
        if {item.subscale for item in self.items} != set(self.subscales):
            raise ValueError("items and subscales differ")
        return self

    @property
    def languages(self) -> list[Language]:
        """The languages it is written in, the first one being the one to fall back to."""
        return list(self.title)

    def scoring_key(self) -> ScoringKey:
        """What the rules need to score it."""
        return ScoringKey(
            items=tuple(
                Item(item.key, item.subscale, item.reversed, _ends(item.scale) if item.scale else None)
                for item in self.items
            ),
            lowest=self.scale.values[0],
            highest=self.scale.values[-1],
            answered_percent=self.scoring.answered_percent,
            never_below_percent=POLICY.answered_percent_at_least,
            straight_line_items=self.scoring.straight_line_items,
        )


def _ends(scale: Scale) -> tuple[int, int]:
    return scale.values[0], scale.values[-1]


@cache
def instruments() -> dict[str, Instrument]:
    """Every instrument by its key."""
    texts = (file.read_bytes() for file in files(__name__).iterdir() if file.name.endswith(".json"))
    return {one.key: one for one in map(Instrument.model_validate_json, texts)}


def instrument_named(key: str) -> Instrument:
    """The instrument with this key.

    Raises:
        Invalid: there is none.
    """
    try:
        return instruments()[key]
    except KeyError:
        raise Invalid(field="instrument", rule=f"must be one of {', '.join(sorted(instruments()))}") from None
