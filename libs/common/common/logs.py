"""Logs: one JSON object a line, and nothing in it that is about a person.

What our own code says is a fixed sentence with fields from :data:`FIELDS`; any other field is left out and only its name
kept. Of what libraries say only the template remains, never what was filled in, and of an exception its type and where it
was raised, because its text may quote what it failed on.
"""

import json
import logging
import sys
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import entry_points
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog
from opentelemetry import trace

FIELDS = frozenset(
    {
        "attempt",
        "attempts",
        "channel",
        "correlation_id",
        "count",
        "digest",
        "error",
        "event",
        "event_type",
        "events",
        "file",
        "group",
        "host",
        "lag",
        "line",
        "loop",
        "method",
        "migrations",
        "offset",
        "outcome",
        "partition",
        "port",
        "reason",
        "role",
        "route",
        "seconds",
        "service",
        "state",
        "status",
        "subject",
        "table",
        "topic",
        "until",
        "version",
        "where",
    }
)
"""Names of the fields that a log line may hold."""

_PACKAGES = frozenset({"common", *entry_points(group="trellis.services").names})
"""Whose lines are ours: an error is looked for there first."""

REPEAT_SECONDS = 30.0
"""A library says the same thing at most this often: during an outage aiokafka has hundreds of lines a minute to say."""

_LONGEST_VALUE = 300
_SPEAK_PLAINLY = ("uvicorn.error", "aiokafka")
"""Libraries whose filled-in lines hold addresses, topics and numbers only."""
_FILE_BYTES, _FILES_KEPT = 10_000_000, 5

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def configure_logging(service: str, folder: Path | None = None, *, level: int = logging.INFO) -> None:
    """From now on this process logs to ``folder/<service>.log``, or to standard error without a folder.

    Every service in the process logs there; a line names its own service, or else ``service``.
    """
    root = logging.getLogger()
    # A line that a full disk does not take is lost: the report of that would show the values it was to be filled with.
    logging.raiseExceptions = False
    for handler in [handler for handler in root.handlers if isinstance(handler.formatter, Lines)]:
        root.removeHandler(handler)
        handler.close()
    handler = _handler(service, folder)
    handler.setFormatter(Lines(service))
    handler.addFilter(SayOnce())
    root.addHandler(handler)
    root.setLevel(level)
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)  # a line for each request made
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def place_of(error: BaseException) -> str:
    """Where an error was raised: file, line and function, innermost last. Never its text."""
    frames = list(traceback.extract_tb(error.__traceback__))
    ours = [frame for frame in frames if not _PACKAGES.isdisjoint(Path(frame.filename).parts)]
    frames = [*ours[-2:], frames[-1]] if ours and ours[-1] is not frames[-1] else (ours or frames)[-3:]
    return " > ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames)


def current_trace() -> str | None:
    """The id of the trace that this is part of; ``None`` outside any."""
    span = trace.get_current_span().get_span_context()
    return trace.format_trace_id(span.trace_id) if span.is_valid else None


class Lines(logging.Formatter):
    """Turns what was logged into one line of JSON."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = service

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        said = dict(record.msg) if isinstance(record.msg, Mapping) else {"event": _words(record)}
        said |= _failure(said.pop("exc_info", None) or record.exc_info)
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self.service,
            "logger": record.name,
        }
        line |= {name: _harmless(value) for name, value in said.items() if name in FIELDS}
        if left_out := sorted(said.keys() - FIELDS):
            line["left_out"] = left_out
        if repeated := getattr(record, "repeated", 0):
            line["repeated"] = repeated
        if trace_id := current_trace():
            line["trace_id"] = trace_id
        return json.dumps(line, ensure_ascii=False)


class SayOnce(logging.Filter):
    """Lets a library say one thing once in :data:`REPEAT_SECONDS`, and counts how often it was said meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged."""
        if isinstance(record.msg, Mapping):
            return True
        place = (record.pathname, record.lineno)
        until, repeated = self._said.get(place, (0.0, 0))
        if time.monotonic() < until:
            self._said[place] = (until, repeated + 1)
            return False
        self._said[place] = (time.monotonic() + REPEAT_SECONDS, 0)
        record.repeated = repeated
        return True


def _handler(service: str, folder: Path | None) -> logging.Handler:
    if folder is None:
        return logging.StreamHandler(sys.stderr)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return RotatingFileHandler(
        folder / f"{service}.log", maxBytes=_FILE_BYTES, backupCount=_FILES_KEPT, encoding="utf-8"
    )


def _words(record: logging.LogRecord) -> str:
    if record.name.startswith(_SPEAK_PLAINLY):
        return record.getMessage().strip()
    # Without arguments the text may have been put together from anything: the place says as much.
    return str(record.msg) if record.args else f"{record.filename}:{record.lineno} {record.funcName}"


def _failure(raised: Any) -> dict[str, str]:
    if raised is True:
        raised = sys.exc_info()
    error = raised[1] if isinstance(raised, tuple) else raised
    return {"error": type(error).__name__, "where": place_of(error)} if isinstance(error, BaseException) else {}


def _harmless(value: object) -> object:
    return value if isinstance(value, bool | int | float | None) else str(value)[:_LONGEST_VALUE]
