"""The one door for student information systems: what the SIS told us, and the facts that follow from it."""
