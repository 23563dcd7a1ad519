"""Two waves of the belonging survey and what the students answered."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from trial.sample.attendance import Line
from trial.sample.chance import Draws
from trial.sample.families import Student
from trial.sample.schools import School
from trial.sample.year import SchoolYear

WINDOWS = "surveyWindows"
RESPONSES = "surveyResponses"

_INSTRUMENT = "belonging-8"
_ITEMS = (
    "adult_support_1",
    "adult_support_2",
    "peer_support_1",
    "peer_support_2",
    "belonging_1",
    "belonging_2",
    "feeling_heard_1",
    "feeling_heard_2",
)
_REVERSED = "peer_support_2"
_YOUNGEST_GRADE = 3
_ANSWERED, _UNANSWERED_ITEM, _SPANISH = 0.85, 0.015, 0.7


@dataclass(frozen=True, slots=True)
class Wave:
    """One window: its name, the day the notice went out, the first and last day to answer, as indexes into the year's days."""

    season: str
    notice: int
    opens: int
    closes: int
    low: float
    """The share of students with nobody at school to turn to."""


WAVES = (Wave("autumn", 12, 30, 40, 0.035), Wave("winter", 88, 104, 113, 0.03))


@dataclass(frozen=True)
class Survey:
    """Writes down what was answered through ``through``."""

    seed: int
    year: SchoolYear
    through: date

    def windows(self, schools: Sequence[School]) -> Iterator[str]:
        """The JSON line of each window that has opened."""
        for wave in WAVES:
            if self.year.days[wave.opens] <= self.through:
                row = {
                    "key": self._key(wave),
                    "instrument": _INSTRUMENT,
                    "schools": [str(school.id) for school in schools],
                    "opens_on": self.year.days[wave.opens].isoformat(),
                    "closes_on": self.year.days[wave.closes].isoformat(),
                    "audience": "student",
                    "notice": {
                        "sent_on": self.year.days[wave.notice].isoformat(),
                        "kind": "opt_out",
                        "text_reference": f"notice-{self._key(wave)}",
                    },
                }
                yield json.dumps(row) + "\n"

    def responses(self, student: Student) -> Iterator[Line]:
        """The student's line for each wave that they answered."""
        if student.grade < _YOUNGEST_GRADE:
            return
        for wave in WAVES:
            draws = Draws(self.seed, wave.season, student.index, count=48)
            answered, low = draws.chance(_ANSWERED), draws.chance(wave.low) and student.plan is None
            day = wave.opens + draws.below(wave.closes - wave.opens + 1)
            spanish = student.language == "es" and Draws(self.seed, "survey", student.index, count=1).chance(_SPANISH)
            on = self.year.days[day]
            if answered and on <= self.through and student.school_on(day):
                answers = json.dumps({item: self._answer(item, draws, low=low) for item in _ITEMS})
                row = (
                    f'{{"window":"{self._key(wave)}","studentUniqueId":"{student.number}","answered_on":"{on}",'
                    f'"language":"{"es" if spanish else "en"}","answers":{answers}}}\n'
                )
                yield RESPONSES, row

    def _answer(self, item: str, draws: Draws, *, low: bool) -> int | None:
        missing = draws.chance(_UNANSWERED_ITEM)
        lonely = low and item.startswith("adult_support")
        answer = 1 + draws.below(2) if lonely else 3 + draws.below(3)
        if missing:
            return None
        return 6 - answer if item == _REVERSED else answer

    def _key(self, wave: Wave) -> str:
        return f"belonging-{wave.season}-{self.year.number}"
