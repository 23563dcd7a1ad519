"""Decides which tier of support each student has, since when, and says why."""
