"""Who may come in: only whom a known issuer vouches for, for this audience, now, in a role it may give."""

import base64
import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey, RSAKey

from common.auth import AUDIENCE, Principal, door_token, principal_of, service_token, staff_token, verified
from common.errors import Unauthenticated
from common.keys import DOOR, STAFF, Keys, KeysMissing, Trusted, read_keys, read_signing_key, write_keys


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("keys")
    write_keys(made, ["mtss", "notifications"])
    return made


@pytest.fixture(scope="module")
def keys(folder: Path) -> Keys:
    return read_keys(folder / "mtss")


def signed(key: Any, header: dict[str, Any] | None = None, **claims: Any) -> str:
    now = int(time.time())
    base = {"iss": STAFF, "aud": AUDIENCE, "sub": "x", "role": "district", "iat": now, "exp": now + 60}
    head = {"alg": "Ed25519", "typ": "at+jwt", "kid": key.kid} | (header or {})
    algorithm = head["alg"]
    return jwt.encode(head, base | claims, key, algorithms=[algorithm])


def test_a_staff_token_gives_role_schools_and_person(folder: Path, keys: Keys) -> None:
    person = uuid4()
    token = staff_token(read_signing_key(folder / "staff"), role="facilitator", schools=["7"], staff=person)

    who = principal_of(verified(token, keys.trusted), service="mtss")

    assert (who.role, who.schools, who.staff_id, who.service) == ("facilitator", frozenset({"7"}), person, None)


def test_a_staff_token_carries_its_permissions_and_a_role_brings_none(folder: Path, keys: Keys) -> None:
    key = read_signing_key(folder / "staff")
    bare = staff_token(key, role="district")
    named = staff_token(key, role="district", permissions=["surveys.import-paper"])

    assert principal_of(verified(bare, keys.trusted), service="mtss").permissions == frozenset()
    assert principal_of(verified(named, keys.trusted), service="mtss").permissions == {"surveys.import-paper"}


@pytest.mark.parametrize(
    "times", [{"exp": 3600}, {"exp": 4000, "iat": 3940}, {"iat": None}], ids=["an hour", "ahead", "not said"]
)
def test_a_service_token_that_was_made_for_longer_than_a_minute_is_refused(
    folder: Path, keys: Keys, times: dict[str, int | None]
) -> None:
    now, key = int(time.time()), read_signing_key(folder / "notifications")
    said = {"iat": 0, "exp": 60} | times
    claims: dict[str, Any] = {name: None if value is None else now + value for name, value in said.items()}
    token = signed(key, iss="notifications", aud="mtss", sub="notifications", role="service", **claims)
    with pytest.raises(Unauthenticated):
        principal_of(verified(token, keys.trusted), service="mtss")


def test_a_service_token_is_good_for_one_sister_only(folder: Path, keys: Keys) -> None:
    token = service_token(read_signing_key(folder / "notifications"), caller="notifications", callee="mtss")

    assert principal_of(verified(token, keys.trusted), service="mtss").service == "notifications"
    with pytest.raises(Unauthenticated):
        principal_of(verified(token, keys.trusted), service="notifications")


