"""Who comes in by the district's own identity provider, a real one in the shapes of the usual products, and what is refused."""

import base64
import json
import time
from typing import Any

import pytest

from common.auth import Principal, unverified
from common.clients import Clients
from common.errors import RoleMissing, StaffUnknown, Unauthenticated
from common.provider import Provider
from tests.identity_provider import AUDIENCE, CLIENT, Shape
from tests.signing_in import ADA, EMAIL, counselor, oidc_of, whom

# --- who gets in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ("keycloak", {}),
        ("rfc9068", {}),
        ("entra", {"role_claim": "roles", "staff_claim": "upn"}),
    ],
    ids=["Keycloak", "RFC 9068", "Entra"],
)
async def test_a_member_of_staff_signs_in(
    shapes: dict[str, Shape], clients: Clients, shape: str, options: dict[str, Any]
) -> None:
    provider, token = Provider(oidc_of(shapes[shape], **options), clients), counselor(shapes[shape])

    who = await whom(provider, token)

    assert provider.issued(token)
    assert who == Principal("counselor", str(ADA), staff_id=ADA, second_factor=True)
    await provider.close()


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
async def test_each_algorithm_of_a_public_key_is_understood(
    keycloak: Shape, provider: Provider, algorithm: str
) -> None:
    keycloak.behave(rotate=algorithm)

    assert (await whom(provider, counselor(keycloak))).role == "counselor"


async def test_of_several_groups_the_widest_role_counts(keycloak: Shape, provider: Provider) -> None:
    token = counselor(keycloak, groups=["teachers", "district-office", "choir", "counselors"])

    assert (await whom(provider, token)).role == "district"


async def test_a_group_may_have_what_no_role_brings_by_itself(keycloak: Shape, clients: Clients) -> None:
    given = {"data-officers": ["audit.read"], "office": ["surveys.import-paper"]}
    provider = Provider(oidc_of(keycloak, permissions=given), clients)

    people = [
        await whom(provider, counselor(keycloak, groups=["counselors", *more])) for more in ([], ["data-officers"])
    ]
    await provider.close()
    assert [person.permissions for person in people] == [set(), {"audit.read"}]


@pytest.mark.parametrize(
    "groups", [[], ["choir"], ["district"], [["counselors"]], [7], {"counselors": 1}, None], ids=str
)
async def test_nobody_without_a_group_that_has_a_role_gets_in(keycloak: Shape, provider: Provider, groups: Any) -> None:
    with pytest.raises(RoleMissing):
        await whom(provider, keycloak.sign(claims={"email": EMAIL, "email_verified": True, "groups": groups}))


async def test_nobody_whom_the_sis_does_not_know_gets_in(keycloak: Shape, provider: Provider) -> None:
    with pytest.raises(StaffUnknown):
        await whom(provider, counselor(keycloak, email="a.stranger@district.example"))


@pytest.mark.parametrize("said", [False, None, "yes"], ids=str)
async def test_an_email_that_the_provider_did_not_verify_names_nobody(
    keycloak: Shape, provider: Provider, said: Any
) -> None:
    claims = {"email": EMAIL, "email_verified": said, "groups": ["counselors"]}

    with pytest.raises(StaffUnknown):
        await whom(provider, keycloak.sign(claims=claims))


@pytest.mark.parametrize("name", [None, "", 7, ["x"], "x" * 256], ids=lambda name: str(name)[:9])
async def test_a_token_that_names_nobody_lets_nobody_in(keycloak: Shape, provider: Provider, name: Any) -> None:
    with pytest.raises(StaffUnknown):
        await whom(provider, keycloak.sign(claims={"email": name, "groups": ["counselors"]}))


# --- what is refused -------------------------------------------------------------------------------------------------

