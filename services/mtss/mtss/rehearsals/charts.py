"""The charts of a report, as SVG that stands in the page itself: no script, no font or picture from elsewhere."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import altair as alt
import vl_convert

from mtss.numbers import LEAST
from mtss.rehearsals.sheets import by_percent
from mtss.rules.equity import told

Report: TypeAlias = Mapping[str, Any]
Rows: TypeAlias = Sequence[Mapping[str, Any]]

_FONT = "system-ui, sans-serif"
_INK, _LINE = "#1c2530", "#d5dce4"
# Told apart by those who see no colours too: each is also drawn in its own way. Source: Okabe and Ito, Color Universal Design.
_COLOURS = ["#0b5394", "#b45309", "#117733", "#882255", "#555555", "#44aa99", "#999933"]
_WIDTH, _HEIGHT, _CELL = 620, 260, 16
_NAMES_WIDTH = 320
_AROUND = {"left": 28, "right": 8, "top": 5, "bottom": 5}
"""Names are as wide as the reader's font makes them, which may be wider than that by which they are laid out."""
_APART = 30
"""Between the names of a legend, in pixels, for the same reason."""
_MOST_SCHOOLS_NAMED = 80
"""Beyond so many a row for each school is too thin to be read: the heat map leaves them to the table."""


def charts(report: Report) -> dict[str, str]:
    """Each chart by its name."""
    drawn: dict[str, Any] = {
        "caseload": _caseload(report, "targeted"),
        "candidates": _caseload(report, "candidate"),
        "early": _early(report),
        "clauses": _clauses(report),
        "unknown": _unknown(report),
        "sensitivity": _sensitivity(report),
    }
    if any(_ratios(report)):
        drawn["groups"] = _groups(report)
    may_be_told = any(share is not None for shares in of_schools(report).values() for share in shares)
    if may_be_told and len(report["schools"]) <= _MOST_SCHOOLS_NAMED:
        drawn["schools"] = _schools(report)
    return {name: _svg(chart) for name, chart in drawn.items()}


def _svg(chart: Any) -> str:
    configured = (
        chart.configure(font=_FONT, background="white", padding=_AROUND)
        .configure_axis(labelColor=_INK, titleColor=_INK, gridColor=_LINE, labelFontSize=12, titleFontSize=12)
        .configure_legend(
            labelFontSize=12, titleFontSize=12, labelLimit=_NAMES_WIDTH, columnPadding=_APART, orient="top"
        )
        .configure_header(labelFontSize=12, labelColor=_INK, labelLimit=_NAMES_WIDTH)
        .configure_view(stroke=None)
    )
    svg: str = vl_convert.vegalite_to_svg(configured.to_dict())
    return svg


def _values(rows: Rows) -> Any:
    return alt.InlineData(values=list(rows))


def _caseload(report: Report, state: str) -> Any:
    names = {"policy": "this policy", "against": "the policy it is held against"}
    rows = [
        {"week": week, "of": names[role], "students": sum(of[state][at])}
        for role, of in report["caseload"].items()
        for at, week in enumerate(report["weeks"])
    ]
    order = list(names.values())
    return (
        alt.Chart(_values(rows), width=_WIDTH, height=_HEIGHT)
        .mark_line(strokeWidth=2.5, interpolate="step-after")
        .encode(
            x=alt.X("week:T", title="week through", axis=alt.Axis(format="%b %Y", tickCount="month", grid=False)),
            y=alt.Y("students:Q", title="students", axis=alt.Axis(tickMinStep=1)),
            color=alt.Color("of:N", title=None, sort=order, scale=alt.Scale(domain=order, range=_COLOURS[:2])),
            strokeDash=alt.StrokeDash(
                "of:N", title=None, sort=order, scale=alt.Scale(domain=order, range=[[1, 0], [6, 3]])
            ),
        )
    )


