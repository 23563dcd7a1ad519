"""The page of a rehearsal: rendered here, nothing from elsewhere, no script; to be read, printed and heard."""

import secrets
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mtss.numbers import LEAST
from mtss.rehearsals.charts import charts, curves, group_named, of_schools, shared, short
from mtss.rehearsals.sheets import by_percent

_pages = Environment(
    loader=PackageLoader("mtss"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def rendered(report: Mapping[str, Any], asked_at: datetime) -> tuple[str, dict[str, str]]:
    """A report to read, print and hear, and the headers that go with it."""
    nonce = secrets.token_urlsafe(16)
    html = _pages.get_template("rehearsal.html").render(
        report=report,
        policy=report["policies"][0],
        against=report["policies"][1],
        # Ours: drawn from numbers, and every text in it escaped by who drew it.
        charts={name: Markup(svg) for name, svg in charts(report).items()},  # noqa: S704 (as said above)
        weeks=_weeks(report),
        months=of_schools(report),
        schools=_schools(report),
        least=LEAST,
        curves=curves(report),
        asked_at=asked_at,
        nonce=nonce,
    )
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return html, {"Content-Security-Policy": policy}


def _weeks(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each school week, with the sums over all schools."""
    return [
        {
            "through": week,
            "enrolled": sum(report["enrolled"][at]),
            **{
                f"{role}_{state}": sum(of[state][at])
                for role, of in report["caseload"].items()
                for state in ("targeted", "candidate")
            },
        }
        for at, week in enumerate(report["weeks"])
    ]


def _schools(report: Mapping[str, Any]) -> list[tuple[str, list[int | None]]]:
    """Each school at the end of the last week: its students, and of these how many in each tier under both policies."""
    if not report["weeks"]:
        return []
    tiers = [shared(report, role, state, -1) for state in ("targeted", "candidate") for role in ("policy", "against")]
    columns = zip(report["enrolled"][-1], *tiers, strict=True)
    return [(school, list(figures)) for school, figures in zip(report["schools"], columns, strict=True)]


def _long_day(text: str) -> str:
    day = date.fromisoformat(text)
    return f"{day:%B} {day.day}, {day.year}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}".removesuffix(".0")


def _ratio(value: float) -> str:
    return f"{value:.2f}"


_pages.filters.update(
    long_day=_long_day,
    percent=_percent,
    number=_number,
    short=short,
    group_named=group_named,
    ratio=_ratio,
    by_percent=by_percent,
)
