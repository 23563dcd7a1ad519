"""The tier policy in force."""

from importlib.resources import files

from mtss.rules import Policy, read_policy

POLICY: Policy = read_policy(files("mtss").joinpath("policies", "default.json").read_text(encoding="utf-8"))
