"""The shape that all events share."""

import re
from functools import cache
from typing import Annotated, Any, ClassVar
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field

Revision = Annotated[int, Field(ge=1, description="Grows with each change of this fact; microseconds since 1970.")]
SchoolId = Annotated[str, Field(min_length=1, max_length=40, description="The SIS's schoolId.")]
Hundredths = Annotated[int, Field(ge=0, description="Hundredths of a day.")]

_FACTS = uuid5(NAMESPACE_URL, "trellis:facts")


class Event(BaseModel):
    """The standing state of one fact. Fields this version does not know are ignored, so that new ones need no ceremony."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    owner: ClassVar[str]
    """The service that says it, and the topic it travels on."""
    fact: ClassVar[tuple[str, ...]]
    """Names of the fields that together identify the fact."""
    subject_field: ClassVar[str]
    """Whom it concerns: rules parking only."""
    key_field: ClassVar[str]
    """The Kafka key: events of one key stay in order."""
    major: ClassVar[int] = 1

    revision: Revision
    deleted: bool = False

    @classmethod
    @cache
    def type(cls) -> str:
        """``<owner>.<fact>.v<major>``, such as ``mtss.tier-decided.v1``."""
        kebab = re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()
        return f"{cls.owner}.{kebab}.v{cls.major}"

    @property
    def subject(self) -> str:
        """Whom it concerns, as text."""
        return str(getattr(self, self.subject_field))

    @property
    def key(self) -> str:
        """The Kafka key, as text."""
        return str(getattr(self, self.key_field))

    @property
    def fact_key(self) -> tuple[Any, ...]:
        """The values that identify the fact."""
        return tuple(getattr(self, name) for name in self.fact)

    def standing_id(self) -> UUID:
        """The event id when this state is said again: the same fact and revision give the same id."""
        return uuid5(_FACTS, "\n".join((self.type(), *map(str, self.fact_key), str(self.revision))))


@cache
def by_type() -> dict[str, type[Event]]:
    """Every event class of the catalogue by its type name."""
    from common.events import CATALOGUE

    return {event.type(): event for event in CATALOGUE}
