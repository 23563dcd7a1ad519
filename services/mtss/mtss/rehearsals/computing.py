"""The calculation of a rehearsal, from facts to the report: nothing but rules and drawing, so that it runs in a process of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mtss.numbers import COMPARISON
from mtss.rules.facts import Facts
from mtss.rules.policy.reading import policy_of
from mtss.rules.rehearsal.past import still_running
from mtss.rules.rehearsal.recorded import district_of
from mtss.rules.rehearsal.report import Asked, Step, rehearse
from mtss.rules.rehearsal.then import AsKnownThen, Known
from mtss.rules.rehearsal.who import Groups


@dataclass(frozen=True, slots=True)
class Question:
    """What is rehearsed, as it was asked: documents, school years and schools."""

    policy: dict[str, Any]
    against: dict[str, Any]
    school_years: Sequence[int]
    schools: Sequence[str]

    def read(self) -> Asked:
        """The same with policies."""
        return Asked(policy_of(self.policy), policy_of(self.against), COMPARISON, self.school_years, self.schools)


@dataclass(frozen=True, slots=True)
class Then:
    """When what is known became known, and at each moment of it the facts as they were known before, in parts."""

    known: Known
    before: Sequence[Facts]


def compute(
    step: Step, question: Question, facts: Facts, then: Then | None, groups: Mapping[str, Groups] | None
) -> dict[str, Any]:
    """The report. ``groups`` were asked of sis and are nowhere but here."""
    asked = question.read()
    district = district_of(facts, asked.policies)
    as_known_then = None
    if then is not None:
        before = [district_of(part, asked.policies) for part in then.before]
        as_known_then = AsKnownThen(district, then.known, before)
    return rehearse(district, asked, step, as_known_then, groups) | {"still_running": still_running(facts)}


def draw(_: Step, report: Mapping[str, Any], asked_at: datetime) -> tuple[str, dict[str, str]]:
    """The page of a report, and the headers that go with it."""
    from mtss.rehearsals.page import rendered  # what draws takes a second and 60 MB, which no calculation needs

    return rendered(report, asked_at)
