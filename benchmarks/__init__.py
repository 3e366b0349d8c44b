"""Measurements of time and size. Most are printed as ratios within one run: they differ less between machines than times.

Benchmarks are not part of the tests.
"""
