"""The numbers and lists that the rules are given."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time


@dataclass(frozen=True, slots=True)
class Policy:
    """What a district may change. Each value's source stands beside it in ``policy.toml``."""

    version: str
    too_old_days: int
    same_again_days: int
    tier_notice_at: time
    quiet_from: time
    quiet_until: time
    channels_that_ring: frozenset[str]
    cap_factor: int
    cap_sending_days: int
    cap_until_known: int
    lease_seconds: int
    call_seconds: int
    stop_link_days: int
    retry_minutes: tuple[int, ...]
    breaker_failures: int
    breaker_seconds: int
    ask_again_minutes: int
    urgent_again_minutes: tuple[int, ...]
    guardians: frozenset[str]
    street_words: Mapping[str, str]
    postal_code_characters: int
    phone_digits: int
