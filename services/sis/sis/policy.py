"""The district's reading of its SIS, from ``policy.toml`` or the file that ``TRELLIS_SIS_POLICY`` names."""

import os
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

from sis.rules.arrivals import ArrivalPolicy
from sis.rules.attendance import AttendancePolicy
from sis.rules.calendar import CalendarPolicy
from sis.rules.closing import ClosingPolicy
from sis.rules.contacts import ContactPolicy
from sis.rules.oauth import ClientPolicy
from sis.rules.waiting import WaitingPolicy

_FILE = Path(os.environ.get("TRELLIS_SIS_POLICY") or Path(__file__).with_name("policy.toml"))
_DATA = tomllib.loads(_FILE.read_text(encoding="utf-8"))

ARRIVALS = ArrivalPolicy(**_DATA["arrivals"])
ATTENDANCE = AttendancePolicy(**_DATA["attendance"])
CALENDAR = CalendarPolicy(**_DATA["calendar"])
CLIENTS = ClientPolicy(**_DATA["clients"])
CLOSING = ClosingPolicy(**_DATA["closing"])
CONTACTS = ContactPolicy(**_DATA["contacts"])
WAITING = WaitingPolicy(**_DATA["waiting"])
UNDERSTOOD: Mapping[str, Collection[str]] = {
    "addressTypeDescriptors": CONTACTS.address_types,
    "languageUseDescriptors": CONTACTS.language_uses,
    **_DATA["descriptors"],
}
"""Code values that are understood, by the resource that lists them. Others are kept, and listed for a person to map."""
BULK_ROWS: int = _DATA["bulk"]["rows"]
SHEET_ROWS: int = _DATA["bulk"]["sheet_rows"]
REMEMBERED_DAYS: int = _DATA["cloudevents"]["remembered_days"]
