"""A mark says that a course was passed, that it was not, or neither."""

from dataclasses import replace

import pytest

from sis.policy import MARKS

BY_NUMBER = replace(MARKS, passing_from=60)


@pytest.mark.parametrize(
    ("kind", "letter", "fails"),
    [
        ("uri://ed-fi.org/GradeTypeDescriptor#Grading Period", "F", True),
        ("GradeTypeDescriptor#FINAL", " f ", True),
        ("Semester", "D-", False),
        ("Semester", "a+", False),
        ("Semester", "Incomplete", None),
        ("Semester", None, None),
        ("Conduct", "F", None),
    ],
)
def test_letters_are_read_as_the_district_says_in_any_case(kind: str, letter: str | None, fails: bool | None) -> None:
    assert MARKS.fails(kind, letter, 12.0) is fails


def test_numbers_alone_say_nothing_until_the_district_says_from_where_on_one_passes() -> None:
    assert MARKS.fails("Final", None, 3.5) is None
    assert [BY_NUMBER.fails("Final", None, number) for number in (59.99, 60, 0, None)] == [True, False, True, None]
    assert BY_NUMBER.fails("Final", "Incomplete", 20) is None


def test_a_final_is_broader_than_a_semester_and_that_than_a_grading_period_in_any_case() -> None:
    kinds = ("Grading Period", "GradeTypeDescriptor#SEMESTER", "uri://ed-fi.org/GradeTypeDescriptor#Final")
    assert [MARKS.breadth(kind) for kind in kinds] == sorted({MARKS.breadth(kind) for kind in kinds})
