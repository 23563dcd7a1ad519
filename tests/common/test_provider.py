"""The identity provider's keys change, and it goes away; sis goes away too. Staff go on working, and nobody floods anybody."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from common.auth import unverified
from common.clients import Clients
from common.errors import ProviderUnavailable, SisterUnavailable, StaffUnknown, Unauthenticated
from common.oidc import Oidc
from common.provider import Provider, Unusable, public_keys
from tests.identity_provider import AUDIENCE, Shape, new_key
from tests.processes import free_port
from tests.signing_in import ADA, EMAIL, Desk, counselor, oidc_of, whom

PERSON = {"email": EMAIL, "groups": ["counselors"]}


def keys_asked(shape: Shape, **then: Any) -> int:
    """How often the keys were asked for until now; the provider behaves as ``then`` says from now on."""
    return shape.behave(**then)["keys"]


def aged(monkeypatch: pytest.MonkeyPatch, provider: Provider, seconds: float) -> None:
    """Let the keys be so old."""
    monkeypatch.setattr(provider.keys, "_fetched_at", provider.keys._fetched_at - seconds)


async def settled(provider: Provider) -> None:
    """Wait for what is fetched without anybody waiting for it."""
    await provider.keys._fetched()


async def test_keys_are_fetched_once_for_many_tokens(keycloak: Shape, provider: Provider) -> None:
    before, tokens = keys_asked(keycloak), [counselor(keycloak) for _ in range(5)]

    await asyncio.gather(*(whom(provider, token) for token in tokens))

    assert keys_asked(keycloak) - before == 1


async def test_after_a_rotation_old_and_new_tokens_are_good_until_the_old_key_goes(
    keycloak: Shape, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = counselor(keycloak)
    await whom(provider, old)

    keycloak.behave(rotate="ES256")
    new = counselor(keycloak)
    assert [(await whom(provider, token)).staff_id for token in (old, new)] == [ADA, ADA]

    keycloak.behave(rotate="EdDSA", keep=False)
    newest = counselor(keycloak)
    assert (await whom(provider, newest)).staff_id == ADA
    for token in (old, new):
        with pytest.raises(Unauthenticated):
            await whom(provider, token)


async def test_a_withdrawn_key_is_believed_no_longer_than_keys_are_fresh(
    keycloak: Shape, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = counselor(keycloak)
    await whom(provider, token)
    keycloak.behave(rotate="RS256", keep=False)

    aged(monkeypatch, provider, 301)
    await whom(provider, token)  # which nobody waits with
    await settled(provider)

    with pytest.raises(Unauthenticated):
        await whom(provider, token)


async def test_an_unknown_key_id_is_asked_for_once(keycloak: Shape, provider: Provider) -> None:
    await whom(provider, counselor(keycloak))
    before = keys_asked(keycloak)

    for _ in range(20):
        with pytest.raises(Unauthenticated):
            await whom(provider, keycloak.sign(person=PERSON, key="unpublished", header={"kid": "made up"}))

    assert keys_asked(keycloak) - before == 1


async def test_many_unknown_key_ids_ask_no_more_than_the_cool_down_lets(
    keycloak: Shape, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.provider.COOL_DOWN_SECONDS", 10.0)
    token = counselor(keycloak)
    await whom(provider, token)
    monkeypatch.setattr(provider.keys, "_next_fetch_at", 0.0)
    before = keys_asked(keycloak)
    flood = [keycloak.sign(person=PERSON, key="unpublished") for _ in range(50)]

    answers = await asyncio.gather(*(whom(provider, token) for token in flood), return_exceptions=True)
    for _ in range(5):  # once the keys are here, too
        with pytest.raises(Unauthenticated):
            await whom(provider, keycloak.sign(person=PERSON, key="unpublished"))

    assert {type(answer) for answer in answers} == {Unauthenticated}
    assert keys_asked(keycloak) - before == 1
    assert (await whom(provider, token)).staff_id == ADA


async def test_while_the_provider_is_away_known_keys_go_on_for_a_working_day(
    keycloak: Shape, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = counselor(keycloak)
    await whom(provider, token)
    keycloak.behave(status=500)

    aged(monkeypatch, provider, 11 * 3600)
    assert (await whom(provider, token)).staff_id == ADA
    await settled(provider)

    aged(monkeypatch, provider, 3601)
    with pytest.raises(ProviderUnavailable):
        await whom(provider, token)

    keycloak.behave()
    assert (await whom(provider, token)).staff_id == ADA


async def test_a_provider_that_hangs_holds_up_nobody_whose_key_is_known(
    keycloak: Shape, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = counselor(keycloak)
    await whom(provider, token)
    keycloak.behave(sleep=3)
    aged(monkeypatch, provider, 301)

    async with asyncio.timeout(1):
        assert (await whom(provider, token)).staff_id == ADA
    await settled(provider)


@pytest.mark.parametrize(
    "how",
    [
        {"issuer": "https://login.somebody.example"},
        {"issuer": None},
        {"jwks_uri": "ftp://127.0.0.1/keys"},
        {"jwks_uri": None},
        {"jwks_uri": "http://["},
        {"status": 500},
        {"status": 404},
        {"redirect": "/keycloak/keys"},
        {"body": "no json"},
        {"body": "[]"},
        {"body": "7"},
        {"body": "[", "times": 100_000},
        {"body": "x", "times": 2_000_000},
    ],
    ids=lambda how: str(how)[:40],
)
async def test_a_provider_that_does_not_answer_as_it_should_lets_nobody_in(
    keycloak: Shape, provider: Provider, how: dict[str, Any]
) -> None:
    token = counselor(keycloak)
    keycloak.behave(**how)

    with pytest.raises(ProviderUnavailable):
        await whom(provider, token)


async def test_a_provider_that_is_not_there_is_503_and_tried_again(clients: Clients) -> None:
    nobody = Shape(f"http://127.0.0.1:{free_port()}", httpx.Client())
    provider = Provider(oidc_of(nobody), clients)

    for _ in range(2):
        with pytest.raises(ProviderUnavailable):
            await provider.keys.with_key("any")
    await provider.close()
    nobody.http.close()


def listed(**members: Any) -> dict[str, Any]:
    return {**new_key("ES256").as_dict(private=False), **members}


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "x"},
        listed(use="enc"),
        listed(alg="HS256"),
        listed(alg="none"),
        listed(alg=["ES256"]),
        listed(kid=None),
        listed(kid=7),
        listed(crv="P-384"),
        listed(crv="secp256k1"),
        listed(crv=["P-256"]),
        listed(x="not a coordinate"),
        listed(x=7),
        listed(kty="unheard of"),
        {
            "kty": "RSA",
            "kid": "short",
            "n": "u1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gunVTLw7onLRnrq0",  # pragma: allowlist secret
            "e": "AQAB",
        },
        "no object",
    ],
)
def test_a_key_that_may_not_sign_access_tokens_is_left_out(key: Any) -> None:
    good = listed(kid="good")

    assert set(public_keys({"keys": [key, good]})) == {"good"}
    with pytest.raises(Unusable):
        public_keys({"keys": [key]})


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {}}, {"keys": []}, {"keys": "x"}], ids=json.dumps)
def test_a_set_without_keys_is_unusable(document: dict[str, Any]) -> None:
    with pytest.raises(Unusable):
        public_keys(document)


# --- who a person is, as sis says ------------------------------------------------------------------------------------


async def test_sis_is_asked_once_a_minute_for_each_person(
    keycloak: Shape, provider: Provider, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await whom(provider, counselor(keycloak))
    assert desk.asked == 1

    monkeypatch.setattr("common.provider.time.monotonic", _later(61))
    await whom(provider, counselor(keycloak))
    assert desk.asked == 2


async def test_who_left_is_out_within_a_minute(
    keycloak: Shape, provider: Provider, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = counselor(keycloak)
    await whom(provider, token)
    del desk.people[EMAIL]

    monkeypatch.setattr("common.provider.time.monotonic", _later(61))
    with pytest.raises(StaffUnknown):
        await whom(provider, token)


async def test_while_sis_is_away_whom_it_named_lately_goes_on_and_nobody_else(
    keycloak: Shape, provider: Provider, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, other = counselor(keycloak), counselor(keycloak, email="new@district.example")
    await whom(provider, token)
    desk.status = 500

    monkeypatch.setattr("common.provider.time.monotonic", _later(3600))
    assert (await whom(provider, token)).staff_id == ADA
    with pytest.raises(SisterUnavailable):
        await whom(provider, other)

    monkeypatch.setattr("common.provider.time.monotonic", _later(12 * 3600 + 1))
    await provider.keys.with_key(unverified(token).header["kid"])
    with pytest.raises(SisterUnavailable):
        await whom(provider, token)


@pytest.mark.parametrize("status", [401, 403, 429, 500])
async def test_an_answer_of_sis_that_names_nobody_is_no_answer(
    keycloak: Shape, provider: Provider, desk: Desk, status: int
) -> None:
    desk.status = status

    with pytest.raises(SisterUnavailable):
        await whom(provider, counselor(keycloak))


async def test_people_are_forgotten_before_they_fill_the_memory(
    provider: Provider, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.provider._MOST_PEOPLE", 2)
    desk.people = dict.fromkeys("abc", ADA)

    for name in "abca":
        assert await provider.people.staff_id(name) == ADA

    assert (desk.asked, len(provider.people._known)) == (4, 2)


def _later(seconds: float) -> Any:
    from time import monotonic

    return lambda: monotonic() + seconds


# --- what a district sets --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "issuer",
    [
        "http://login.district.example",
        "login.district.example",
        "https://",
        "https://user:secret@login.district.example",  # pragma: allowlist secret
        "https://login.district.example/?realm=staff",
        "https://login.district.example/#staff",
        "file:///etc/passwd",
        "http://127.0.0.1.somebody.example",
    ],
)
def test_an_issuer_that_is_not_an_https_address_is_no_setting(issuer: str) -> None:
    with pytest.raises(ValidationError, match="must b") as error:
        Oidc(issuer=issuer, audience=AUDIENCE, roles={"staff": "counselor"})

    assert "secret" not in str(error.value)


@pytest.mark.parametrize("role", ["sis", "service", "public", "root", ""])
def test_no_group_can_be_given_the_role_of_a_machine(role: str) -> None:
    with pytest.raises(ValidationError):
        Oidc.model_validate({"issuer": "https://x.example", "audience": AUDIENCE, "roles": {"staff": role}})
