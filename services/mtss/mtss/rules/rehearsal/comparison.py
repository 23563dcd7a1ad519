"""What a rehearsal is compared with: how a year may end, public rules as policies, and how far each number is moved."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from mtss.rules.equity import Minimum
from mtss.rules.policy.document import Policy
from mtss.rules.policy.reading import policy_of

Decides: TypeAlias = Literal["every_day", "first_days_of_year", "last_day_of_year"]


@dataclass(frozen=True, slots=True)
class YearEnd:
    """A way in which a student's school year may have ended."""

    name: str
    percent: int
    """At least so many percent of the year's enrolled days were missed."""
    enrolled_days: int
    """Nothing is said of a student with fewer."""
    source: str


@dataclass(frozen=True, slots=True)
class PublicRule:
    """A rule in public use. One that decides on the last day of the year looks at nothing before.

    One that decides by its first days says nothing of a year before it has seen them, whatever it said of the year before.
    """

    policy: Policy
    decides: Decides
    source: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """All of it."""

    year_ends: Sequence[YearEnd]
    rules: Sequence[PublicRule]
    step_percent: int
    """A step is so many percent of a number."""
    steps_each_way: int
    late_days: int
    """A day that was closed so many days after it, or later, came with a load of the past."""
    least: Minimum
    """Of groups."""

    @property
    def first_days(self) -> int:
        """How many first days of a year the rule looks at that decides by them; 0 if there is none."""
        of = (
            clause
            for rule in self.rules
            if rule.decides == "first_days_of_year"
            for clause in rule.policy.clauses.values()
        )
        return max((int(clause["window_days"]) for clause in of), default=0)


def read_comparison(text: str, moved: Mapping[str, Any], least: Minimum) -> Comparison:
    """What ``text`` says in JSON and ``[rehearsal]`` of the policy file, and the ``least`` that is told of groups."""
    said = json.loads(text)
    return Comparison(
        year_ends=tuple(map(_year_end, said["outcomes"])),
        rules=tuple(PublicRule(policy_of(each["policy"]), each["decides"], each["source"]) for each in said["rules"]),
        step_percent=moved["step_percent"]["value"],
        steps_each_way=moved["steps_each_way"]["value"],
        late_days=moved["late_days"]["value"],
        least=least,
    )


def _year_end(said: dict[str, Any]) -> YearEnd:
    percent, enrolled = said["percent"], said["enrolled_days"]
    return YearEnd(said["name"], percent["value"], enrolled["value"], percent["source"])
