"""Every route of a service, asked by everybody of Ana and of Ben: what a cell of the table says."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from common.access import Permission, permissions_of
from common.limits import Limits
from common.scope import FIELD_CLASSES
from tests.harness import Running, etag_of
from tests.matrix.district import Asked, District, Fill
from tests.matrix.nets import nothing_kept
from tests.matrix.people import NORTH, SOUTH

Headers = Mapping[str, str]

_PLACE = re.compile(r"{(\w+)(?::\w+)?}")
_DRAWN = re.compile(r'(?<=correlationId": ")[^"]+|(?<=nonce=")[^"]+|(?<=name="once" value=")[^"]+')
_BOUNDED = frozenset({"principal", "counselor", "facilitator", "teacher"})
"""Roles that see some students and not others."""
_ANY = {"resource": "students", "section": "descriptors", "school_year": "2026", "day": "2026-09-01", "source": "a"}
_OF_A_SCHOOL = frozenset({"school_id", "source"})
_NOBODY = str(UUID(int=7))


@dataclass(frozen=True)
class Route:
    """One method of one path, and the body that its description gives as an example."""

    method: str
    path: str
    permission: Permission | None
    example: Any
    names_what_was_seen: bool
    """Whether it is refused without ``If-Match``."""

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def tells(self) -> str:
        """The classes of fields that it tells, in brackets those that only some of its roles may read, and for what."""
        if self.permission is None:
            return "non_personal for operations"
        mixed = f" ({_in_order(self.permission.mixes)})" if self.permission.mixes else ""
        return f"{_in_order(self.permission.reads)}{mixed} for {self.permission.purpose}"

    @property
    def by_sight(self) -> bool:
        """Whether it is answered differently to staff who see different students."""
        if self.permission is None or self.permission.reads == {"non_personal"}:
            return False
        return bool(self.permission.roles & _BOUNDED)

    @property
    def of_students(self) -> bool:
        """Whether it is answered differently to those of different students or schools, door clients and holders of links too."""
        if self.permission is None:
            return False
        of_rows = self.permission.reads != {"non_personal"} or bool({"school_id", "source"} & self.places)
        return self.by_sight or bool(self.permission.link) or ("sis" in self.permission.roles and of_rows)

    @property
    def places(self) -> set[str]:
        """The parts of its path that stand for something."""
        return set(_PLACE.findall(self.path))


def _in_order(classes: frozenset[str]) -> str:
    return ", ".join(each for each in FIELD_CLASSES if each in classes)


def routes_of(app: FastAPI) -> list[Route]:
    """What the service answers, described in its OpenAPI document or not, and that document itself."""
    described = app.openapi()
    found = [Route("GET", str(app.openapi_url), None, None, names_what_was_seen=False)]
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, APIRoute):
            (permission,) = permissions_of(context.dependant)
            for method in sorted(context.methods or ()):
                path = context.path or ""
                operation = described["paths"].get(_PLACE.sub(r"{\1}", path), {}).get(method.lower(), {})
                example, refused = _example(described, operation), "428" in operation.get("responses", {})
                found.append(Route(method, path, permission, example, refused))
    missing = {(method.upper(), path) for path, of in described["paths"].items() for method in of}
    assert missing <= {(route.method, _PLACE.sub(r"{\1}", route.path)) for route in found}
    return sorted(found, key=lambda route: (not route.of_students, route.path, route.method))


def _example(described: Any, operation: Any) -> Any:
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    named = described["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)
    return named.get("example") or next(iter(named.get("examples", [])), {})


@dataclass
class Matrix:
    """A service with its district, asked route by route."""

    running: Running
    district: District
    tried: set[tuple[str, str]] = field(default_factory=set)
    """Routes, and who was answered by them."""
    taken: set[tuple[str, str]] = field(default_factory=set)
    """Routes, and for whom they did what they are there for."""
    _tags: dict[str, str] = field(default_factory=dict)

    async def cell(self, route: Route, everybody: Sequence[Headers]) -> str:
        """What these people of one role are answered, which is one word where they are answered alike."""
        self.running.app.state.limits = Limits()
        words: list[str] = []
        for headers in everybody if route.of_students else everybody[:1]:
            words.append(await self._word(route, headers))
            self.tried.add((route.name, headers.get("Authorization", "")))
            if words[0] == "403":  # by role, so the others are too
                break
        return " or ".join(dict.fromkeys(words))

    async def answer(self, route: Route, headers: Headers) -> list[tuple[int, str]]:
        """Status and body of what is answered about Ana, and about Ben, but for what is drawn for each answer."""
        self.running.app.state.limits = Limits()
        answers = [await self.ask(route, headers, fill) for fill in (self.district.ana, self.district.ben)]
        return [(answer.status_code, _DRAWN.sub("", answer.text)) for answer in answers]

    async def _word(self, route: Route, headers: Headers) -> str:
        ana = await self.ask(route, headers, self.district.ana)
        if ana.status_code == 401 or (ana.status_code == 403 and not route.of_students):
            return str(ana.status_code)
        if not route.of_students:
            return "yes"
        if self._only_lets_in(route):
            return "404" if ana.status_code == 404 else "yes"
        ben = await self.ask(route, headers, self.district.ben)
        if ana.status_code == ben.status_code == 403:
            return "403"
        words = [self._shown(route, ana, self.district.ana, "own"), self._shown(route, ben, self.district.ben, "Ben")]
        seen = [word for word in dict.fromkeys(words) if word]
        if not seen:
            return "404" if ana.status_code == 404 else "none"
        return "all" if seen == ["own", "Ben"] else " + ".join(seen)

    def _only_lets_in(self, route: Route) -> bool:
        """Whether it answers whoever holds a link without a word about anybody."""
        return bool(route.permission and route.permission.link) and not self.asked(route).about

    def asked(self, route: Route) -> Asked:
        """What this route is asked with."""
        return self.district.asked.get(route.name, Asked())

    async def ask(
        self, route: Route, headers: Headers, fill: Fill, more: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """The answer about the student of ``fill``, of which nothing is kept."""
        request = await self.request(route, headers, fill, more)
        with nothing_kept():
            answer = await self.running.http.request(**request)
        assert answer.status_code < 500 or answer.status_code == 503, (route.name, answer.text)
        assert answer.status_code != 429
        if answer.status_code < 400:
            self.taken.add((route.name, headers.get("Authorization", "")))
        return answer

    async def request(
        self, route: Route, headers: Headers, fill: Fill, more: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """What is sent about the student of ``fill``; where a personal link stands in the path, everybody tries what they hold."""
        asked = self.asked(route)
        fill = fill | (asked.instead(fill) if asked.instead else {})
        parts = _ANY | fill | {"token": headers.get("Authorization", "").removeprefix("Bearer ") or _NOBODY}
        path, seen_at = (_PLACE.sub(lambda at: parts.get(at[1], _NOBODY), each) for each in (route.path, asked.seen_at))
        body = asked.body(fill) if asked.body else route.example if route.of_students else {}
        options: dict[str, Any] = {} if route.method == "GET" else {"json": body}
        query = {**(asked.query(fill) if asked.query else {}), **(more or {})}
        seen = await self._seen(route, seen_at or path) if route.names_what_was_seen else {}
        of = {"method": route.method, "url": path, "params": query}
        return of | {"headers": {**headers, **seen, **asked.headers}} | options

    async def _seen(self, route: Route, path: str) -> Headers:
        """The version of what stands at ``path``, or of what it is part of, which stays: so it is read once."""
        if path not in self._tags:
            roles = route.permission.roles if route.permission else ()
            role = "district" if "district" in roles else min(roles)
            reader = self.running.headers(role, staff=UUID(_NOBODY), schools=[NORTH, SOUTH])
            self._tags[path] = await etag_of(self.running.http, path, reader)
        return {"If-Match": self._tags[path]}

    def _shown(self, route: Route, answer: httpx.Response, fill: Fill, whose: str) -> str:
        """``whose`` if a row of the student was in the answer, ``zeros`` if only numbers of nobody were, or nothing."""
        if answer.status_code in (403, 404):
            return ""
        # 409 is said of what both nets let through. What else is refused was never looked at.
        assert answer.status_code < 400 or answer.status_code == 409, (
            f"{route.name} needs a body of its own: {answer.text}"
        )
        of_one = not route.places.isdisjoint(fill)
        if about := self.asked(route).about:
            return whose if about(answer, fill) else "zeros" * of_one
        if route.method != "GET" or fill["student_id"] in answer.text:
            return whose
        if route.permission and route.permission.reads == {"non_personal"}:
            return whose * of_one
        # That a page is there says that its student is seen, and nothing of a school's or an empty one.
        named = {fill[place] for place in route.places & fill.keys() - _OF_A_SCHOOL}
        assert not of_one or any(each in answer.text for each in named), f"{route.name} needs an `about` of its own"
        return whose * of_one
