"""Where a check is switched off, the reason stands beside it, in words."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_OFF = re.compile(r"# *(?:type: *ignore(?:\[[^]]*\])?|noqa\b(?:: *[A-Z0-9, ]*[0-9])?)(.*)")
_TWO_WORDS = re.compile(r"[A-Za-z]{2,}\W+(?:\w+\W+)*[A-Za-z]{2,}")


def unexplained(line: str) -> bool:
    """Whether a check is switched off on ``line`` without two words that say why."""
    off = _OFF.search(line)
    return off is not None and not _TWO_WORDS.search(off[1])


@pytest.mark.parametrize(
    "off", ["type: ignore", "type: ignore[arg-type, misc]", "noqa", "noqa: S608", "noqa: S608, N815"]
)
def test_a_reason_is_words_after_the_code(off: str):
    # Put together here, or these lines would be among those that are looked at.
    assert unexplained(f"x = 1  # {off}")
    assert unexplained(f"x = 1  # {off} (why)")
    assert not unexplained(f"x = 1  # {off} (a field of Ed-Fi's)")
    assert not unexplained(f"x = 1  # {off}  # as the library does")
    assert not unexplained("x = 1  # why not")


def test_no_check_is_switched_off_without_a_reason_in_words():
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in ("bench", "libs", "services", "tests")
        for path in (ROOT / folder).rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if unexplained(line)
    ]
    assert found == []
