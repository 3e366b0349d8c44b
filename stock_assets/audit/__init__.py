"""Judges a staged load: one SQL file per audit, each returning the bad rows."""
