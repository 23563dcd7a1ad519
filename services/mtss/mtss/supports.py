"""The supports that the district gives, and what its staff look out for, from ``policy.toml`` and the file that ``TRELLIS_MTSS_POLICY`` names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import Invalid
from common.events import Tier
from common.policies import PolicyInvalid, policy_of
from mtss.rules import SIGNALS

_AUDIENCES = frozenset({"student", "family", "staff", "community"})


@dataclass(frozen=True, slots=True)
class Kind:
    """A support that students may receive. ``outcomes``: what it is for; ``review_within``: instructional days.

    ``grades``: for whom it is made, none: for each; ``audience``: who takes part.
    """

    title: str
    tier: Tier
    outcomes: tuple[str, ...]
    grades: tuple[str, ...]
    audience: tuple[str, ...]
    review_within: int
    offered: bool


@dataclass(frozen=True, slots=True)
class Ending:
    """How a support may end."""

    title: str
    needs_review: bool


@dataclass(frozen=True, slots=True)
class Sign:
    """What staff may have noticed about a student."""

    title: str
    urgent: bool
    """Whether it is to be answered on the day on which it is said."""


@dataclass(frozen=True, slots=True)
class Team:
    """Whom a student may be put before. Who has the first of the roles sees to it; ``meets_within``: instructional days."""

    title: str
    roles: tuple[str, ...]
    meets_within: int


@dataclass(frozen=True, slots=True)
class Training:
    """What staff are trained in, and for so many days after it hold."""

    title: str
    holds_days: int


@dataclass(frozen=True, slots=True)
class Following:
    """Where somebody asks a student how they are, by what the clause listens to, and within how many instructional days."""

    signals: frozenset[str]
    first_within: int
    again_within: int


@dataclass(frozen=True, slots=True)
class Surveys:
    """Of which subscale a survey before is held against one after, each at most so many days away."""

    subscale: str
    within_days: int


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What staff are trained in and notice, what the district gives, what for, and how it ends. Each is known by its name in the file."""

    kinds: Mapping[str, Kind]
    endings: Mapping[str, Ending]
    outcomes: Mapping[str, str]
    signs: Mapping[str, Sign]
    trainings: Mapping[str, Training]
    teams: Mapping[str, Team]
    contexts: Mapping[str, str]
    """What may weigh on a student beside school: said with a support, and no input to anything."""
    universal: Mapping[str, str]
    """What every student gets, by which nobody is assigned to anything."""
    follow_up: Following
    review_soon: int
    """From so many instructional days before its review on a support waits in the queue."""
    compare_days: int
    """What came of supports is told over so many closed days on either side."""
    compare_surveys: Surveys
    decide_nothing: Sequence[str]
    """As what somebody works at a school who decides about no student there."""

    def offered(self, name: str, grade: str | None) -> Kind:
        """The kind of that name, if it may begin for a student of that grade.

        Raises:
            Invalid: the district does not offer it, or not to this grade.
        """
        kind = self.kinds.get(name)
        if kind is None or not kind.offered or (kind.grades and grade not in kind.grades):
            raise Invalid(
                field="kind", rule="must be one of the supports that the district offers to the student's grade"
            )
        return kind

    def team(self, name: str) -> Team:
        """The team of that name.

        Raises:
            Invalid: there is none.
        """
        if name not in self.teams:
            raise Invalid(field="team", rule="must be one of the teams in the district's catalogue")
        return self.teams[name]

    def noticed(self, names: Sequence[str]) -> bool:
        """Whether one of these signs is urgent.

        Raises:
            Invalid: the district has no such sign.
        """
        if not self.signs.keys() >= set(names):
            raise Invalid(field="signs", rule="must be among the signs in the district's catalogue")
        return any(self.signs[name].urgent for name in names)

    def check_contexts(self, names: Sequence[str]) -> None:
        """Refuse what the catalogue does not have.

        Raises:
            Invalid: the district has no such context.
        """
        if not self.contexts.keys() >= set(names):
            raise Invalid(field="contexts", rule="must be among the contexts in the district's catalogue")

    def ending(self, name: str) -> Ending:
        """The way to end of that name.

        Raises:
            Invalid: there is none.
        """
        if name not in self.endings:
            raise Invalid(field="ending", rule="must be one of the endings in the district's catalogue")
        return self.endings[name]


