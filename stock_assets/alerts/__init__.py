"""Tells people: what an incident is, where messages go, and that each goes there once."""
