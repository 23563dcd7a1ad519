"""Names as the documents of an Ed-Fi API spell them."""

import re

from sis.resources.core import CORE

_WORD = re.compile(r"(?<!^)(?=[A-Z])")


def singular(name: str) -> str:
    """One of ``name``: ``disabilities`` are of ``disability``, ``addresses`` of ``address``, ``staffs`` of ``staff``."""
    if name.endswith("ies"):
        return name[:-3] + "y"
    return name[:-2] if name.endswith("sses") else name[:-1]


_SINGULAR = frozenset(singular(name) for name in CORE)


def words(name: str) -> str:
    """``name`` as people write it: ``studentSchoolAssociations`` are student school associations."""
    return _WORD.sub(" ", name).lower()


def capital(name: str) -> str:
    """``name`` with a capital, as it stands behind another one."""
    return name[:1].upper() + name[1:]


def definition(resource: str) -> str:
    """The name of the schema of one document of ``resource``."""
    return f"edFi_{singular(resource)}"


def reference(member: str) -> str:
    """The name of the schema of a reference; its member may be named after its role before what it refers to.

    ``responsibilitySchoolReference`` is an ``edFi_schoolReference``.
    """
    parts = _WORD.split(member.removesuffix("Reference"))
    ends = ("".join(parts[start:]) for start in range(len(parts)))
    known = (end[:1].lower() + end[1:] for end in ends)
    return f"edFi_{next((name for name in known if name in _SINGULAR), ''.join(parts))}Reference"
