"""Restorative conferences in place of suspension, and the days of exclusion they avoid."""
