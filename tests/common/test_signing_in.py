"""What a service answers whoever signs in at the district's identity provider, and what it never says about them."""

import base64
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.access import declared
from common.commands import services
from common.logs import configure_logging
from common.provider import Provider
from tests.harness import Running
from tests.identity_provider import Shape
from tests.signing_in import ADA, EMAIL, Desk, counselor

CANARY = "canary.person@district.example"

SENSITIVE = {
    "{'GET'} /notifications/v1/letters/{letter_id}.pdf",
    "{'GET'} /sis/v1/sources/{source}/rejected.csv",
    "{'POST'} /mtss/v1/adoptions/{adoption_id}/confirm",
    "{'POST'} /mtss/v1/adoptions/{adoption_id}/withdraw",
    "{'POST'} /mtss/v1/equity/alerts/{alert_id}/finding",
    "{'POST'} /mtss/v1/policies/{version}/approve",
    "{'POST'} /mtss/v1/policies/{version}/revert",
    "{'POST'} /mtss/v1/students/{student_id}/help-links",
    "{'POST'} /notifications/v1/sending",
    "{'POST'} /surveys/v1/windows/{window_id}/links",
    "{'PUT'} /sis/v1/students/{student_id}/contacts/{contact_id}/restriction",
    *(
        f"{{'GET'}} /sis/data/v3/{year}ed-fi/{{resource}}{what}"
        for year in ("", "{school_year}/")
        for what in ("", "/deletes", "/keyChanges", "/partitions", "/{document_id}")
    ),
    *(
        f"{{'GET'}} /sis/data/v3/{year}ed-fi/schoolYearTypes{what}"  # under the permission of the other resources
        for year in ("", "{school_year}/")
        for what in ("", "/{document_id}")
    ),
    *(
        f"{{'POST'}} /{name}/v1/events/parked/{{event_id}}/discard"
        for name in ("mtss", "notifications", "restorative", "sis", "surveys")
    ),
    *(f"{{'GET'}} /{name}/v1/audit" for name in ("mtss", "notifications", "restorative", "sis", "surveys")),
}
"""Where a second factor can be demanded: records or addresses by the heap, what reaches families, and what is given up."""


@pytest.fixture
def signing_in(echo: Running, provider: Provider) -> Iterator[Provider]:
    """The echo service, at which staff of the provider may sign in."""
    echo.runtime.provider = provider
    yield provider
    echo.runtime.provider = None


async def ask(echo: Running, token: str, path: str = "/echo/v1/desk") -> httpx.Response:
    return await echo.http.get(path, headers={"Authorization": f"Bearer {token}"})


@pytest.mark.usefixtures("signing_in")
async def test_a_counselor_of_the_district_is_let_in_as_herself(echo: Running, keycloak: Shape) -> None:
    answer = await ask(echo, counselor(keycloak))

    assert answer.json() == {"role": "counselor", "subject": str(ADA), "staff_id": str(ADA)}


@pytest.mark.usefixtures("signing_in")
async def test_one_person_is_one_person_under_whatever_names_the_provider_has_for_them(
    echo: Running, keycloak: Shape
) -> None:
    tokens = [counselor(keycloak, sub=sub) for sub in ("of one application", "of another")]
    tokens.append(echo.headers("counselor", staff=ADA)["Authorization"].removeprefix("Bearer "))

    assert {(await ask(echo, token)).json()["subject"] for token in tokens} == {str(ADA)}


@pytest.mark.usefixtures("signing_in")
async def test_trellis_own_tokens_are_good_beside_the_providers(echo: Running) -> None:
    for path in ("/echo/v1/desk", "/echo/v1/vault"):
        assert (await echo.http.get(path, headers=echo.headers("district"))).status_code == 200


async def test_without_the_setting_a_providers_token_is_nobodys(echo: Running, keycloak: Shape) -> None:
    assert (await ask(echo, counselor(keycloak))).status_code == 401


@pytest.mark.usefixtures("signing_in")
async def test_a_role_that_a_route_does_not_let_in_is_403(echo: Running, keycloak: Shape) -> None:
    answer = await ask(echo, counselor(keycloak, groups=["teachers"]))

    assert (answer.status_code, answer.json()["type"]) == (403, "urn:trellis:problem:forbidden")


@pytest.mark.usefixtures("signing_in")
@pytest.mark.parametrize(
    ("person", "kind"),
    [
        ({"groups": ["choir"]}, "role-missing"),
        ({"email": CANARY}, "staff-unknown"),
        ({"email_verified": False}, "staff-unknown"),
    ],
    ids=["no role", "unknown to the SIS", "e-mail not verified"],
)
async def test_who_has_no_place_here_is_403_and_not_asked_to_sign_in_again(
    echo: Running, keycloak: Shape, person: dict[str, Any], kind: str
) -> None:
    answer = await ask(echo, counselor(keycloak, **person))

    assert (answer.status_code, answer.json()["type"]) == (403, f"urn:trellis:problem:{kind}")
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.usefixtures("signing_in")
async def test_while_keys_or_the_sis_cannot_be_asked_it_is_503_with_when_to_try_again(
    echo: Running, keycloak: Shape, desk: Desk
) -> None:
    token = counselor(keycloak)
    keycloak.behave(status=500)
    no_keys = await ask(echo, token)
    keycloak.behave()
    desk.status = 500
    no_sis = await ask(echo, token)

    assert [(answer.status_code, answer.headers["Retry-After"]) for answer in (no_keys, no_sis)] == [(503, "2")] * 2
    assert no_keys.json()["type"] == "urn:trellis:problem:provider-unavailable"


