"""Steps of restorative conferences, each taken as the facilitator named in its row."""

import asyncio
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from uuid import UUID

import httpx

from sis.loading.door import As, NotPermitted, Refused
from sis.loading.folder import STEPS, Line
from sis.loading.lanes import in_lanes
from sis.loading.rows import Pusher

_LANES = 4
_NOT_YET_KNOWN = "-not-yet-known"
_PATIENCE, _PAUSE = 120.0, 0.5
_REFERRALS = "/restorative/v1/referrals"


_Step = tuple[Line, dict[str, Any]]


class _Unknown(Exception):
    """A row names somebody or something that is not known; the message says what."""


@dataclass
class _Case:
    """A conference as far as its steps have been taken."""

    who: As = field(default_factory=As)
    referral: str = ""
    seen: str = ""
    parties: dict[str, str] = field(default_factory=dict)
    items: list[str] = field(default_factory=list)
    stuck: bool = False


@dataclass
class ConferencePusher:
    """Takes the steps of each conference in order, several conferences at a time. A step taken before changes nothing."""

    pusher: Pusher
    left_out: bool = False
    _gives_up: float = 0.0

    async def push_all(self) -> None:
        """Take every step of the file."""
        folder, report = self.pusher.folder, self.pusher.report
        if folder.has(STEPS):
            report.begin(STEPS, folder.count(STEPS))
            self._gives_up = time.monotonic() + _PATIENCE
            await in_lanes(self._by_conference().items(), self._take_each, lanes=_LANES, at_once=1)
            if self.left_out:
                report.leave_out(STEPS)

    def _by_conference(self) -> dict[str, list[_Step]]:
        steps: dict[str, list[_Step]] = {}
        for line in self.pusher.folder.lines(STEPS):
            row = line.value()
            steps.setdefault(f"{row.get('incident')} {row.get('studentUniqueId')}", []).append((line, row))
        return steps

    async def _take_each(self, conferences: list[list[_Step]]) -> None:
        for steps in conferences:
            await self._take_all(steps)

    async def _take_all(self, steps: list[_Step]) -> None:
        case = _Case()
        for line, row in steps:
            if self.left_out:
                return
            if case.stuck:
                self._reject(line, "an earlier step of this conference was rejected")
                continue
            try:
                await self._take_when_known(case, row)
            except NotPermitted:
                self.left_out = True
            except (Refused, _Unknown) as error:
                case.stuck = True
                self._reject(line, str(error))
            except (KeyError, TypeError, ValueError, IndexError):
                case.stuck = True
                self._reject(line, "must be a step with incident, studentUniqueId, facilitator, step, on and with")
            else:
                self.pusher.report.take(STEPS)

    async def _take_when_known(self, case: _Case, row: dict[str, Any]) -> None:
        while True:
            try:
                await self._take(case, row)
                return
            except Refused as refused:
                if not refused.kind.endswith(_NOT_YET_KNOWN) or time.monotonic() > self._gives_up:
                    raise
            await asyncio.sleep(_PAUSE)

    async def _take(self, case: _Case, row: dict[str, Any]) -> None:
        step, what = row["step"], dict(row.get("with") or {})
        if step == "open":
            await self._open(case, row)
            return
        body = await self._named(case, what) | {"on": row["on"]}
        if step == "party":
            label = body.pop("label")
            case.parties[label] = (await self._post(case, "parties", body)).json()["id"]
        elif step == "offer":
            await self._post(case, "offer", {"offered_on": row["on"]})
        elif step == "consent":
            await self._post(case, f"parties/{body.pop('party_id')}/consent", body)
        elif step == "agreement":
            case.items = [item["id"] for item in (await self._post(case, "agreement", body)).json()["items"]]
        elif step == "keep":
            await self._post(case, f"items/{case.items[body.pop('item')]}/keep", body)
        else:
            await self._post(case, step.replace("_", "-"), body)

    async def _open(self, case: _Case, row: dict[str, Any]) -> None:
        school = str(row["incident"]["schoolId"])
        facilitator = await self._id_of("staffs", row["facilitator"])
        case.who = As("facilitator", (school,), UUID(facilitator))
        incident = await self._incident(school, str(row["incident"]["incidentIdentifier"]))
        body = {"student_id": await self._id_of("students", row["studentUniqueId"]), "incident_id": incident}
        opened = await self.pusher.door.send("POST", _REFERRALS, case.who, json=body)
        case.referral, case.seen = opened.json()["id"], opened.headers["ETag"]

    async def _post(self, case: _Case, path: str, body: dict[str, Any]) -> httpx.Response:
        address = f"{_REFERRALS}/{case.referral}"
        while True:
            try:
                taken = await self.pusher.door.send(
                    "POST", f"{address}/{path}", case.who, json=body, headers={"If-Match": case.seen}
                )
            except Refused as refused:
                if refused.status != HTTPStatus.PRECONDITION_FAILED or time.monotonic() > self._gives_up:
                    raise
                # What is heard meanwhile, such as days served, changes the referral too.
                case.seen = (await self.pusher.door.send("GET", address, case.who)).headers["ETag"]
            else:
                case.seen = taken.headers["ETag"]
                return taken

    async def _named(self, case: _Case, what: dict[str, Any]) -> dict[str, Any]:
        """What comes with a step, labels and numbers of the SIS replaced by our ids."""
        body = dict(what)
        if "studentUniqueId" in body:
            body["student_id"] = await self._id_of("students", body.pop("studentUniqueId"))
        if "staffUniqueId" in body:
            body["staff_id"] = await self._id_of("staffs", body.pop("staffUniqueId"))
        if "party" in body:
            body["party_id"] = _party(case, body.pop("party"))
        if "items" in body:
            body["items"] = [
                item | {name: _party(case, item[name]) for name in ("by_party", "for_party") if item.get(name)}
                for item in body["items"]
            ]
        return body

    async def _id_of(self, resource: str, unique_id: str) -> str:
        found = await self.pusher.id_of(resource, str(unique_id))
        if found is None:
            raise _Unknown("there is no such student" if resource == "students" else "there is no such staff member")
        return found

    async def _incident(self, school: str, identifier: str) -> str:
        found = await self.pusher.door.send(
            "GET",
            "/sis/data/v3/ed-fi/disciplineIncidents",
            params={"incidentIdentifier": identifier, "schoolId": school},
        )
        if not found.json():
            raise _Unknown("there is no such incident")
        return str(found.json()[0]["id"])

    def _reject(self, line: Line, reason: str) -> None:
        self.pusher.report.reject(f"{STEPS}.jsonl", line.number, reason)


def _party(case: _Case, label: str) -> str:
    if label not in case.parties:
        raise _Unknown("its party was not named before")
    return case.parties[label]
