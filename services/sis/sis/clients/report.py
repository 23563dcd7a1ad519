"""What ``trellis clients`` prints: plain text, the same in a terminal and in a file."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sis.clients.register import ClientKnown, SecretKnown
from sis.policy import CLIENTS
from sis.rules.words import moment

_ONCE = "The secret is shown this once: Trellis keeps only what is needed to check it.\n"


def made(said: Mapping[str, Any]) -> str:
    """What is to be entered into the SIS."""
    return (
        f"{said['name']} may push into Trellis. Enter into the SIS:\n\n"
        f"  base address  {said['base_address']}\n"
        f"  key           {said['id']}\n"
        f"  secret        {said['secret']}\n\n"
        f"{_bound(said['resources'], said['schools'])}\n"
        f"{_ONCE}"
        f"Where the SIS asks for each address: tokens at {said['base_address']}/oauth/token, "
        f"data at {said['base_address']}/data/v3.\n"
    )


def rotated(said: Mapping[str, Any]) -> str:
    """The new secret, and how long the one before is good."""
    return (
        f"{said['name']} has a new secret. Enter into the SIS:\n\n"
        f"  key           {said['id']}\n"
        f"  secret        {said['secret']}\n\n"
        f"{_ONCE}{_earlier(said['earlier_until'], now=said['now'])}"
    )


def listed(clients: Sequence[ClientKnown]) -> str:
    """Each client with what is known of it."""
    if not clients:
        return "There is no client yet: `trellis clients create NAME` makes one.\n"
    at = datetime.now().astimezone()
    return "\n".join("".join(f"{line}\n" for line in _of_client(one, at)) for one in clients)


def will_revoke(one: ClientKnown) -> str:
    """The question before a client is ended."""
    return (
        f"{one.name} ({one.id}) will be refused at once, with its secrets and its tokens, and cannot come back. "
        "What it pushed stays. Revoke it?"
    )


def revoked(one: ClientKnown) -> str:
    """What was done."""
    at = moment(one.revoked_at, datetime.now().astimezone())
    return f"{one.name} ({one.id}) was revoked on {at} by {one.revoked_by or 'somebody'}: every request of it is refused. What it pushed stays.\n"


def _of_client(one: ClientKnown, at: datetime) -> Iterator[str]:
    yield one.name
    yield f"  key           {one.id}"
    yield f"  role          {one.role}"
    yield f"  {_bound(one.resources, one.schools)}"
    yield f"  made          {moment(one.created_at, at)} by {one.created_by}"
    yield f"  last token    {moment(one.last_token_at, at)}"
    for secret in one.secrets:
        yield f"  secret        {_secret(secret, at)}"
    if one.revoked_at:
        yield f"  revoked       {moment(one.revoked_at, at)} by {one.revoked_by or 'somebody'}"


def _secret(secret: SecretKnown, at: datetime) -> str:
    end = f", {'good until' if secret.good else 'ended'} {moment(secret.until, at)}" if secret.until else ""
    used = f", last token {moment(secret.last_token_at, at)}" if secret.last_token_at else ""
    return f"made {moment(secret.made_at, at)} by {secret.made_by}{used}{end}"


def _bound(resources: Sequence[str] | None, schools: Sequence[str] | None) -> str:
    named = ", ".join(resources or ()) or "every resource"
    return f"bound to      {named}; {'schools ' + ', '.join(schools) if schools else 'every school'}"


def _earlier(until: datetime | None, *, now: bool) -> str:
    if now:
        minutes = CLIENTS.token_seconds // 60
        return f"What was good before is over. Tokens it gave hold for {minutes} minutes at most; `trellis clients revoke` ends those too.\n"
    if until is None:
        return "No other secret is good.\n"
    return f"The one before is good until {moment(until, datetime.now().astimezone())}; `--now` ends it at once.\n"
