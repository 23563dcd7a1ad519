"""The restorative district of the matrix: of each student a referral in every state, so that each step is one that may be taken."""

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

from tests.harness import Running
from tests.matrix.district import Asked, District, Fill
from tests.matrix.people import NORTH, SOUTH
from tests.restorative.conftest import Conference, Restorative, ago
from tests.scoped import ANA, BEN, GRADE

_SOMEBODY = {"kind": "named", "role": "supporter", "name": "Rosa Example"}
_REASON = {"on": str(ago(1)), "reason": "The family has moved."}


async def _screen(conference: Conference) -> None:
    await conference.screen()
    await conference.party("student", kind="student", role="caused_harm", student_id=str(conference.service.student))
    await conference.party("harmed", kind="named", role="harmed", name="Alma Example")


async def _consent(conference: Conference) -> None:
    for label in conference.people:
        await conference.consent(label)


async def _prepare(conference: Conference) -> None:
    for label in conference.people:
        await conference.prepare(label)


_COURSE: tuple[tuple[str, Callable[[Conference], Awaitable[object]]], ...] = (
    ("screened", _screen),
    ("offered", Conference.offer),
    ("agreed", _consent),
    ("prepared", _prepare),
    ("scheduled", Conference.schedule),
    ("held", Conference.hold),
    ("active", Conference.agree),
    ("kept", Conference.keep),
)
"""Each state of a referral after ``proposed``, and what leads there."""


async def restorative(running: Running) -> District:
    """Two students who were excluded, each of whom has a referral in every state, the one that is meant being offered."""
    made = Restorative(running)
    ana, ben = [await _student(made, name, who) for name, who in ((NORTH, ANA), (SOUTH, BEN))]
    dated = {"on": str(ago(1))}

    def step(state: str, **body: object) -> Asked:
        return Asked(
            body=lambda fill: body | ({"party_id": fill["party_id"]} if state == "agreed" else {}),
            instead=lambda fill: {name: fill[f"{name} {state}"] for name in ("referral_id", "party_id", "item_id")},
        )

    agreed = {"what": "Repair the shelf", "kind": "restitution", "due_on": str(ago(1))}
    steps = {
        "screen": step("proposed", suitable=True, reason="Both of them want to talk."),
        "offer": step("screened", offered_on=str(ago(9))),
        "parties": Asked(body=lambda _: _SOMEBODY),
        "parties/{party_id}/consent": Asked(body=lambda _: dated | {"given": True, "part": "in_person"}),
        "prepare": step("agreed", **dated),
        "schedule": step("prepared", at=f"{ago(6)}T15:00:00Z", place="The quiet room upstairs"),
        "hold": step("scheduled", **dated),
        "agreement": Asked(
            body=lambda fill: {"items": [agreed | {"by_party": fill["party_id"]}]}, instead=step("held").instead
        ),
        "no-agreement": step("held", **_REASON),
        "items/{item_id}/keep": step("active", **dated, evidence="Seen on its wall."),
        "breach": step("active", **_REASON),
        "complete": step("kept", **dated),
        "withdraw": Asked(body=lambda _: _REASON),
    }
    return District(
        ana,
        ben,
        {f"POST /restorative/v1/referrals/{{referral_id}}/{name}": asked for name, asked in steps.items()}
        | {
            "POST /restorative/v1/referrals": Asked(
                body=lambda fill: {name: fill[name] for name in ("student_id", "incident_id")}
            ),
            "GET /restorative/v1/schools/{school_id}/summary": Asked(about=lambda answer, _: answer.json()["offered"]),
        },
    )


async def _student(made: Restorative, school: str, who: UUID) -> Fill:
    """A student with a referral in each state; by its name and the state, what stands in the path of a step."""
    fill = {"student_id": str(who), "school_id": school}
    made.student = who
    await made.hear(made.enrolled(school_id=school, grade=GRADE))
    for taken, state in enumerate(["proposed", *(state for state, _ in _COURSE)]):
        made.incident = uuid4()
        await made.hear(made.happened(school_id=school), made.excluded(school_id=school))
        found = await made.get(f"/referrals?incident_id={made.incident}", schools=[school])
        conference = Conference(made, found.json()["items"][0]["id"], school=school)
        for _, step in _COURSE[:taken]:
            await step(conference)
        items = await conference.items() if state in ("active", "kept") else []
        own = {
            "referral_id": conference.id,
            "party_id": conference.people.get("student", ""),
            "item_id": "".join(items[:1]),
        }
        fill |= {f"{name} {state}": each for name, each in own.items()}
        if state == "offered":
            fill |= own | {"incident_id": str(made.incident)}
    return fill