def _schools(report: Report) -> Any:
    rows = [
        {"month": month, "school": school, "percent": 100 * share}
        for month, shares in of_schools(report).items()
        for school, share in zip(report["schools"], shares, strict=True)
        if share is not None
    ]
    return (
        alt.Chart(_values(rows), width=_WIDTH, height=alt.Step(_CELL))
        .mark_rect()
        .encode(
            x=alt.X("month:O", title="at the end of the last school week of the month", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("school:N", title="school", sort=list(report["schools"])),
            color=alt.Color("percent:Q", title="percent of enrolled students", scale=alt.Scale(scheme="blues")),
        )
    )


def of_schools(report: Report) -> dict[str, list[float | None]]:
    """By month of each school the share of its students who would be targeted at the end of the month's last school week.

    ``None`` where the share may not be told: the page is for sharing.
    """
    last = {week[:7]: at for at, week in enumerate(report["weeks"])}
    enrolled = report["enrolled"]
    return {
        month: [
            None if count is None else count / of
            for count, of in zip(shared(report, "policy", "targeted", at), enrolled[at], strict=True)
        ]
        for month, at in last.items()
    }


def shared(report: Report, role: str, state: str, week: int) -> list[int | None]:
    """How many students of each school are in a state, where nobody can be told from that; all schools together are told."""
    counts, enrolled = report["caseload"][role][state][week], report["enrolled"][week]
    shown = told(counts, enrolled, LEAST)
    return [count if seen else None for count, seen in zip(counts, shown, strict=True)]


def _early(report: Report) -> Any:
    rows = [
        {
            "policy": _named(of),
            "ended": f"ended the year at {early['percent']} percent or more",
            **dict(zip(("quarter", "half", "three"), early["school_days_ahead"]["quartiles"], strict=True)),
        }
        for of in report["policies"]
        for early in by_percent(of["early"])
        if early["school_days_ahead"]["of"]
    ]
    names = list(dict.fromkeys(_named(of) for of in report["policies"]))
    y = alt.Y("policy:N", title=None, sort=names, axis=alt.Axis(labelLimit=_NAMES_WIDTH))
    base = alt.Chart(_values(rows), width=_WIDTH - _NAMES_WIDTH // 2, height=alt.Step(30))
    bars = base.mark_bar(size=10, color="#9db8d6").encode(
        x=alt.X("quarter:Q", title="school days from the decision to the day on which it was certain"),
        x2="three:Q",
        y=y,
    )
    ticks = base.mark_tick(size=20, thickness=3, color=_INK).encode(x="half:Q", y=y)
    zero = base.mark_rule(color="#8a1f11", strokeDash=[4, 3]).encode(x=alt.datum(0))
    return alt.layer(bars, zero, ticks).facet(facet=alt.Facet("ended:N", title=None), columns=1)


def _groups(report: Report) -> Any:
    rows = list(_ratios(report))
    x = alt.X("ratio:Q", title="times as likely to enter as all other students", scale=alt.Scale(type="log", nice=True))
    y = alt.Y("group:N", title=None, sort=[row["group"] for row in rows], axis=alt.Axis(labelLimit=_NAMES_WIDTH))
    base = alt.Chart(_values(rows), width=_WIDTH - _NAMES_WIDTH // 2, height=alt.Step(20))
    intervals = base.mark_rule(strokeWidth=3, color="#9db8d6").encode(x=alt.X("low:Q"), x2="high:Q", y=y)
    points = base.mark_point(filled=True, size=60, color=_COLOURS[0]).encode(x=x, y=y)
    same = base.mark_rule(color="#8a1f11", strokeDash=[4, 3]).encode(x=alt.datum(1))
    return alt.layer(intervals, same, points)


def _ratios(report: Report) -> Iterator[Mapping[str, Any]]:
    """The ratios of entries under the policy that can be told, each with the name of its group; schools stand in the table."""
    for kind, lines in report["who"]["policy"].items() if report["who"] else ():
        for line in lines if kind != "school" else ():
            if line["entered"] and line["entered"]["against_all_others"]:
                yield {"group": group_named(kind, line["group"]), **line["entered"]["against_all_others"]}


_WORDS = {
    "american_indian": "American Indian or Alaska Native",
    "asian": "Asian",
    "black": "Black or African American",
    "hispanic": "Hispanic, of any race",
    "pacific_islander": "Native Hawaiian or Pacific Islander",
    "white": "White",
    "two_or_more": "two or more races",
    "female": "female",
    "male": "male",
    "disability": "with a disability on record",
    "no_disability": "without one",
    "not_said": "not said",
    "other": "all others",
}


def group_named(kind: str, group: str) -> str:
    """A group in words, such as ``home language es``; schools by their ids."""
    word = _WORDS.get(group, group)
    return f"home language {word}" if kind == "language" else word


def _clauses(report: Report) -> Any:
    only, shared = "not without it", "without it too"
    rows = [
        {"clause": f"{of['clause']}, {of['tier']}", "grounds": grounds, "students": of[count], "order": order}
        for of in report["alone"]
        for order, grounds, count in ((0, only, "students_of_no_other"), (1, shared, "students_of_others_too"))
    ]
    return (
        alt.Chart(_values(rows), width=_WIDTH, height=alt.Step(34))
        .mark_bar(stroke=_INK, strokeWidth=0.5)
        .encode(
            x=alt.X("students:Q", title="students for whom the clause calls for the support", stack="zero"),
            y=alt.Y("clause:N", title=None, sort=[f"{of['clause']}, {of['tier']}" for of in report["alone"]]),
            color=alt.Color(
                "grounds:N", title=None, scale=alt.Scale(domain=[only, shared], range=[_COLOURS[0], "#c5d5e8"])
            ),
            order="order:Q",
        )
    )


def _unknown(report: Report) -> Any:
    rows = [
        {"week": week, "clause": of["clause"], "percent": 100 * share}
        for of in report["unknown"]
        for week, share in zip(report["weeks"], of["weeks"], strict=True)
        if share is not None
    ]
    names = [of["clause"] for of in report["unknown"]]
    return (
        alt.Chart(_values(rows), width=_WIDTH, height=_HEIGHT)
        .mark_line(strokeWidth=2.5)
        .encode(
            x=alt.X("week:T", title="week through", axis=alt.Axis(format="%b %Y", tickCount="month", grid=False)),
            y=alt.Y("percent:Q", title="percent of student days", scale=alt.Scale(domain=[0, 100])),
            color=alt.Color("clause:N", title=None, sort=names, scale=alt.Scale(domain=names, range=_COLOURS)),
            strokeDash=alt.StrokeDash("clause:N", title=None, sort=names, scale=alt.Scale(domain=names)),
        )
    )


def _sensitivity(report: Report) -> Any:
    """For each number of the policy a curve, apart for each tier: all of one tier on the same axes."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for (path, tier), points in curves(report).items():
        rows.setdefault(tier, []).extend(
            {
                "number": short(path),
                "value": point["value"],
                "text": f"{point['value']:g}",
                "usual": point["value"] == point["usual"],
            }
            | {name: point[name] for name in ("caseload", "school_days_ahead")}
            for point in points
            if None not in (point["caseload"], point["school_days_ahead"])
        )
    return alt.vconcat(*(_curves_of(tier, points) for tier, points in rows.items())).resolve_scale(
        x="independent", y="independent"
    )


def _curves_of(tier: str, points: Rows) -> Any:
    x = alt.X("caseload:Q", title="students supported on a mean day", scale=alt.Scale(zero=False))
    y = alt.Y("school_days_ahead:Q", title="days ahead", scale=alt.Scale(zero=False))
    base = alt.Chart(_values(points), width=_WIDTH // 2, height=80).encode(x=x, y=y)
    line = base.mark_line(color="#9db8d6").encode(order="value:Q")
    dots = base.mark_point(filled=True, size=70).encode(
        shape=alt.Shape("usual:N", legend=None, scale=alt.Scale(domain=[True, False], range=["diamond", "circle"])),
        color=alt.Color(
            "usual:N", legend=None, scale=alt.Scale(domain=[True, False], range=[_COLOURS[1], _COLOURS[0]])
        ),
    )
    texts = base.mark_text(dy=-10, color=_INK).encode(text="text:N")
    return alt.layer(line, dots, texts).facet(facet=alt.Facet("number:N", title=f"{tier} support"), columns=3)


def curves(report: Report) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """For each number of the policy and each tier that rests on it its points, ascending by its value, the policy's own among them.

    Clauses as the report has them; of each the entry comes first, then the exit, then what it takes to know anything.
    """
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for point in report["sensitivity"]:
        found.setdefault((point["path"], point["tier"]), []).append(point)
    # A document that the database kept has its members by length, the exit before the entry; the alphabet has them right.
    places = {_of(path): place for place, (path, _) in reversed([*enumerate(found)])}
    return dict(sorted(found.items(), key=lambda each: (places[_of(each[0][0])], _within(each[0][0]))))


def _of(path: str) -> str:
    """The clause, or the tier, that a number is of."""
    return ".".join(path.split(".")[:2])


def _within(path: str) -> str:
    return path if path.startswith("clauses.") else ""


def short(path: str) -> str:
    """The path of a number in words, such as ``attendance: entry at least`` or ``intensive: when any[2] at least``."""
    of, _, rest = path.removeprefix("clauses.").removeprefix("tiers.").partition(".")
    return f"{of}: {rest}".replace("_", " ").replace(".", " ")


def _named(of: Mapping[str, Any]) -> str:
    return {"policy": "this policy", "against": "the policy it is held against"}.get(of["role"]) or str(of["version"])
