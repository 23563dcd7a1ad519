"""What a service that runs for real does not start with."""

import os
import sys
from urllib.parse import urlsplit

from fastapi import FastAPI

from common.keys import Keys
from common.oidc import is_this_machine
from common.settings import NotConfigured, Settings


def refuse_unsafe(app: FastAPI, settings: Settings, keys: Keys) -> None:
    """Nothing where all is fit for real data.

    Raises:
        NotConfigured: keys of a trial, an address at which tokens travel readably, or a mode in which errors show values.
    """
    if keys.of_a_trial:
        raise NotConfigured(
            "TRELLIS_KEYS holds keys that `trellis up` made for a trial: make others with `trellis keys DIR`."
        )
    address = urlsplit(settings.public_url)
    if address.scheme != "https" and not is_this_machine(address.hostname or ""):
        raise NotConfigured("TRELLIS_PUBLIC_URL must begin with https://, for tokens and data travel there.")
    if app.debug or sys.flags.dev_mode or os.environ.get("PYTHONASYNCIODEBUG"):
        raise NotConfigured(
            "Debugging is on (python -X dev, PYTHONDEVMODE or PYTHONASYNCIODEBUG): it may print what nobody may see."
        )
