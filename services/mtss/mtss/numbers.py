"""What is told of groups, and what a rehearsal compares and moves: of the policy file of mtss, and of ``comparison.json``."""

from importlib.resources import files

from common.policies import PolicyInvalid
from mtss.rules.equity import Minimum, read_minimum
from mtss.rules.rehearsal.comparison import Comparison, read_comparison
from mtss.supports import POLICY

LEAST: Minimum = read_minimum(POLICY["groups"])
if min(LEAST.cell, LEAST.students) < 1:
    raise PolicyInvalid("The policy of mtss: groups.cell and groups.students must be at least 1.")
_COMPARED = files("mtss").joinpath("policies", "comparison.json").read_text("utf-8")
COMPARISON: Comparison = read_comparison(_COMPARED, POLICY["rehearsal"], LEAST)
