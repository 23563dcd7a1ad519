"""The OAuth clients with which student information systems push: their secrets, whether they may come in, and what to see."""
