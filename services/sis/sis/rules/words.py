"""Days, moments and lengths of time as people write them: on the page and in the terminal."""

from datetime import date, datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def long_day(day: date) -> str:
    """A day as people write it, such as 29 January 2027."""
    return f"{day.day} {day:%B %Y}"


def moment(at: datetime | None, now: datetime) -> str:
    """A moment in the time zone of ``now``, such as 29 Jan, 16:04; with the year if it is another one."""
    if at is None:
        return "–"
    local = at.astimezone(now.tzinfo)
    return f"{local.day} {local:%b}{'' if local.year == now.year else f' {local.year}'}, {local:%H:%M}"


def span(seconds: int) -> str:
    """A length of time in its largest fitting unit, such as 3 h or 12 days."""
    for unit, least, length in (("days", 2 * _DAY, _DAY), ("h", 2 * _HOUR, _HOUR), ("min", _MINUTE, _MINUTE)):
        if seconds >= least:
            return f"{seconds // length} {unit}"
    return "now"
