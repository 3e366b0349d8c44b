"""Tests of single backends.

Belongs here: behaviour of one backend, or of one emulator. Does not belong here: behaviour of all
backends (`contracts`).
"""
