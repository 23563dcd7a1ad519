"""Counts how often each event changes something here: a service whose every effect would show if it came twice."""
