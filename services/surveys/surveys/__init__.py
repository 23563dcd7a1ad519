"""Asks students how they belong, with the consent that the law requires, and says the scores but never the answers."""
