"""The classes of fields that the routes about families give."""

TOLD = ("directory", "education_record", "discipline", "contact_address")
"""What a family is told, of a tier or of a conference, and how it is reached."""
