"""A pin with a known vulnerability fails ``make check``."""

from pathlib import Path

import pytest

from tests.advisories import advisories, main, vulnerable

LOCK = """\
Jinja2==2.10 \\
    --hash=sha256:0
starlette==0.48.0 ; sys_platform == 'linux' \\
    --hash=sha256:0
"""


def test_a_pin_that_is_known_to_be_vulnerable_is_named_with_its_advisories() -> None:
    found = vulnerable(LOCK, advisories())

    assert any(line.startswith("Jinja2==2.10: GHSA-462w-v97r-4m45 (<2.10.1), ") for line in found)
    assert any(line.startswith("starlette==0.48.0: GHSA-7f5h-v6xp-fcq8 (>=0.39.0,<0.49.1), ") for line in found)
    assert vulnerable("jinja2==3.1.6\n", advisories()) == []


def test_a_lock_with_such_a_pin_fails_the_check_and_one_without_does_not(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.lock", tmp_path / "bad.lock"
    good.write_text("made-up==1.0\n")
    bad.write_text(LOCK)

    with pytest.raises(SystemExit, match="GHSA-462w-v97r-4m45"):
        main([str(good), str(bad)])
    with pytest.raises(SystemExit) as ended:
        main([str(good)])
    assert ended.value.code is None


def test_what_is_compared_with_is_all_advisories_and_not_a_handful() -> None:
    # GitHub had reviewed 5,470 for PyPI in July 2026; none is ever taken away.
    assert len({each["id"] for known in advisories().values() for each in known}) >= 5_470
