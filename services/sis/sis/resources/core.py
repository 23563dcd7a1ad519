"""The names of Ed-Fi's core resources, and the descriptors among them that some member holds."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from sis.languages import LANGUAGES
from sis.policy import CODES
from sis.resources.dropped import DROPPED
from sis.resources.kinds import Resource, leaves
from sis.resources.parts import needed
from sis.rules.values import text

_FILE = Path(__file__).with_name("core.txt")
CORE = frozenset(line for line in _FILE.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#"))
"""Every resource of the core. Source: Ed-Fi Data Standard 5.2."""

_KINDS = {name.removesuffix("s").lower(): name for name in CORE if name.endswith("Descriptors")}


def descriptors_of(resources: Iterable[Resource]) -> Iterator[Resource]:
    """The descriptor resources that list what members of ``resources`` may say, by name; of those dropped too.

    Exporters push their descriptors before anything that uses them, and stop at the first that is refused.
    """
    kept = [path for resource in resources for path, _ in leaves(resource.shape)]
    dropped = [path for paths in DROPPED.values() for path in paths]
    named = {kind_of(path.rpartition(".")[2]) for path in kept + dropped}
    for name in sorted(filter(None, named)):
        yield Resource(
            name=name,
            shape={"namespace": needed(text(255)), "codeValue": needed(text(50)), "shortDescription": needed(text(75))},
            identity=("namespace", "codeValue"),
            always=tuple(f"{_namespace(name)}#{code}" for code in _codes(name)),
        )


def _codes(name: str) -> Collection[str]:
    return LANGUAGES.three_letters if name == "languageDescriptors" else CODES.get(name, ())


def _namespace(name: str) -> str:
    """The standard's own namespace of a descriptor resource: ``sexDescriptors`` are of ``uri://ed-fi.org/SexDescriptor``."""
    return f"uri://ed-fi.org/{name[:1].upper()}{name[1:-1]}"


def kind_of(member: str) -> str | None:
    """The resource that lists what a descriptor member may say; a member may be named after its role before it.

    ``entryGradeLevelDescriptor`` holds one of the ``gradeLevelDescriptors``.
    """
    word = member.lower()
    known = (_KINDS[word[start:]] for start in range(len(word)) if word[start:] in _KINDS)
    return next(known, None)