# --- a second factor -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "claims"),
    [
        ("keycloak", {"acr": "gold"}),
        ("rfc9068", {"amr": ["pwd", "mfa"]}),
        ("entra", {"acrs": ["c1"], "email": EMAIL, "xms_edov": True, "groups": ["counselors"]}),
    ],
    ids=["acr", "amr", "acrs"],
)
async def test_a_sensitive_route_asks_for_the_factor_that_the_district_names(
    echo: Running, shapes: dict[str, Shape], signing_in: Provider, shape: str, claims: dict[str, Any]
) -> None:
    named = {"issuer": shapes[shape].issuer, "second_factor": frozenset({"gold", "mfa", "c1"})}
    echo.runtime.provider = Provider(signing_in.oidc.model_copy(update=named), echo.runtime.clients)
    echo.runtime.provider.people = signing_in.people
    person = {"email": EMAIL, "groups": ["counselors"]}
    without = shapes[shape].sign(
        person=person, claims={name: one for name, one in claims.items() if name not in ("acr", "amr", "acrs")}
    )
    with_it = shapes[shape].sign(person=person, claims=claims)

    refused, allowed = await ask(echo, without, "/echo/v1/vault"), await ask(echo, with_it, "/echo/v1/vault")
    elsewhere = await ask(echo, without, "/echo/v1/desk")
    await echo.runtime.provider.close()

    assert [answer.status_code for answer in (refused, allowed, elsewhere)] == [401, 200, 200]
    assert refused.json()["type"] == "urn:trellis:problem:second-factor-missing"
    assert refused.headers["WWW-Authenticate"] == 'Bearer error="insufficient_user_authentication"'


@pytest.mark.usefixtures("signing_in")
async def test_no_factor_is_asked_for_where_the_district_names_none(echo: Running, keycloak: Shape) -> None:
    assert (await ask(echo, counselor(keycloak), "/echo/v1/vault")).status_code == 200


def test_the_sensitive_routes_are_these() -> None:
    routes = {
        route: permission
        for load in services().values()
        for route, permissions in declared(load())
        for permission in permissions
    }

    assert {route for route, permission in routes.items() if permission.second_factor} == SENSITIVE


# --- silence, and no error -------------------------------------------------------------------------------------------


async def test_nothing_of_a_token_or_an_email_is_logged_or_answered(
    echo: Running, keycloak: Shape, signing_in: Provider, desk: Desk, tmp_path: Path
) -> None:
    root, spoken = logging.getLogger(), structlog.get_config()
    before, level = root.handlers[:], root.level
    configure_logging("echo", tmp_path, level=logging.DEBUG)
    token, answers = counselor(keycloak, email=CANARY), []
    try:
        for how in ({"status": 500}, {"issuer": f"https://{CANARY}"}, {"body": f'"{CANARY}"'}, {}):
            keycloak.behave(**how)
            answers.append(await ask(echo, token))
        desk.status = 500
        answers.append(await ask(echo, counselor(keycloak, email=f"x.{CANARY}")))
        answers.append(await ask(echo, keycloak.sign(person={"email": CANARY}, claims={"aud": CANARY})))
    finally:
        for handler in set(root.handlers) - set(before):
            root.removeHandler(handler)
            handler.close()
        root.setLevel(level)
        structlog.configure(**spoken)

    said = (tmp_path / "echo.log").read_text() + "".join(answer.text for answer in answers)
    assert [answer.status_code for answer in answers] == [503, 503, 503, 403, 503, 401]
    assert "the identity provider's keys could not be had" in said
    assert not [secret for secret in (CANARY, *token.split(".")) if secret in said]


HEADERS = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=255), max_size=400)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_EACH = settings(max_examples=60, suppress_health_check=list(HealthCheck))


@_EACH
@given(text=HEADERS)
@pytest.mark.usefixtures("signing_in")
async def test_any_header_is_an_answer_and_no_error(echo: Running, text: str) -> None:
    for value in (text, f"Bearer {text}", f"Bearer a.{text}.b"):
        answer = await echo.http.get("/echo/v1/desk", headers={b"Authorization": value.encode("latin-1")})
        assert answer.status_code == 401


@_EACH
@given(
    header=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "jwk", "crit", "b64", "x"]), ANYTHING),
    claims=st.dictionaries(st.sampled_from(["iss", "aud", "exp", "nbf", "sub", "groups", "email", "typ"]), ANYTHING),
    keep_issuer=st.booleans(),
)
async def test_any_token_by_nobody_is_an_answer_and_no_error(
    echo: Running, signing_in: Provider, header: dict[str, Any], claims: dict[str, Any], keep_issuer: bool
) -> None:
    if keep_issuer:
        claims |= {"iss": signing_in.oidc.issuer}
    token = ".".join((_encoded(header), _encoded(claims), "c2ln"))

    assert (await ask(echo, token)).status_code == 401


@_EACH
@given(
    claims=st.dictionaries(
        st.sampled_from(
            ["aud", "exp", "nbf", "sub", "groups", "email", "email_verified", "acr", "amr", "azp", "typ", "scp", "cnf"]
        ),
        ANYTHING,
        min_size=1,
    )
)
@pytest.mark.usefixtures("signing_in")
async def test_any_claims_that_the_provider_itself_signs_are_an_answer_and_no_error(
    echo: Running, keycloak: Shape, claims: dict[str, Any]
) -> None:
    claims = json.loads(json.dumps(claims).replace("NaN", "0").replace("-Infinity", "-1").replace("Infinity", "1"))
    token = keycloak.sign(person={"email": EMAIL, "groups": ["counselors"]}, claims=claims)

    assert (await ask(echo, token)).status_code in (200, 401, 403)


def _encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
