"""The district's reading of its SIS, from ``policy.toml`` and the file that ``TRELLIS_SIS_POLICY`` names."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from common.events import AttendanceKind
from common.policies import PolicyInvalid, policy_of
from sis.rules.arrivals import ArrivalPolicy
from sis.rules.attendance import AttendancePolicy
from sis.rules.calendar import CalendarPolicy
from sis.rules.closing import ClosingPolicy
from sis.rules.contacts import ContactPolicy
from sis.rules.groups import RACES, GroupPolicy
from sis.rules.incidents import IncidentPolicy
from sis.rules.marks import MarkPolicy
from sis.rules.oauth import ClientPolicy
from sis.rules.waiting import WaitingPolicy

_LONGEST_CODE = 50
"""Source: Ed-Fi Data Standard 5.2."""

_DATA = policy_of("sis", added_to=("attendance.categories", "groups.races", "groups.sexes"))


def _lower(said: Any) -> Any:
    """Code values in small letters, as they are compared."""
    if isinstance(said, dict):
        return {name.lower(): value for name, value in said.items()}
    return [one.lower() for one in said]


def _codes(data: Mapping[str, Any]) -> dict[str, list[str]]:
    """Code values by the resource that lists them, each in its first spelling."""
    contacts, calendar = data["contacts"], data["calendar"]
    understood = {
        "attendanceEventCategoryDescriptors": list(data["attendance"]["categories"]),
        "calendarEventDescriptors": calendar["instructional"] + calendar["other"],
        "addressTypeDescriptors": contacts["address_types"],
        "languageUseDescriptors": contacts["language_uses"],
        "telephoneNumberTypeDescriptors": contacts["not_for_calls"],
        **data["descriptors"],
    }
    listed = data["listed"]
    codes = {name: [*understood.get(name, ()), *listed.get(name, ())] for name in {**understood, **listed}}
    for name, said in codes.items():
        if any(not 0 < len(code) <= _LONGEST_CODE or "#" in code for code in said):
            raise PolicyInvalid(f"The policy of sis: a code of {name} must have 1 to {_LONGEST_CODE} characters, no #.")
    return {name: sorted({code.lower(): code for code in reversed(said)}.values()) for name, said in codes.items()}


def _attendance(said: Mapping[str, Any]) -> AttendancePolicy:
    named = {
        "categories": said["categories"].values(),
        "never_missed": said["never_missed"],
        "strongest_first": said["strongest_first"],
    }
    for name, kinds in named.items():
        if not set(kinds) <= set(AttendanceKind):
            raise PolicyInvalid(f"The policy of sis: attendance.{name} may only say {', '.join(AttendanceKind)}.")
    if set(said["strongest_first"]) != set(AttendanceKind):
        raise PolicyInvalid(
            f"The policy of sis: attendance.strongest_first must say all of {', '.join(AttendanceKind)}."
        )
    return AttendancePolicy(**{**said, "categories": _lower(said["categories"])})


def _groups(said: Mapping[str, Any]) -> GroupPolicy:
    if not set(said["races"].values()) <= set(RACES):
        raise PolicyInvalid(f"The policy of sis: groups.races may only say {', '.join(RACES)}.")
    return GroupPolicy(**{name: _lower(codes) for name, codes in said.items()})


ARRIVALS = ArrivalPolicy(**_DATA["arrivals"])
ATTENDANCE = _attendance(_DATA["attendance"])
CALENDAR = CalendarPolicy(
    **_DATA["calendar"] | {name: _lower(_DATA["calendar"][name]) for name in ("instructional", "other")}
)
CLIENTS = ClientPolicy(**_DATA["clients"])
CLOSING = ClosingPolicy(**_DATA["closing"])
CONTACTS = ContactPolicy(**{name: _lower(codes) for name, codes in _DATA["contacts"].items()})
GROUPS = _groups(_DATA["groups"])
INCIDENTS = IncidentPolicy(**{name: _lower(codes) for name, codes in _DATA["incidents"].items()})
MARKS = MarkPolicy(**{name: said if name == "passing_from" else _lower(said) for name, said in _DATA["marks"].items()})
URGENT: Sequence[str] = _lower(_DATA["urgent"]["classifications"])
"""As what staff work who are told by e-mail that help cannot wait."""
WAITING = WaitingPolicy(**_DATA["waiting"])
CODES: Mapping[str, list[str]] = _codes(_DATA)
"""Code values that are listed from the start as they are written, by the resource that lists them."""
UNDERSTOOD: Mapping[str, Collection[str]] = {
    "addressTypeDescriptors": CONTACTS.address_types,
    "attendanceEventCategoryDescriptors": ATTENDANCE.categories,
    "languageUseDescriptors": CONTACTS.language_uses,
    **{name: _lower(codes) for name, codes in _DATA["descriptors"].items()},
}
"""Code values that are understood, by the resource that lists them. Others are kept, and listed for a person to map."""
BULK_ROWS: int = _DATA["bulk"]["rows"]
SHEET_ROWS: int = _DATA["bulk"]["sheet_rows"]
REMEMBERED_DAYS: int = _DATA["cloudevents"]["remembered_days"]