@pytest.fixture(scope="module")
def sis(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    made = tmp_path_factory.mktemp("door")
    write_keys(made, ["sis", "mtss"])
    return read_keys(made / "sis")


def signed_by_door(sis: Keys, **claims: Any) -> str:
    return signed(sis.door, **{"iss": DOOR, "aud": "sis", "role": "sis"} | claims)


def test_a_door_token_is_the_client_in_the_role_sis_and_nothing_more(sis: Keys) -> None:
    assert sis.door
    bare = door_token(sis.door, client="a client", lifetime_seconds=60)
    wider = signed_by_door(sis, schools=["7"], staff=str(uuid4()), permissions=["surveys.import-paper"])

    bare_one, wider_one = (principal_of(verified(token, sis.trusted), service="sis") for token in (bare, wider))
    assert bare_one == Principal(role="sis", subject="a client", second_factor=True, client=True)
    assert wider_one == Principal(role="sis", subject="x", second_factor=True, client=True)


@pytest.mark.parametrize(
    "claims", [{"role": "district"}, {"role": "service"}, {"aud": AUDIENCE}, {"aud": "mtss"}, {"iss": STAFF}], ids=str
)
def test_the_doors_key_gives_no_other_role_audience_or_issuer(sis: Keys, claims: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        principal_of(verified(signed_by_door(sis, **claims), sis.trusted), service="sis")


def test_no_other_key_speaks_for_the_door(folder: Path, sis: Keys) -> None:
    for key in (sis.signing, read_signing_key(folder / "staff")):
        with pytest.raises(Unauthenticated):
            principal_of(verified(signed(key, iss=DOOR, aud="sis", role="sis"), sis.trusted), service="sis")


def test_the_door_is_known_to_sis_alone(tmp_path: Path) -> None:
    write_keys(tmp_path, ["sis", "mtss"])

    assert [path.parent.name for path in tmp_path.rglob("door.jwk")] == ["sis"]
    assert DOOR in read_keys(tmp_path / "sis").trusted.of
    assert DOOR not in read_keys(tmp_path / "mtss").trusted.of
    assert DOOR not in (tmp_path / "sis" / "trusted.json").read_text()


def test_a_deployment_of_before_gets_the_doors_key_and_keeps_all_others(tmp_path: Path) -> None:
    write_keys(tmp_path, ["sis", "mtss"])
    (tmp_path / "sis" / "door.jwk").unlink()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.js*") if path.is_file()}

    assert write_keys(tmp_path, ["sis", "mtss"]) == [tmp_path / "sis" / "door.jwk"]
    assert {path: path.read_bytes() for path in before} == before


def test_a_token_that_was_good_expires_all_the_same(folder: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    token = staff_token(read_signing_key(folder / "staff"), role="district", lifetime_seconds=60)
    assert principal_of(verified(token, keys.trusted), service="mtss").role == "district"

    later = time.time() + 120
    monkeypatch.setattr("common.auth.time.time", lambda: later)
    with pytest.raises(Unauthenticated):
        principal_of(verified(token, keys.trusted), service="mtss")


def test_a_token_that_was_good_is_not_once_its_issuer_is_trusted_no_more(folder: Path, keys: Keys) -> None:
    token = staff_token(read_signing_key(folder / "staff"), role="district")
    assert principal_of(verified(token, keys.trusted), service="mtss").role == "district"

    with pytest.raises(Unauthenticated):
        principal_of(verified(token, Trusted({})), service="mtss")


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "mtss"},
        {"aud": ["trellis"]},
        {"exp": 946_684_800},
        {"exp": "soon"},
        {"nbf": 4_102_444_800},
        {"role": "service"},
        {"role": "root"},
        {"role": None},
        {"role": ["district"]},
        {"iss": "somebody"},
        {"iss": None},
        {"schools": 7},
        {"staff": "not an id"},
        {"permissions": "surveys.import-paper"},
        {"permissions": {"surveys.import-paper": False}},
        {"permissions": [7]},
    ],
    ids=str,
)
def test_a_wrong_claim_is_refused(folder: Path, keys: Keys, claims: dict[str, Any]) -> None:
    token = signed(read_signing_key(folder / "staff"), **claims)

    with pytest.raises(Unauthenticated):
        principal_of(verified(token, keys.trusted), service="mtss")


def test_a_service_may_not_give_a_staff_role(folder: Path, keys: Keys) -> None:
    token = signed(read_signing_key(folder / "notifications"), iss="notifications", aud="mtss", role="district")

    with pytest.raises(Unauthenticated):
        principal_of(verified(token, keys.trusted), service="mtss")


def test_a_service_may_not_speak_as_staff(folder: Path, keys: Keys) -> None:
    with pytest.raises(Unauthenticated):
        principal_of(verified(signed(read_signing_key(folder / "notifications")), keys.trusted), service="mtss")


