"""What people write: free text as routes take it."""

from typing import Annotated

from pydantic import StringConstraints

_NO_CONTROL_BUT_LINES = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"

Words = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000, pattern=_NO_CONTROL_BUT_LINES)
]
"""Some words of a person, in lines; not none."""
