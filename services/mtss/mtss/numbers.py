"""Numbers of ours that stand in no policy of a district, from their files: what is told of groups, and what a rehearsal compares."""

from importlib.resources import files

from mtss.rules.equity import Minimum, read_minimum
from mtss.rules.rehearsal.comparison import Comparison, read_comparison

_FILES = files("mtss") / "policies"
LEAST: Minimum = read_minimum((_FILES / "equity.json").read_text("utf-8"))
COMPARISON: Comparison = read_comparison((_FILES / "comparison.json").read_text("utf-8"), LEAST)
