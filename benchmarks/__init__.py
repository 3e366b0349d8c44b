"""Measurements of time and size, mostly as ratios within one run, which differ less between machines than times.

Benchmarks are not part of the tests.
"""