def test_an_id_token_is_not_an_access_token(folder: Path, keys: Keys) -> None:
    token = signed(read_signing_key(folder / "staff"), {"typ": "JWT"})

    with pytest.raises(Unauthenticated):
        principal_of(verified(token, keys.trusted), service="mtss")


def test_alg_none_is_refused(folder: Path, keys: Keys) -> None:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    claims = {"iss": STAFF, "aud": AUDIENCE, "sub": "x", "role": "district", "exp": int(time.time()) + 60}
    for algorithm in ("none", "None", "HS256"):
        token = f"{part({'alg': algorithm, 'typ': 'at+jwt'})}.{part(claims)}."
        with pytest.raises(Unauthenticated):
            principal_of(verified(token, keys.trusted), service="mtss")


def test_a_public_key_used_as_a_shared_secret_is_refused(folder: Path, keys: Keys) -> None:
    public = json.dumps(read_signing_key(folder / "staff").as_dict(private=False))
    forged = signed(OctKey.import_key(public), {"alg": "HS256", "kid": "x"})

    with pytest.raises(Unauthenticated):
        principal_of(verified(forged, keys.trusted), service="mtss")


def test_a_key_inside_the_token_is_not_believed(keys: Keys) -> None:
    mine = OKPKey.generate_key("Ed25519", private=True)
    forged = signed(mine, {"jwk": mine.as_dict(private=False), "kid": "x"})

    with pytest.raises(Unauthenticated):
        principal_of(verified(forged, keys.trusted), service="mtss")


def test_an_rsa_key_of_a_district_works_too(folder: Path, tmp_path: Path) -> None:
    write_keys(tmp_path, ["mtss"])
    rsa = RSAKey.generate_key(2048, {"use": "sig", "kid": "rsa"}, private=True)
    (tmp_path / "staff" / "signing.jwk").write_text(json.dumps(rsa.as_dict(private=True)))
    (tmp_path / "mtss" / "trusted.json").unlink()
    write_keys(tmp_path, ["mtss"])

    token = staff_token(read_signing_key(tmp_path / "staff"), role="district")

    assert principal_of(verified(token, read_keys(tmp_path / "mtss").trusted), service="mtss").role == "district"


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=200))
def test_any_text_is_a_refusal_and_never_an_error(text: str) -> None:
    with pytest.raises(Unauthenticated):
        principal_of(verified(text, Trusted({})), service="mtss")


@pytest.mark.parametrize(
    "other", [b"[" * 90_000, b'{"a":' * 50_000, b"[]", b"null"], ids=["lists", "objects", "list", "null"]
)
@pytest.mark.parametrize("part", [0, 1], ids=["header", "claims"])
def test_a_token_of_anything_but_small_objects_is_a_refusal_and_no_error(keys: Keys, other: bytes, part: int) -> None:
    parts = [b'{"alg": "Ed25519", "kid": "x"}', b"{}", b"x"]
    parts[part] = other
    token = b".".join(base64.urlsafe_b64encode(each).rstrip(b"=") for each in parts).decode()

    with pytest.raises(Unauthenticated):
        principal_of(verified(token, keys.trusted), service="mtss")


def test_keys_are_private_and_never_overwritten(tmp_path: Path) -> None:
    first = write_keys(tmp_path / "keys", ["mtss"])
    before = {path: path.read_bytes() for path in first}

    assert write_keys(tmp_path / "keys", ["mtss"]) == []
    assert {path: path.read_bytes() for path in first} == before
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").rglob("*") if path.is_file()} == {0o600}


def test_an_issuer_that_a_district_added_stays_trusted(tmp_path: Path) -> None:
    write_keys(tmp_path, ["mtss"])
    path = tmp_path / "mtss" / "trusted.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"https://login.example.org": {"keys": []}}))

    write_keys(tmp_path, ["mtss", "sis"])

    assert {"https://login.example.org", "mtss", "sis", STAFF} == set(json.loads(path.read_text()))


def test_missing_keys_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(KeysMissing, match="trellis keys"):
        read_keys(tmp_path)
