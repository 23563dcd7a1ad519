"""Errors that the domain raises and every service answers in one shape."""

import re
from functools import cache
from typing import ClassVar


class DomainError(Exception):
    """An unmet condition. The subclass's docstring is the message; ``{name}`` in it is filled from the facts.

    Facts are harmless values only: names of fields, states, limits. Never a person's data.
    """

    status: ClassVar[int] = 409
    retry_after: int | None = None
    """Seconds after which the same request may succeed."""

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(self.detail)

    @classmethod
    @cache
    def kind(cls) -> str:
        """The class name in kebab case: the problem type."""
        return re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()

    @property
    def detail(self) -> str:
        """The message with its facts filled in."""
        return " ".join((self.__doc__ or "").split()).format(**self.facts)


class NotFound(DomainError):
    """There is no such {what}."""

    status = 404


class Invalid(DomainError):
    """The field {field} {rule}."""

    status = 422


class Unauthenticated(DomainError):
    """A valid bearer token is needed: {reason}."""

    status = 401


class Forbidden(DomainError):
    """This token's role does not permit this."""

    status = 403


class PermissionMissing(Forbidden):
    """This token's role does not bring the permission {permission}; the token must carry it by name."""


class SecondFactorMissing(Unauthenticated):
    """This needs a second factor: sign in with one."""


class RoleMissing(Forbidden):
    """None of the groups that the identity provider names for this person has a role here."""


class StaffUnknown(Forbidden):
    """The identity provider vouches for this person, and no member of staff is found by it: {reason}."""


class FieldsForbidden(Forbidden):
    """This token's role does not read fields of this class for this purpose."""


class TooLarge(DomainError):
    """{what} is larger than {limit} bytes."""

    status = 413


class MalformedJson(DomainError):
    """The body is not acceptable JSON: {rule}."""

    status = 400


class BrokenEncoding(DomainError):
    """The body is not whole, or not what its Content-Encoding says."""

    status = 400


class UnknownEncoding(DomainError):
    """The body's Content-Encoding is none of gzip, deflate and identity."""

    status = 415


class SisterUnavailable(DomainError):
    """The service {service} does not answer at the moment."""

    status = 503


class ProviderUnavailable(DomainError):
    """The district's identity provider does not answer at the moment, or not as it should."""

    status = 503


class Unavailable(DomainError):
    """A part that this needs does not answer at the moment; try again shortly."""

    status = 503


class NotStorable(DomainError):
    """A value of the request cannot be stored: a character that text may not hold, or a number that is too large."""

    status = 422


class TooSlow(DomainError):
    """The body did not arrive within {seconds} seconds."""

    status = 408


class Overloaded(DomainError):
    """Too much work is waiting; try again shortly."""

    status = 503
    known = True
    """Whether no line of the log is due: the same was refused before, or work of ours is what waits."""
