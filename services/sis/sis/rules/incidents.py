"""What came of a student's part in an incident, by how the district reads the behavior."""

from collections.abc import Collection
from dataclasses import dataclass

from common.events import Harm
from sis.rules.values import code_value


@dataclass(frozen=True, slots=True)
class IncidentPolicy:
    """Which code values of ``behaviorDescriptor`` say what, in small letters."""

    injury: Collection[str]
    damage: Collection[str]

    def harms(self, behavior: str) -> list[Harm]:
        """What a descriptor as it was sent says; often nothing."""
        code = code_value(behavior).lower()
        return [harm for harm, codes in ((Harm.INJURY, self.injury), (Harm.DAMAGE, self.damage)) if code in codes]
