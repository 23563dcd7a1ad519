"""The signals that a policy's clauses may listen to: each file of this package that has a ``SIGNAL``. A new one is one file."""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from mtss.rules.signals.kinds import Evidence, Measure, Moment, Range, Signal

_FILES = [import_module(f"{__name__}.{each.name}") for each in iter_modules(__path__)]
SIGNALS: Mapping[str, Signal] = {each.SIGNAL.name: each.SIGNAL for each in _FILES if hasattr(each, "SIGNAL")}

__all__ = ["SIGNALS", "Evidence", "Measure", "Moment", "Range", "Signal"]