def read_catalogue(said: Mapping[str, Any]) -> Catalogue:
    """A catalogue from what its file says.

    Raises:
        PolicyInvalid: a support is of no tier, for what is no outcome, for nobody that there is, or never reviewed; a team is nobody or never meets;
            a training never holds; a follow-up is of no signal or never. The sentence holds no value.
    """
    for name, each in said["supports"].items():
        if each["tier"] not in set(Tier):
            raise PolicyInvalid(f"The policy of mtss: supports.{name}.tier must be one of {', '.join(Tier)}.")
        if not said["outcomes"].keys() >= set(each["outcomes"]):
            raise PolicyInvalid(f"The policy of mtss: supports.{name}.outcomes may only name entries of outcomes.")
        if not set(each["audience"]) <= _AUDIENCES:
            raise PolicyInvalid(
                f"The policy of mtss: supports.{name}.audience may only name {', '.join(sorted(_AUDIENCES))}."
            )
        if each["review_within"] < 1:
            raise PolicyInvalid(f"The policy of mtss: supports.{name}.review_within must be at least 1.")
    for name, each in said["teams"].items():
        if not each["roles"] or each["meets_within"] < 1:
            raise PolicyInvalid(f"The policy of mtss: teams.{name} needs roles, and meets_within of at least 1.")
    kinds = {
        name: Kind(
            each["title"],
            Tier(each["tier"]),
            tuple(each["outcomes"]),
            tuple(each["grades"]),
            tuple(each["audience"]),
            each["review_within"],
            each["offered"],
        )
        for name, each in said["supports"].items()
    }
    endings = {name: Ending(each["title"], each["needs_review"]) for name, each in said["endings"].items()}
    if said["compare_days"] < 1:
        raise PolicyInvalid("The policy of mtss: compare_days must be at least 1.")
    each = said["follow_up"]
    if not SIGNALS.keys() >= set(each["signals"]) or min(each["first_within"], each["again_within"]) < 1:
        raise PolicyInvalid("The policy of mtss: follow_up names signals that there are, and numbers of at least 1.")
    follow_up = Following(frozenset(each["signals"]), each["first_within"], each["again_within"])
    signs = {name: Sign(each["title"], each["urgent"]) for name, each in said["signs"].items()}
    teams = {
        name: Team(each["title"], tuple(each["roles"]), each["meets_within"]) for name, each in said["teams"].items()
    }
    return Catalogue(
        kinds,
        endings,
        said["outcomes"],
        signs,
        _trainings(said["trainings"]),
        teams,
        said["contexts"],
        said["universal"],
        follow_up,
        said["review_soon"],
        said["compare_days"],
        _surveys(said["compare_surveys"]),
        tuple(said["hand_over"]["decide_nothing"]),
    )


def _trainings(said: Mapping[str, Any]) -> Mapping[str, Training]:
    for name, each in said.items():
        if each["holds_days"] < 1:
            raise PolicyInvalid(f"The policy of mtss: trainings.{name}.holds_days must be at least 1.")
    return {name: Training(each["title"], each["holds_days"]) for name, each in said.items()}


def _surveys(said: Mapping[str, Any]) -> Surveys:
    if said["within_days"] < 1:
        raise PolicyInvalid("The policy of mtss: compare_surveys.within_days must be at least 1.")
    return Surveys(said["subscale"], said["within_days"])


POLICY = policy_of(
    "mtss", added_to=("outcomes", "endings", "signs", "trainings", "teams", "contexts", "universal", "supports")
)
CATALOGUE = read_catalogue(POLICY)
