"""What ``trellis sources`` prints: plain text of 80 columns, the same in a terminal and in a file."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from sis.rules.words import moment, span

_LINE = "  {:<18} {:>8} {:>10} {:>10} {:>9} {:>8} {:>8}"
_HEADER = _LINE.format("last push", "lag", "accepted", "unchanged", "rejected", "to mend", "waiting")
_COUNTS = ("accepted", "unchanged", "rejected", "rejected_open", "waiting")
_COMPARED = "  {:<40} {:<10} {:>8} {:>8} {:>8}"

Item = Mapping[str, Any]


def told(items: Sequence[Item], alerts: Sequence[Item], now: datetime) -> str:
    """Each source with its resources, what came of their rows and why some were rejected, then a sentence for each alert.

    The name of a resource has a line of its own, so that none is cut. Moments are in the time zone of ``now``.
    """
    lines: list[str] = [] if items else ["Nothing has arrived yet."]
    for source, some in groupby(items, key=lambda item: item["source"]):
        of_source = list(some)
        name = of_source[0]["name"]
        lines += [f"{name} ({source})" if name else str(source), _HEADER]
        lines += [line for item in of_source for line in _of_resource(item, now)]
        lines.append("")
    lines += map(_sentence, alerts)
    return "\n".join(lines).rstrip("\n") + "\n"


def differences(items: Sequence[Item]) -> str:
    """The counts that differ, by resource."""
    lines = []
    for resource, some in groupby(items, key=lambda item: item["resource"]):
        lines += [resource, _COMPARED.format("school", "day", "theirs", "ours", "differs")]
        for item in some:
            theirs = "left out" if item["theirs"] is None else f"{item['theirs']:,}"
            numbers = theirs, f"{item['ours']:,}", f"{item['difference']:+,}"
            lines.append(_COMPARED.format(item["school_id"] or "all", item["day"] or "all", *numbers))
    return "\n".join(lines) + "\n"


def not_compared(others: Sequence[Item]) -> str:
    """A sentence for each school that is another source's."""
    told = dict.fromkeys((item["school_id"], item["name"] or item["source"] or "another source") for item in others)
    return "".join(f"School {school} is pushed by {whose} and not compared.\n" for school, whose in told)


def _of_resource(item: Item, now: datetime) -> Iterator[str]:
    yield item["resource"]
    last = moment(datetime.fromisoformat(item["last_at"]), now)
    yield _LINE.format(last, span(item["lag_seconds"]), *(f"{item[name]:,}" for name in _COUNTS))
    for reason in item["reasons"]:
        why = f"{reason['field']} {reason['rule']}".strip()
        yield f"    {reason['rows']:,} rejected: {why}"
    moments = [item[name] for name in ("oldest_rejected_at", "oldest_waiting_at") if item[name]]
    if moments:
        yield f"    oldest to mend or waiting: {moment(min(map(datetime.fromisoformat, moments)), now)}"
    if item["believed"] is not None and item["believed"] != item["standing"]:
        yield f"    they hold {item['believed']:,}, we hold {item['standing']:,}"


def _sentence(alert: Item) -> str:
    days = f"{alert['age']} school {'day' if alert['age'] == 1 else 'days'}"
    if alert["school_id"]:
        return f"{alert['name'] or 'school'} ({alert['school_id']}) has not submitted since {alert['since']}: {days}."
    name = alert["name"] or alert["source"]
    if alert["kind"] == "rows-waiting":
        return f"Rows of {name} have waited since {alert['since']} for what they refer to: {days}."
    return f"{name} has not pushed since {alert['since']}: {days}."
