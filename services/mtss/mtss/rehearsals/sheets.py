"""The tables of a report as CSV: one row a line of the table, the first row its names."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any

Report = Mapping[str, Any]
Row = tuple[Any, ...]
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")


def sheet(report: Report, name: str) -> str:
    """One of ``SHEETS``."""
    return as_csv(SHEETS[name](report))


def as_csv(rows: Iterable[Row]) -> str:
    """Rows as CSV, of which no spreadsheet takes a text for a formula."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(map(_safe, rows))
    return text.getvalue()


def _safe(row: Row) -> Row:
    # Source: OWASP, CSV Injection.
    return tuple(f"'{cell}" if isinstance(cell, str) and cell[:1] in _FORMULA else cell for cell in row)


def _caseload(report: Report) -> Iterator[Row]:
    yield ("week_through", "school_id", "enrolled", "policy", "targeted", "candidates", "unknown")
    for role, of in report["caseload"].items():
        for at, week in enumerate(report["weeks"]):
            for place, school in enumerate(report["schools"]):
                states = (of[state][at][place] for state in ("targeted", "candidate", "unknown"))
                yield (week, school, report["enrolled"][at][place], role, *states)


def _policies(report: Report) -> Iterator[Row]:
    counts = ("students", "entries", "exits", "students_who_came_back", "returns")
    yield ("policy", "version", "tier", "mean", "most", "most_on", *counts, "half_stayed_at_most_school_days")
    for of in report["policies"]:
        for tier, flow in (("targeted", of.get("flow")), ("candidate", of.get("candidates"))):
            if flow:
                daily = [of["daily"][name] if tier == "targeted" else None for name in ("mean", "most", "most_on")]
                stayed = flow["school_days_stayed"]["quartiles"][1]
                yield (of["role"], of["version"], tier, *daily, *(flow[name] for name in counts), stayed)


def by_percent(early: Mapping[str, Any]) -> list[Any]:
    """The ways in which a year may end, the least missed first: the database keeps the members of a document in an order of its own."""
    return sorted(early.values(), key=itemgetter("percent"))


def _early(report: Report) -> Iterator[Row]:
    shares = ("sensitivity", "in_time", "precision")
    named = [f"{name}{end}" for name in shares for end in ("", "_low", "_high")]
    needed = ("needed_to_support", "needed_to_support_low", "needed_to_support_high")
    ahead = ("school_days_ahead_quarter", "school_days_ahead_half", "school_days_ahead_three_quarters")
    yield ("policy", "version", "percent_missed", "ended", *named, *needed, *ahead)
    for of in report["policies"]:
        for early in by_percent(of["early"]):
            values = [early[name][end] for name in shares for end in ("share", "low", "high")]
            need = [early["needed_to_support"][end] for end in ("students", "low", "high")]
            ahead_of = early["school_days_ahead"]["quartiles"]
            yield (of["role"], of["version"], early["percent"], early["ended"], *values, *need, *ahead_of)


def _clauses(report: Report) -> Iterator[Row]:
    yield (
        "clause",
        "tier",
        "mean",
        "most",
        "students",
        "students_of_no_other",
        "students_of_others_too",
        "entries",
        "exits",
    )
    for of in report["alone"]:
        daily, flow = of["daily"], of["flow"]
        counts = (
            flow["students"],
            of["students_of_no_other"],
            of["students_of_others_too"],
            flow["entries"],
            flow["exits"],
        )
        yield (of["clause"], of["tier"], daily["mean"], daily["most"], *counts)


def _unknown(report: Report) -> Iterator[Row]:
    yield ("clause", "school_id", "share_of_student_days")
    for of in report["unknown"]:
        yield (of["clause"], "", of["share"])
        for school, share in zip(report["schools"], of["schools"], strict=True):
            yield (of["clause"], school, share)


def _groups(report: Report) -> Iterator[Row]:
    ends = ("", "_low", "_high")
    risks = [
        f"{name}{end}" for name in ("entered", "left") for end in ("", "_share", *(f"_ratio{each}" for each in ends))
    ]
    waited = tuple(f"school_days_until_decided_{each}" for each in ("quarter", "half", "three_quarters"))
    yield ("policy", "kind", "group", "students", *risks, *waited)
    for role in ("policy", "against"):
        for kind, lines in ((report.get("who") or {}).get(role) or {}).items():
            for line in lines:
                cells = [cell for name in ("entered", "left") for cell in _risk(line[name])]
                yield (
                    role,
                    kind,
                    line["group"],
                    line["students"],
                    *cells,
                    *(line["school_days_until_decided"] or [None] * 3),
                )


def _risk(told: Mapping[str, Any] | None) -> Row:
    if told is None:
        return (None,) * 5
    ratio = told["against_all_others"] or dict.fromkeys(("ratio", "low", "high"))
    return (told["count"], told["share"], ratio["ratio"], ratio["low"], ratio["high"])


def _sensitivity(report: Report) -> Iterator[Row]:
    names = ("path", "tier", "unit", "usual", "value", "caseload", "school_days_ahead", "in_time", "precision")
    yield names
    for point in report["sensitivity"]:
        yield tuple(point[name] for name in names)


def _places(report: Report) -> Iterator[Row]:
    yield ("school_id", "tier", "places", "most", "weeks_over")
    for tier, schools in report["places"].items():
        for school, of in zip(report["schools"], schools, strict=True):
            yield (school, tier, of["places"], of["most"], of["weeks_over"])


SHEETS: Mapping[str, Callable[[Report], Iterator[Row]]] = {
    "caseload": _caseload,
    "places": _places,
    "policies": _policies,
    "early": _early,
    "groups": _groups,
    "clauses": _clauses,
    "unknown": _unknown,
    "sensitivity": _sensitivity,
}
"""Every table by its name."""
