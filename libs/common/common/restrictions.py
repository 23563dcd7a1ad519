"""What keeps a student's contact from being told anything."""

from dataclasses import dataclass
from datetime import date

_SILENCING = frozenset({"no_contact", "no_records"})
_KNOWN_CODES = _SILENCING | {"no_pick_up", "address_confidential"}


@dataclass(frozen=True, slots=True)
class Restriction:
    """What a court or the district says about a contact: ``none``, free text nobody has coded, or coded."""

    state: str = "none"
    codes: frozenset[str] = frozenset()
    expires_on: date | None = None

    def in_force(self, today: date) -> bool:
        """Whether the codes hold today; the last day still counts."""
        return self.expires_on is None or today <= self.expires_on


UNRESTRICTED = Restriction()


def bar(restriction: Restriction, today: date) -> str | None:
    """Why a contact may be told nothing, or ``None``. Fails closed: what is not coded, or not known, bars.

    Source: Ed-Fi ``contactRestrictions`` is free text; FERPA gives both parents access unless an order says otherwise.
    """
    if restriction.state == "none":
        return None
    if restriction.state != "coded" or restriction.codes - _KNOWN_CODES:
        return "restriction_not_coded"
    if restriction.codes & _SILENCING and restriction.in_force(today):
        return "restricted"
    return None
