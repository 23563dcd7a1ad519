"""What every answer tells a browser: nothing of it may be run, framed, guessed at, kept or passed on."""

from collections.abc import Iterable

Headers = list[tuple[bytes, bytes]]

# Source: OWASP REST Security Cheat Sheet, security headers. A page of ours says in its own policy what it needs.
_EVERYWHERE: Headers = [
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]
# Source: OWASP HTTP Strict Transport Security Cheat Sheet: a year, with all names below.
_BY_HTTPS: Headers = [(b"strict-transport-security", b"max-age=31536000; includeSubDomains")]


def guarding(public_url: str) -> Headers:
    """The headers that an answer has unless it says otherwise, at this public address."""
    return _EVERYWHERE + (_BY_HTTPS if public_url.startswith("https://") else [])


def guarded(said: Iterable[tuple[bytes, bytes]], usual: Headers) -> Headers:
    """What an answer said, and of the usual headers those that it does not say itself."""
    headers = list(said)
    names = {name for name, _ in headers}
    headers += [header for header in usual if header[0] not in names]
    return headers
