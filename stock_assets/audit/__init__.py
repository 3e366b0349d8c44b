"""Audit a staged load: one SQL file per audit, each of which returns the bad rows."""
