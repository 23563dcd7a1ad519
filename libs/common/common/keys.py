"""The keys of a deployment: one signing key pair for staff tokens, one per service, and one sealing key per service.

Layout of a folder made by :func:`write_keys`::

    staff/signing.jwk          signs staff tokens; no service gets it
    <service>/signing.jwk      signs this service's tokens, for its sister services alone
    <service>/sealing.json     {key id: base64 of 32 bytes}; the first seals
    <service>/trusted.json     {issuer: public key set}
    sis/door.jwk               signs and checks the tokens of OAuth clients; nobody but sis knows of it
"""

import base64
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joserfc.jwk import KeySet, OKPKey, RSAKey, import_key

STAFF = "trellis-staff"
"""The issuer of staff tokens."""
DOOR = "trellis-sis-door"
"""The issuer of the tokens that OAuth clients get at the door for student information systems."""
DOOR_SERVICE = "sis"
"""The service that holds the door's key, and the only one that trusts it."""

SigningKey = OKPKey | RSAKey
_SIGNING, _DOOR = "signing.jwk", "door.jwk"
_TRIAL = "trial-"


class KeysMissing(Exception):
    """A key is not where it should be. The message is one sentence for the operator."""


@dataclass(frozen=True, slots=True, eq=False)
class Trusted:
    """Everybody's public keys by issuer, as they were read at one time: what they have verified may be remembered."""

    of: Mapping[str, KeySet]


@dataclass(frozen=True, slots=True)
class Keys:
    """What one service holds: its own private keys and everybody's public ones."""

    signing: SigningKey
    sealing: dict[str, bytes]
    trusted: Trusted
    door: SigningKey | None = None
    """The key of the door, where it is held: its issuer is then among the trusted."""

    @property
    def of_a_trial(self) -> bool:
        """Whether any of them, or of those trusted, was made for a trial."""
        trusted = [key.kid for keys in self.trusted.of.values() for key in keys.keys]
        return any((name or "").startswith(_TRIAL) for name in (self.signing.kid, *self.sealing, *trusted))


def write_keys(folder: Path, services: Iterable[str], *, trial: bool = False) -> list[Path]:
    """Write every key that is not there yet; returns the files written. Nothing is ever overwritten.

    Keys of a ``trial`` say so in their ids, and no service that runs for real starts with them.
    """
    services = sorted(services)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    signing = [folder / name / _SIGNING for name in ("staff", *services)]
    signing += [folder / name / _DOOR for name in services if name == DOOR_SERVICE]
    written = [path for each in signing if (path := _signing_key(each, _TRIAL if trial else ""))]
    written += [path for name in services if (path := _sealing_key(folder / name, _TRIAL if trial else ""))]
    public = {STAFF: _public(folder / "staff")} | {name: _public(folder / name) for name in services}
    for name in services:
        _trust(folder / name / "trusted.json", public)
    return written


def read_keys(folder: Path) -> Keys:
    """The keys in one service's folder.

    Raises:
        KeysMissing: a file is missing or does not read.
    """
    try:
        sealing = json.loads((folder / "sealing.json").read_text())
        trusted = json.loads((folder / "trusted.json").read_text())
        door = _read_private(folder / _DOOR) if (folder / _DOOR).exists() else None
        if door:
            trusted[DOOR] = {"keys": [door.as_dict(private=False)]}
        return Keys(
            signing=read_signing_key(folder),
            sealing={name: base64.b64decode(key) for name, key in sealing.items()},
            trusted=Trusted({issuer: KeySet.import_key_set(keys) for issuer, keys in trusted.items()}),
            door=door,
        )
    except (OSError, ValueError) as error:
        raise KeysMissing(
            f"{folder} does not hold this service's keys ({type(error).__name__}): run `trellis keys DIR`."
        ) from None


def read_signing_key(folder: Path) -> SigningKey:
    """The private key in ``folder/signing.jwk``.

    Raises:
        KeysMissing: it is not there, or not for this user.
    """
    try:
        return _read_private(folder / _SIGNING)
    except PermissionError:
        raise KeysMissing(f"This user may not read the signing key in {folder}: run as its owner.") from None
    except (OSError, ValueError):
        raise KeysMissing(f"There is no signing key in {folder}: run `trellis up` or `trellis keys` first.") from None


def _read_private(path: Path) -> SigningKey:
    key = import_key(json.loads(path.read_text()))
    if not isinstance(key, OKPKey | RSAKey):
        raise KeysMissing(f"The signing key {path} is neither Ed25519 nor RSA.")
    return key


def _trust(path: Path, public: Mapping[str, Any]) -> None:
    """Trust these issuers beside those that the file trusts already, whose keys stay as they are."""
    before = json.loads(path.read_text()) if path.exists() else {}
    if set(public) - set(before):
        _write(path, json.dumps({**public, **before}, indent=1), replace=True)


def _signing_key(path: Path, mark: str) -> Path | None:
    if path.exists():
        return None
    key = OKPKey.generate_key("Ed25519", {"use": "sig"}, private=True)
    named = key.as_dict(private=True) | {"kid": mark + key.thumbprint()}
    return _write(path, json.dumps(named))


def _sealing_key(folder: Path, mark: str) -> Path | None:
    path = folder / "sealing.json"
    if path.exists():
        return None
    return _write(path, json.dumps({mark + os.urandom(4).hex(): base64.b64encode(os.urandom(32)).decode()}))


def _public(folder: Path) -> dict[str, Any]:
    return {"keys": [read_signing_key(folder).as_dict(private=False)]}


def _write(path: Path, text: str, *, replace: bool = False) -> Path:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    part = path.with_suffix(".part") if replace else path
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if replace else os.O_EXCL), 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if not isinstance(error, FileExistsError):
            part.unlink(missing_ok=True)  # half a key would be kept for ever, as nothing is overwritten
        raise OSError(error.errno, error.strerror, str(path)) from None
    return part.replace(path)
