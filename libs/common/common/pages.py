"""Pages behind personal links, and reports to print: rendered here, nothing from elsewhere, nothing kept by the browser."""

import json
import secrets
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from babel.core import negotiate_locale
from fastapi.responses import HTMLResponse
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

PRIVATE = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}
"""The headers of everything behind a personal link: whoever finds this browser later finds nothing."""


class Pages:
    """The pages of a package: its templates over ``page.html``, and the words of ``templates/texts.json`` by language."""

    def __init__(self, package: str) -> None:
        self._templates = _templates(package)
        self._texts: Mapping[str, Mapping[str, str]] = json.loads(
            files(package).joinpath("templates/texts.json").read_bytes()
        )

    def language(self, *wishes: str | None, accepted: str) -> str:
        """The first wish that we speak, else the first language of an ``Accept-Language`` header that we speak, else English."""
        offered = [wish for wish in wishes if wish] + [part.split(";")[0].strip() for part in accepted.split(",")]
        found = negotiate_locale(offered, list(self._texts), sep="-")
        return next((language for language in self._texts if language == found), "en")

    def page(self, template: str, language: str, *, status: int = 200, **facts: Any) -> HTMLResponse:
        """A page with what the template asks for."""
        nonce = secrets.token_urlsafe(16)
        html = self._templates.get_template(template).render(
            facts,
            lang=language,
            languages={code: text["name"] for code, text in self._texts.items()},
            texts=self._texts[language],
            nonce=nonce,
        )
        return HTMLResponse(html, status, _headers(nonce))

    def message(self, message: str, language: str, *, status: int = 200, **facts: Any) -> HTMLResponse:
        """A page of a title and a few words, by their name in the texts."""
        return self.page("message.html", language, status=status, message=message, facts=facts)


class Report:
    """A report of a package, its template over ``report.html``: without a script; to be read, printed and heard."""

    def __init__(self, package: str, template: str, **filters: Callable[..., Any]) -> None:
        templates = _templates(package)
        templates.filters.update(filters)
        self._template = templates.get_template(template)

    def page(self, **facts: Any) -> HTMLResponse:
        """The report of these facts."""
        nonce = secrets.token_urlsafe(16)
        policy = f"default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        html = self._template.render(facts, nonce=nonce)
        return HTMLResponse(html, headers=PRIVATE | {"Content-Security-Policy": policy})


def _templates(package: str) -> Environment:
    loaders = ChoiceLoader([PackageLoader(package), PackageLoader("common")])
    return Environment(loader=loaders, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _headers(nonce: str) -> dict[str, str]:
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return PRIVATE | {"Content-Security-Policy": policy, "Vary": "Accept-Language"}
