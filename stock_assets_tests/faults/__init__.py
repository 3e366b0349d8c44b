"""Faults of machines and people: power failures, full disks, signals, changed clocks, hostile files.

Belongs here: tests with the marker `faults` and their table of results. Does not belong here: kills of single steps
(`publish`, `daemon`).
"""
