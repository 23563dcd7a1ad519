"""The policy in force, read from ``policy.toml``."""

import tomllib
from datetime import time
from importlib.resources import files
from typing import Any

from notifications.rules.policy import Policy


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
    values = {name: entry["value"] for name, entry in entries.items()}
    for name in ("tier_notice_at", "quiet_from", "quiet_until"):
        values[name] = time.fromisoformat(values[name])
    for name in ("channels_that_ring", "guardians"):
        values[name] = frozenset(values[name])
    return Policy(version=version, **values | {"retry_minutes": tuple(values["retry_minutes"])})


POLICY = read_policy(files("notifications").joinpath("policy.toml").read_text())
