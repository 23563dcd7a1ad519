"""What the demonstration shows: how every service stands, gathered over HTTP, as one table."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from rich.table import Table

_PAUSE_SECONDS, _CALM_SECONDS, _LONGEST_SECONDS = 0.3, 2.4, 90.0
_LANGUAGES = {
    "en": "English",
    "es": "Spanish",
    "ar": "Arabic",
    "so": "Somali",
    "vi": "Vietnamese",
    "zh": "Chinese",
}
_CHANNELS = {"email": "e-mail", "letter": "letter"}
_REASONS = {
    "too_old": "took effect too long ago",
    "restriction_not_coded": "a restriction not yet coded",
    "withdrawn": "the decision no longer stands",
    "no_address": "no address at all",
}


@dataclass
class _LastChange:
    """When something was last seen to have changed; never if it was the same all along."""

    at: float | None = None
    _seen: Any = None

    def see(self, value: Any) -> None:
        if self._seen is not None and value != self._seen:
            self.at = time.monotonic()
        self._seen = value


@dataclass
class Watch:
    """Asks the running services."""

    http: httpx.Client
    services: tuple[str, ...]
    closed: _LastChange = field(default_factory=_LastChange)
    decided: _LastChange = field(default_factory=_LastChange)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Note meanwhile when the last school day was closed and when the last decision was seen."""
        done = threading.Event()
        thread = threading.Thread(target=self._look_until, args=(done,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def settle(self) -> bool:
        """Wait until nothing is left to be said, decided or sent; whether it came to that within a minute and a half."""
        began = calm_since = time.monotonic()
        before: Any = None
        while (now := time.monotonic()) - calm_since < _CALM_SECONDS and now - began < _LONGEST_SECONDS:
            busy, seen = self._look()
            if busy or seen != before:
                calm_since = now
            before = seen
            time.sleep(_PAUSE_SECONDS)
        return now - began < _LONGEST_SECONDS

    def table(self) -> Table:
        """Everything at a glance."""
        table = Table("", "", "", show_header=False, title="What Trellis knows, decided and did", title_justify="left")
        for section, rows in (
            ("Students", self._students()),
            ("Tiers", self._tiers()),
            ("Unknown", self._unknown()),
            ("Families told", self._told()),
            ("Waiting", self._waiting()),
            ("Held back", self._held_back()),
            ("Conferences", self._conferences()),
            ("Speed", [("last push to last decision", self._seconds())]),
        ):
            for number, (what, count) in enumerate(rows):
                table.add_row(section if number == 0 else "", what, count)
            table.add_section()
        return table

    def example(self) -> tuple[str, str]:
        """A school, and one of its targeted students."""
        for school in self._schools():
            asked = {"school": school["school_id"], "tier": "targeted", "limit": 1}
            for student in self._get("/mtss/v1/students", asked)["items"]:
                return school["school_id"], student["student_id"]
        return "", ""

    def _look_until(self, done: threading.Event) -> None:
        while not done.is_set():
            with suppress(httpx.HTTPError):
                self.closed.see([school["closed_through"] for school in self._schools()])
                self.decided.see([school["tiers"] for school in self._decisions()])
            done.wait(_PAUSE_SECONDS)

    def _seconds(self) -> str:
        if self.decided.at is None:
            return "no new decision"
        return f"{max(0.0, self.decided.at - (self.closed.at or self.decided.at)):.1f} s"

    def _look(self) -> tuple[bool, Any]:
        """Whether something is still to come, and what can be seen so far; a service too busy to answer is busy."""
        try:
            families = self._get("/notifications/v1/summary")
            return self._busy(families), (self._decisions(), families["told"], families["held_back"])
        except httpx.HTTPError:
            return True, None

    def _busy(self, families: dict[str, Any]) -> bool:
        due = any(_moment(each["until"]) <= datetime.now(UTC) for each in families["waiting"])
        sends = families.get("sending") == "mail_catcher"
        unsaid = any(self._get(f"/{name}/v1/status")["unpublished"] for name in self.services)
        return unsaid or (due and sends)

    def _decisions(self) -> list[dict[str, Any]]:
        return [self._get(f"/mtss/v1/schools/{school['school_id']}/summary") for school in self._schools()]

    def _schools(self) -> list[dict[str, Any]]:
        schools: list[dict[str, Any]] = self._get("/sis/v1/summary")["schools"]
        return schools

    def _get(self, path: str, asked: dict[str, Any] | None = None) -> Any:
        return self.http.get(path, params=asked).raise_for_status().json()

    def _students(self) -> Iterable[tuple[str, str]]:
        known = self._get("/sis/v1/summary")
        yield "enrolled now", f"{known['enrolled']:,}"
        yield "days missed, fully or partly", f"{known['absences']:,}"

    def _tiers(self) -> Iterable[tuple[str, str]]:
        names = {school["school_id"]: school["name"] for school in self._schools()}
        for school in self._decisions():
            tiers = ", ".join(f"{count} {tier}" for tier, count in school["tiers"].items())
            undecided = f", {school['undecided']} undecided" if school["undecided"] else ""
            yield names[school["school_id"]] or school["school_id"], tiers + undecided
        proposed = sum(school["proposals_open"] for school in self._decisions())
        yield "intensive, put before a person", str(proposed)

    def _unknown(self) -> Iterable[tuple[str, str]]:
        unknown: Counter[str] = Counter()
        for school in self._decisions():
            unknown.update(school["unknown_clauses"])
        for clause, count in unknown.items():
            yield clause.replace("_", " "), str(count)

    def _told(self) -> Iterable[tuple[str, str]]:
        told = self._get("/notifications/v1/summary")["told"]
        for each in told:
            language = _LANGUAGES.get(each["language"], each["language"])
            text = " (English text)" if each.get("fallback") else ""
            yield f"{_CHANNELS.get(each['channel'], each['channel'])}, {language}{text}", str(each["families"])
        if not told:
            yield "none", "0"

    def _waiting(self) -> Iterable[tuple[str, str]]:
        waiting = self._get("/notifications/v1/summary")["waiting"]
        for each in waiting:
            yield f"until {_moment(each['until']).astimezone():%A %d %B, %H:%M}", str(each["families"])
        if not waiting:
            yield "none", "0"

    def _held_back(self) -> Iterable[tuple[str, str]]:
        for each in self._get("/notifications/v1/summary")["held_back"]:
            yield _REASONS.get(each["reason"], each["reason"].replace("_", " ")), str(each["families"])

    def _conferences(self) -> Iterable[tuple[str, str]]:
        total: Counter[str] = Counter()
        for school in self._schools():
            answer = self.http.get(f"/restorative/v1/schools/{school['school_id']}/summary")
            if answer.status_code != httpx.codes.NOT_FOUND:  # a school of whose students nothing was heard
                total.update(answer.raise_for_status().json())
        yield "offered", str(total["offered"])
        yield "held, and completed", f"{total['held']}, and {total['completed']}"
        yield "days of exclusion avoided", f"{float(total['days_avoided']):g}"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
