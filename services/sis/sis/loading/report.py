"""What came of a load: how many rows were taken, which were rejected or wait and why, and what was left out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

_LISTED = 10_000


class Progress(Protocol):
    """Hears how far each part is."""

    def begin(self, part: str, total: int) -> None:
        """A part with ``total`` rows begins."""

    def advance(self, part: str, rows: int) -> None:
        """So many more rows of the part are settled."""


@dataclass
class Report:
    """Counts by part, and the rejected rows by file and line."""

    progress: Progress
    taken: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    rejected: list[tuple[str, int, str]] = field(default_factory=list)
    rejected_count: int = 0
    waiting: list[tuple[str, int, str]] = field(default_factory=list)
    waiting_count: int = 0
    awaited: set[str] = field(default_factory=set)
    """The resources of which documents are missing."""
    left_out: list[str] = field(default_factory=list)
    left_years: list[tuple[str, int]] = field(default_factory=list)
    closed: int = 0

    def begin(self, part: str, total: int) -> None:
        """A part begins."""
        self.progress.begin(part, total)

    def take(self, part: str, rows: int = 1) -> None:
        """Rows were taken."""
        self.taken[part] += rows
        self.settle(part, rows)

    def settle(self, part: str, steps: int = 1) -> None:
        """So much of a part is done that is no row taken."""
        self.progress.advance(part, steps)

    def reject(self, file: str, line: int, reason: str, *, part: str | None = None) -> None:
        """A row was rejected. The first ten thousand are listed, so that memory stays flat."""
        self.rejected_count += 1
        if len(self.rejected) < _LISTED:
            self.rejected.append((file, line, reason))
        self.settle(part or file.removesuffix(".jsonl"))

    def wait(self, file: str, line: int, resources: Sequence[str]) -> None:
        """A row that was taken waits for documents of ``resources``. As many are listed as of the rejected."""
        self.waiting_count += 1
        self.awaited.update(resources)
        if len(self.waiting) < _LISTED:
            self.waiting.append((file, line, f"waits for {' and '.join(resources)}"))

    def leave_year(self, part: str, school: str, year: int, lines: int) -> None:
        """A school year stays as it was, for a line of it was rejected; so many other lines count for nothing."""
        self.left_years.append((school, year))
        self.settle(part, lines)

    def leave_out(self, part: str) -> None:
        """A part that the token may not push."""
        if part not in self.left_out:
            self.left_out.append(part)
