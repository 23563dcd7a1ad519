"""What a request says must hold of a document before it is answered or changed."""

from common import preconditions
from common.errors import DomainError


class KeyChange(DomainError):
    """Identifying values cannot be changed: delete this document and push the other one."""

    status = 400


class NotAsExpected(DomainError):
    """The document has been changed since it was last read: it no longer has the etag that If-Match names."""

    status = 412


def etag_of(revision: int) -> str:
    """The revision as an entity tag."""
    return f'"{revision}"'


def names(header: str, revision: int) -> bool:
    """Whether the entity tags of ``If-Match`` or ``If-None-Match`` name this revision, with quotes or without."""
    return preconditions.names(header, etag_of(revision))


def check_expected(header: str | None, revision: int) -> None:
    """Nothing if there is no ``If-Match`` or it names this revision.

    Raises:
        NotAsExpected: it names others.
    """
    if header is not None and not names(header, revision):
        raise NotAsExpected
