"""The district's policy file as the rules take it."""

import tomllib
from functools import cache
from importlib.resources import files

from restorative.rules.exclusion import Policy, plain


@cache
def policy() -> Policy:
    """The policy in ``policy.toml``: which descriptors are exclusions, and when an action comes too late."""
    data = tomllib.loads(files("restorative").joinpath("policy.toml").read_text("utf-8"))
    exclusions = frozenset(plain(entry["code"]) for entry in data["descriptors"] if entry["exclusion"])
    return Policy(version=data["version"], exclusions=exclusions, late_after_days=data["late_after_days"])
