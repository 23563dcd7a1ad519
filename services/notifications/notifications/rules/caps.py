"""How many families may be told on one day, and when a failing mail server is left alone."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import median

from notifications.rules.policy import Policy


def most_a_day(families_by_sending_day: Sequence[int], policy: Policy) -> int:
    """How many families may be told today before a person is asked.

    ``families_by_sending_day``: families told on each earlier day on which any was told, latest first.
    """
    last = families_by_sending_day[: policy.cap_sending_days]
    if len(last) < policy.cap_sending_days:
        return policy.cap_until_known
    return int(policy.cap_factor * median(last))


def retry_at(refusals: int, at: datetime, policy: Policy) -> datetime | None:
    """When to try again after so many temporary refusals, or ``None`` if they count as a final one."""
    if refusals > len(policy.retry_minutes):
        return None
    return at + timedelta(minutes=policy.retry_minutes[refusals - 1])


def broken_until(failed: Sequence[bool], last_ended_at: datetime | None, policy: Policy) -> datetime | None:
    """Until when the mail server is left alone, or ``None``.

    ``failed`` says for each of the last attempts, latest first, whether it did not reach a working mail server.
    """
    last = failed[: policy.breaker_failures]
    if last_ended_at is None or len(last) < policy.breaker_failures or not all(last):
        return None
    return last_ended_at + timedelta(seconds=policy.breaker_seconds)
