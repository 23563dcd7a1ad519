"""All that a process of Trellis loads and nothing of the tests: what the commands of ``tests.processes`` fork from."""

import gc
from importlib.metadata import entry_points

gc.disable()  # nothing loaded is ever garbage, and looking for some takes a quarter of the time
for group in ("trellis.services", "trellis.commands"):
    for each in entry_points(group=group):
        each.load()
gc.freeze()
gc.enable()
