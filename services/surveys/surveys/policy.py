"""The policy in force, read from ``policy.toml``."""

import tomllib
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class Policy:
    """What a district may change. Each value's source stands beside it in ``policy.toml``."""

    version: str
    earliest_said_on: date
    answered_percent_at_least: int


def read_policy(text: str) -> Policy:
    """A policy from its TOML text: ``version``, and for every other name a table with ``value`` and ``source``.

    Raises:
        ValueError: a value without a source.
    """
    entries: dict[str, Any] = tomllib.loads(text)
    version = entries.pop("version")
    unsourced = [name for name, entry in entries.items() if not entry.get("source")]
    if unsourced:
        raise ValueError(f"without a source: {', '.join(unsourced)}")
    return Policy(version=version, **{name: entry["value"] for name, entry in entries.items()})


POLICY = read_policy(files("surveys").joinpath("policy.toml").read_text(encoding="utf-8"))
