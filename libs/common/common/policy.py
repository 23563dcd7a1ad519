"""What every service grants and bounds at its edge, from ``policy.toml`` and the file that ``TRELLIS_COMMON_POLICY`` names."""

from datetime import timedelta

from common.policies import policy_of

_DATA = policy_of("common")

ANSWERS_KEPT = timedelta(hours=_DATA["answers"]["kept_hours"])
"""How long an ``Idempotency-Key`` is known."""
