"""What a service that runs for real refuses to start with, each in one sentence."""

from pathlib import Path

import pytest
from fastapi import FastAPI

from common.embedded import Cluster
from common.keys import Keys, read_keys, write_keys
from common.production import refuse_unbound, refuse_unsafe
from common.settings import NotConfigured, Settings
from tests.harness import run_service

PUBLIC = "https://trellis.example.org"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    write_keys(tmp_path / "keys", ["sis", "mtss"])
    return read_keys(tmp_path / "keys" / "sis")


def settings(public_url: str = PUBLIC) -> Settings:
    return Settings(public_url=public_url)


@pytest.mark.parametrize("address", [PUBLIC, "http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost:8080"])
def test_what_is_fit_for_real_data_starts(keys: Keys, address: str) -> None:
    refuse_unsafe(FastAPI(), settings(address), keys)


@pytest.mark.parametrize("service", ["sis", "mtss"])
def test_keys_that_a_trial_made_are_refused(tmp_path: Path, service: str) -> None:
    write_keys(tmp_path, ["sis", "mtss"], trial=True)

    with pytest.raises(NotConfigured, match="made for a trial"):
        refuse_unsafe(FastAPI(), settings(), read_keys(tmp_path / service))


def test_one_trusted_key_of_a_trial_is_enough_to_refuse(tmp_path: Path) -> None:
    write_keys(tmp_path / "trial", ["mtss"], trial=True)
    write_keys(tmp_path / "real", ["mtss"])
    (tmp_path / "trial/mtss/trusted.json").rename(tmp_path / "real/mtss/trusted.json")

    with pytest.raises(NotConfigured, match="made for a trial"):
        refuse_unsafe(FastAPI(), settings(), read_keys(tmp_path / "real/mtss"))


@pytest.mark.parametrize(
    "address", ["http://trellis.example.org", "http://10.0.0.1:8080", "http://localhost.example.org"]
)
def test_a_public_address_at_which_tokens_travel_readably_is_refused(keys: Keys, address: str) -> None:
    with pytest.raises(NotConfigured, match="must begin with https://"):
        refuse_unsafe(FastAPI(), settings(address), keys)


def test_debugging_is_refused(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotConfigured, match="Debugging is on"):
        refuse_unsafe(FastAPI(debug=True), settings(), keys)
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    with pytest.raises(NotConfigured, match="Debugging is on"):
        refuse_unsafe(FastAPI(), settings(), keys)


def test_no_setting_of_a_secret_or_an_address_that_holds_one_has_a_default() -> None:
    secret = ("password", "secret", "token", "key", "url", "security")
    given = {name: field.get_default(call_default_factory=True) for name, field in Settings.model_fields.items()}
    assert {name: value for name, value in given.items() if value and any(word in name for word in secret)} == {}


async def test_a_role_that_row_security_does_not_bind_is_refused_and_never_ready(cluster: Cluster) -> None:
    async with run_service("mtss", cluster) as running:
        for unbound in (cluster.superuser_url("mtss"), cluster.owner_url("mtss")):
            with pytest.raises(NotConfigured, match="must name the application role"):
                await refuse_unbound(unbound)
        await refuse_unbound(cluster.application_url("mtss"))
        await refuse_unbound("postgresql://nobody@127.0.0.1:9/nowhere")  # it may not be up yet

        assert await running.runtime.ready()
        bound, running.runtime.engine = running.runtime.engine, running.admin
        assert not await running.runtime.ready()
        running.runtime.engine = bound
