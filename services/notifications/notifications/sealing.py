"""Letters are sealed: a PDF holds a name and an address."""

import base64
from uuid import UUID

from common.sealed import Vault


def seal_pdf(vault: Vault, letter_id: UUID, pdf: bytes) -> bytes:
    """The PDF of one letter, sealed for its row."""
    return vault.seal(base64.b85encode(pdf).decode(), table="notifications_letter", column="pdf", row=letter_id)


def open_pdf(vault: Vault, letter_id: UUID, sealed: bytes) -> bytes:
    """The PDF that was sealed for this row."""
    return base64.b85decode(vault.open(sealed, table="notifications_letter", column="pdf", row=letter_id))
