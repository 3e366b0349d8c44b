"""Homes, by what is theirs alone; what all share is under `contracts`."""
