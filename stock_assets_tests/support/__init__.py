"""Helpers that several test modules share.

Belongs here: constants, shared inputs, backends for tests, shorthand for running the pipeline. Does not belong here:
tests (`test_*.py`, `contracts/*_contract.py`), replacements of the vendor, the clock and alert channels (`fakes`).
"""
