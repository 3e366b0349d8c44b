"""Tests of the Athena backend, on the Athena emulator."""