PERSON = {"email": EMAIL, "groups": ["counselors"]}


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another-api"},
        {"aud": ["account"]},
        {"aud": None},
        {"aud": {"trellis-api": 1}},
        {"exp": 946_684_800},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": 4_102_444_800},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 256},
        {"sub": "a\u0000b"},
        {"sub": 7},
        {"cnf": {"jkt": "x"}},
    ],
    ids=str,
)
async def test_a_wrong_claim_is_refused(keycloak: Shape, provider: Provider, claims: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        await whom(provider, keycloak.sign(person=PERSON, claims=claims))


async def test_another_issuer_is_refused_though_its_provider_is_the_same(
    shapes: dict[str, Shape], provider: Provider
) -> None:
    theirs = counselor(shapes["rfc9068"])
    as_ours = shapes["rfc9068"].sign(person=PERSON, claims={"iss": shapes["keycloak"].issuer})

    assert not provider.issued(theirs)
    for token in (theirs, as_ours):
        with pytest.raises(Unauthenticated):
            await whom(provider, token)


@pytest.mark.parametrize("shape", ["keycloak", "entra", "google", "rfc9068"])
async def test_an_id_token_is_refused(shapes: dict[str, Shape], clients: Clients, shape: str) -> None:
    provider = Provider(oidc_of(shapes[shape], audience=CLIENT, role_claim="groups"), clients)
    token = shapes[shape].sign_in(email=EMAIL, groups=["counselors"])["id_token"]

    with pytest.raises(Unauthenticated):
        await whom(provider, token)
    await provider.close()


@pytest.mark.parametrize(
    "marks",
    [
        {"nonce": "x"},
        {"at_hash": "x"},
        {"c_hash": "x"},
        {"typ": "ID"},
        {"typ": "Refresh"},
        {"typ": None},
        {"azp": AUDIENCE},
        {"client_id": AUDIENCE},
    ],
    ids=str,
)
async def test_each_mark_of_an_id_token_is_enough(keycloak: Shape, provider: Provider, marks: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        await whom(provider, keycloak.sign(person=PERSON, claims=marks))


@pytest.mark.parametrize("marks", [{"scp": None}, {"scp": ""}, {"scp": 7}, {"ver": "1.0"}, {"ver": None}], ids=str)
async def test_an_entra_token_that_lets_no_application_act_for_a_person_is_refused(
    shapes: dict[str, Shape], clients: Clients, marks: dict[str, Any]
) -> None:
    provider = Provider(oidc_of(shapes["entra"], role_claim="roles", staff_claim="upn"), clients)

    with pytest.raises(Unauthenticated):
        await whom(provider, shapes["entra"].sign(person=PERSON, claims=marks))
    await provider.close()


async def test_an_opaque_token_is_refused(shapes: dict[str, Shape], provider: Provider) -> None:
    token = shapes["google"].sign_in(email=EMAIL)["access_token"]

    assert not provider.issued(token)


@pytest.mark.parametrize("typ", ["ID", "logout+jwt", "dpop+jwt", 7, ["at+jwt"]], ids=str)
async def test_another_type_of_token_is_refused(keycloak: Shape, provider: Provider, typ: Any) -> None:
    with pytest.raises(Unauthenticated):
        await whom(provider, keycloak.sign(person=PERSON, header={"typ": typ}))


@pytest.mark.parametrize(
    "header",
    [{"jku": "http://127.0.0.1/keys"}, {"x5c": ["MIIB"]}, {"x5u": "http://127.0.0.1/"}, {"crit": ["exp"], "exp": 1}],
    ids=lambda header: next(iter(header)),
)
async def test_a_token_that_says_how_it_is_to_be_believed_is_refused(
    keycloak: Shape, provider: Provider, header: dict[str, Any]
) -> None:
    with pytest.raises(Unauthenticated):
        await whom(provider, keycloak.sign(person=PERSON, header=header))


@pytest.mark.parametrize("key", ["published", "unpublished"])
async def test_a_key_inside_the_token_is_refused(keycloak: Shape, provider: Provider, key: str) -> None:
    with pytest.raises(Unauthenticated):
        await whom(provider, keycloak.sign(person=PERSON, key=key, embed=True))


async def test_a_key_that_the_provider_does_not_publish_is_refused(keycloak: Shape, provider: Provider) -> None:
    published = unverified(counselor(keycloak)).header["kid"]

    for kid in (None, published, "", 7):
        header = {"kid": kid} if kid is not None else {}
        with pytest.raises(Unauthenticated):
            await whom(provider, keycloak.sign(person=PERSON, key="unpublished", header=header))


async def test_a_token_that_names_no_key_is_refused(keycloak: Shape, provider: Provider) -> None:
    with pytest.raises(Unauthenticated):
        await whom(provider, keycloak.sign(person=PERSON, header={"kid": None}))


async def test_a_public_key_used_as_a_shared_secret_is_refused(keycloak: Shape, provider: Provider) -> None:
    kid = unverified(counselor(keycloak)).header["kid"]
    header = {"alg": "HS256", "kid": kid}

    with pytest.raises(Unauthenticated):
        await whom(provider, keycloak.sign(person=PERSON, key="public as secret", header=header))


async def test_another_algorithm_of_the_right_key_is_refused(keycloak: Shape, provider: Provider) -> None:
    keycloak.behave(rotate="RS256")
    with pytest.raises(Unauthenticated):
        await whom(provider, keycloak.sign(person=PERSON, header={"alg": "RS384"}))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
async def test_an_unsigned_token_is_refused(keycloak: Shape, provider: Provider, algorithm: str) -> None:
    header, claims, signature = counselor(keycloak).split(".")
    kid = unverified(f"{header}.{claims}.").header["kid"]
    unsigned = _part({"alg": algorithm, "typ": "JWT", "kid": kid})

    for end in ("", signature):
        with pytest.raises(Unauthenticated):
            await whom(provider, f"{unsigned}.{claims}.{end}")


async def test_a_changed_token_is_refused(keycloak: Shape, provider: Provider) -> None:
    header, claims, signature = counselor(keycloak).split(".")
    wider = unverified(f"{header}.{claims}.").claims | {"groups": ["district-office"]}

    with pytest.raises(Unauthenticated):
        await whom(provider, f"{header}.{_part(wider)}.{signature}")


async def test_a_token_that_was_good_expires_all_the_same(
    keycloak: Shape, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = counselor(keycloak)
    assert (await whom(provider, token)).role == "counselor"

    later = time.time() + 320
    monkeypatch.setattr("common.auth.time.time", lambda: later)
    with pytest.raises(Unauthenticated):
        await whom(provider, token)


async def test_clocks_may_differ_by_ten_seconds_and_no_more(keycloak: Shape, provider: Provider) -> None:
    now = int(time.time())
    for claims in ({"exp": now - 5}, {"nbf": now + 5}):
        assert await whom(provider, keycloak.sign(person=PERSON, claims=claims))
    for claims in ({"exp": now - 15}, {"nbf": now + 20}):
        with pytest.raises(Unauthenticated):
            await whom(provider, keycloak.sign(person=PERSON, claims=claims))


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
