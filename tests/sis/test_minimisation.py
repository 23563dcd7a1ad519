"""No member is kept that nothing uses: the page that says why each is kept is compared with the table and with the code."""

from pathlib import Path
from typing import NamedTuple

from sis.resources import DESCRIPTORS, RESOURCES, Resource
from sis.resources.kinds import leaves

_ROOT = Path(__file__).parents[2]
_PAGE = _ROOT / "docs" / "data-minimisation.md"
_COLUMNS = 5
_TEACHERS = "teachers of a student"
_AHEAD = {
    ("staffSectionAssociations", "classroomPositionDescriptor"): _TEACHERS,
}
"""Members that nothing reads yet, and what was decided to be built on each. A member is added here by hand, or not kept."""


class Line(NamedTuple):
    """One line of the page."""

    resource: str
    member: str
    why: str
    read_by: str
    sealed: str


def _page() -> list[Line]:
    rows = (
        line.strip("|\n").split("|")
        for line in _PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
    )
    return [Line(*(cell.strip().strip("`") for cell in row)) for row in rows if len(row) == _COLUMNS]


def _referred(resource: Resource) -> list[str]:
    return [f"{one.at}.{member}" for one in resource.references for member in one.members]


def test_the_page_names_exactly_the_members_that_are_kept():
    told = [(line.resource, line.member) for line in _page()]
    kept = [
        (name, path)
        for name, resource in RESOURCES.items()
        if name not in DESCRIPTORS
        for path, _ in leaves(resource.shape)
    ]
    assert sorted(told) == sorted(kept)
    assert all(line.why for line in _page())


def test_the_page_says_truly_what_is_sealed():
    for line in _page():
        head = line.member.partition(".")[0].removesuffix("[]")
        assert line.sealed == ("yes" if head in RESOURCES[line.resource].sealed else ""), line


def test_whatever_the_page_says_reads_a_member_does():
    for line in _page():
        resource = RESOURCES[line.resource]
        head, _, leaf = line.member.rpartition(".")
        if line.read_by == "natural key":
            assert line.member in resource.identity, line
        elif line.read_by == "day":
            assert line.member == resource.on, line
        elif line.read_by == "answered reference":
            assert head.endswith("Reference"), line
            assert any(one.startswith(f"{head}.") for one in (*resource.identity, *_referred(resource))), line
        elif line.read_by == "reference":
            assert any(head == one.at and leaf in one.members for one in resource.references), line
        elif not line.read_by.startswith("next: "):
            text = (_ROOT / "services" / "sis" / line.read_by).read_text(encoding="utf-8")
            assert any(f"{quote}{leaf}{quote}" in text for quote in "'\""), line


def test_what_is_kept_ahead_of_its_use_is_what_was_decided_and_nothing_besides():
    ahead = {(line.resource, line.member): line.read_by for line in _page() if line.read_by.startswith("next")}
    assert ahead == {kept: f"next: {use}" for kept, use in _AHEAD.items()}


def test_the_page_lists_the_descriptors_that_are_taken():
    listed = _PAGE.read_text(encoding="utf-8").rpartition("no others:")[2]
    assert listed.strip().rstrip(".").replace("`", "").replace("\n", " ").split(", ") == list(DESCRIPTORS)
