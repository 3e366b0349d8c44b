"""Timings, printed as ratios within one run: machines differ, their ratios less so. Not part of the tests."""
