"""Tests; the folders mirror the package. `contracts` runs one suite on every backend, `support` holds the shared edges."""
