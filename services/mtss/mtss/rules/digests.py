"""A digest of what somebody or something said, by which it shows later whether it still says the same."""

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

DIGEST_BYTES = 16
"""BLAKE2b of 128 bits (RFC 7693)."""


def digest_of(said: Mapping[str, Any]) -> str:
    """The digest of everything that is said, as JSON with sorted names, dates and ids as texts."""
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), default=str)
    return blake2b(text.encode(), digest_size=DIGEST_BYTES).hexdigest()
