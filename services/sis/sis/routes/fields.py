"""Who pushes and reads the SIS's records, and the classes of fields that are answered."""

from typing import Annotated

from common.access import require
from common.auth import Principal

RECORDS = ("directory", "education_record", "discipline")
"""What documents answer: their sealed members never leave."""

Pusher = Annotated[Principal, require("sis", reads=["directory"], purpose="records")]
Reader = Annotated[Principal, require("sis", "district", second_factor=True, reads=RECORDS, purpose="records")]
RowReader = Annotated[
    Principal, require("sis", "district", second_factor=True, reads=(*RECORDS, "contact_address"), purpose="records")
]
"""Who reads rows as they came, whole."""
