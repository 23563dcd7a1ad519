"""Fixtures that every folder of tests may use."""

import gc

import pytest
from hypothesis import settings

pytest_plugins = ["tests.fixtures", "tests.kafka.fixtures"]

settings.register_profile("ours", settings.default, deadline=None)  # how long one example takes depends on the machine
settings.load_profile("ours")
gc.disable()  # while tests are found nothing loaded is ever garbage, and looking for some takes half of the time


def pytest_collection_finish(session: pytest.Session) -> None:
    """From here on, look for garbage among what the tests themselves make."""
    gc.freeze()
    gc.enable()
