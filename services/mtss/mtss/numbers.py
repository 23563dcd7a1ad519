"""What the policy file of mtss says of groups, rehearsals and adoptions, and ``comparison.json`` of what rehearsals compare."""

from importlib.resources import files

from common.policies import PolicyInvalid, shipped
from mtss.rules.equity import Minimum, read_minimum
from mtss.rules.rehearsal.comparison import Comparison, read_comparison
from mtss.supports import POLICY

LEAST: Minimum = read_minimum(POLICY["groups"])
_SMALLEST_CELL = read_minimum(shipped("mtss")["groups"]).cell
if LEAST.cell < _SMALLEST_CELL or LEAST.students < 1:
    raise PolicyInvalid(
        f"The policy of mtss: groups.cell must be at least {_SMALLEST_CELL}, and groups.students at least 1."
    )
_COMPARED = files("mtss").joinpath("policies", "comparison.json").read_text("utf-8")
COMPARISON: Comparison = read_comparison(_COMPARED, POLICY["rehearsal"], LEAST)

CHANGES_DAYS: int = POLICY["adoptions"]["changes_days"]["value"]
"""So many days after it was asked for, who would have changed by a dry run or a withdrawn adoption is removed."""
CONFIRMED_HOLDS: int = POLICY["adoptions"]["confirmed_holds"]["value"]
"""So many percent more than were shown to who confirmed an adoption may change before somebody is asked again."""
ENDED_DAYS: int = POLICY["reviews"]["ended_days"]["value"]
"""So many days after a tier ended by itself, the queue of the school shows whose it was."""
if ENDED_DAYS < 1:
    raise PolicyInvalid("The policy of mtss: reviews.ended_days must be at least 1.")
if CHANGES_DAYS < 1 or CONFIRMED_HOLDS < 0:
    raise PolicyInvalid(
        "The policy of mtss: adoptions.changes_days must be at least 1, adoptions.confirmed_holds at least 0."
    )
