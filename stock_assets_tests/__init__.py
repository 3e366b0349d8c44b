"""Tests; the folders mirror the package. `contracts` runs one suite on every backend.

`support` contains shared helpers. `fakes` replaces the vendor, the clock and alert channels; `emulators` replaces AWS.
No test module imports another test module.
"""
