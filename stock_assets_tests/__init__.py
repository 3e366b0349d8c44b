"""Tests; the folders mirror the package. `contracts` runs one suite on every backend.

`support` contains shared helpers, `fakes` stands for the edges (vendor, clock, channels), `emulators` for AWS.
"""
