"""Trying a policy on a district's own past: every student, day by day, without touching a tier."""
