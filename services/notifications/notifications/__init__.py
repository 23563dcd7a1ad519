"""Reaches families in their own language, each household at most once about one thing."""
