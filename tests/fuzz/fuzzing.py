"""Requests that nobody thought of: drawn from a service's OpenAPI documents, sent by everybody, and what is wrong with the answers."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core import NOT_SET
from schemathesis.core.failures import FailureGroup

from common.limits import Limits
from tests.harness import Running, etag_of

load_all_checks()
schemathesis.serializer.alias("application/jsonl", "text/plain")
_CHECKS = [
    CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    )
]
_CANARY = "Aurelia-Canary"
"""What stands in for one of the texts sent: no problem document may hold it."""
_TELLING = 6
"""Shorter texts stand in an answer by chance."""
_REMEMBERED = 6
_SERVER = "http://testserver"
_ROOT = Path(__file__).parents[2]
Choice = tuple[int, bool, bool, int]
_CHOICES = st.tuples(st.integers(0, 5), st.booleans(), st.booleans(), st.integers(0, 50))
"""Which known value each parameter takes, whether any does, whether If-Match is right, and where the canary sits, if anywhere."""


@dataclass(frozen=True)
class Asker:
    """Somebody with a token, or with a personal link, and the ids that no answer to them may hold."""

    name: str
    headers: Mapping[str, str]
    hidden: frozenset[str] = frozenset()
    link: str | None = None


@dataclass
class Fuzz:
    """One service with a district, asked what nobody thought of; what was wrong stands in ``found``."""

    running: Running
    askers: Sequence[Asker]
    known: dict[str, list[str]]
    """Values by the names of parameters and members: of the district, and of what came into being meanwhile."""
    found: dict[str, str] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    let_in: set[str] = field(default_factory=set)
    """Who was not refused every time."""
    _barred: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(self.running.app), base_url=_SERVER)

    async def ask(self, document: dict[str, Any], number: int, cases: int) -> None:
        """Ask every operation of ``document`` what the seed ``number`` draws: of each kind up to ``cases``."""
        schema: Any = schemathesis.openapi.from_dict(document)
        words, loop = json.dumps(document), asyncio.get_running_loop()
        base = document.get("servers", [{"url": _SERVER}])[0]["url"]
        operations = [result.ok() for result in schema.get_all_operations()]
        for operation in sorted(operations, key=_not_by_link):
            self.running.app.state.limits = Limits()

            def send(case: Any, choice: Choice) -> None:
                asyncio.run_coroutine_threadsafe(self._everybody(case, choice, base, words), loop).result()

            for drawn in _strategies(schema, operation):
                await asyncio.to_thread(_draw, send, drawn, number, cases)

    async def _everybody(self, case: Any, choice: Choice, base: str, words: str) -> None:
        self._fill(case, choice)
        up_to_date = choice[2] and any(each.name == "If-Match" for each in case.operation.headers)
        options = case.as_transport_kwargs(base_url=base)
        prepared: Any = requests.Request(**{name: options[name] for name in _SENT if name in options}).prepare()
        for asker in self.askers:
            if (case.operation.label, asker.name) in self._barred:
                continue
            drawn = case.path_parameters.get("token")
            if asker.link and not drawn:  # it opens its own page, and is shown nowhere else
                continue
            url = prepared.url.replace(quote(str(drawn), safe=""), asker.link) if asker.link else prepared.url
            headers = dict(prepared.headers) | dict(asker.headers)
            if up_to_date:
                headers["If-Match"] = await etag_of(self._http, case.formatted_path, asker.headers)
            answer = await self._http.request(prepared.method, url, headers=headers, content=prepared.body)
            self.statuses[answer.status_code] += 1
            if answer.status_code < 400:
                self.let_in.add(asker.name)
            if answer.status_code in (401, 403):  # by who asks: so it is whatever else they say
                self._barred.add((case.operation.label, asker.name))
            for wrong in _wrong(case, answer, asker, words):
                self.found.setdefault(
                    f"{case.operation.label} {answer.status_code}: {wrong}",
                    f"as {asker.name}: {url} {prepared.body!r} → {answer.text[:300]}",
                )
            self._remember(case, answer)

    def _fill(self, case: Any, choice: Choice) -> None:
        """Let a request be about what there is, and hold the canary, as ``choice`` says."""
        turn, about_known, _, place = choice
        parts = {name: getattr(case, name) for name in ("path_parameters", "query", "body")}
        for part in parts.values() if about_known else ():
            if isinstance(part, dict):
                part |= {name: self.known[name][turn % len(self.known[name])] for name in part if self.known.get(name)}
        texts = [spot for name, part in parts.items() if part is not NOT_SET for spot in _texts(part, parts, name)]
        if place < len(texts):
            holder, key = texts[place]
            holder[key] = _CANARY
        for name, part in parts.items():
            setattr(case, name, part)

    def _remember(self, case: Any, answer: httpx.Response) -> None:
        """Keep the ids of what was made or listed, under the name by which paths know it."""
        if answer.status_code >= 300 or not answer.content or "json" not in answer.headers.get("content-type", ""):
            return
        told = answer.json()
        rows = told.get("items", [told]) if isinstance(told, dict) else []
        of = [part for part in case.path.split("/") if "{" not in part][-1]
        one = of.removesuffix("ies") + "y" if of.endswith("ies") else of.removesuffix("s")
        for row in rows[:2]:
            for name, value in row.items() if isinstance(row, dict) else ():
                at = f"{one}_id" if name == "id" else name
                if isinstance(value, str) and (at.endswith("_id") or at == "version"):
                    self.known[at] = [*self.known.get(at, []), value][-_REMEMBERED:]


_SENT = ("method", "url", "headers", "params", "json", "data", "files", "cookies")


def _not_by_link(operation: Any) -> bool:
    """What a personal link opens is asked first: whoever is asked for another one ends it."""
    return "{token}" not in operation.path


def _strategies(schema: Any, operation: Any) -> Iterator[st.SearchStrategy[Any]]:
    """Requests as the document has them for examples, as it allows them, and as it does not."""
    yield from schema.get_strategies_from_examples(operation)
    yield operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE)
    if len(operation.body) + len(
        operation.query
    ):  # else nearly nothing about it could be wrong, and that is looked for long
        yield operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)


def _draw(send: Any, drawn: st.SearchStrategy[Any], number: int, cases: int) -> None:
    quiet = settings(
        max_examples=cases,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    with suppress(Unsatisfiable):  # nothing about it could be wrong
        seed(number)(quiet(given(case=drawn, choice=_CHOICES)(send)))()


def _texts(part: Any, holder: Any, key: Any) -> Iterator[tuple[Any, Any]]:
    """Where texts stand in ``part``: what holds each, and under which key."""
    if isinstance(part, str):
        yield holder, key
    elif isinstance(part, dict):
        for name, value in part.items():
            yield from _texts(value, part, name)
    elif isinstance(part, list):
        for index, value in enumerate(part):
            yield from _texts(value, part, index)


def _wrong(case: Any, answer: httpx.Response, asker: Asker, words: str) -> Iterator[str]:
    try:
        case.validate_response(answer, checks=_CHECKS)
    except FailureGroup as group:
        yield from (f"{each.title}: {each.message}" for each in group.exceptions)
    told = f"{answer.text} {answer.headers}"
    if any(hidden in told for hidden in asker.hidden):
        yield "it tells of a student whom they may not see"
    if answer.status_code >= 400:
        parts = (case.path_parameters, case.query, dict(case.headers), case.body)
        sent = {str(value) for part in parts for value in _values(part)}
        yield from (
            "it repeats what was sent"
            for value in sent
            if len(value) >= _TELLING and value in told and value not in words and value not in _ours()
        )


@cache
def _ours() -> str:
    """All that the source says: what is drawn may be a text of it, and an answer may say it of itself."""
    files = (file for place in ("libs", "services") for file in (_ROOT / place).rglob("*"))
    return "".join(file.read_text() for file in files if file.suffix in {".py", ".html"})


def _values(part: Any) -> Iterator[Any]:
    if isinstance(part, dict):
        for value in part.values():
            yield from _values(value)
    elif isinstance(part, list):
        for value in part:
            yield from _values(value)
    elif isinstance(part, str | int | float):
        yield part
