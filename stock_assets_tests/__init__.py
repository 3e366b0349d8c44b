"""Tests; the folders mirror the package. `contracts` runs one suite on every home, `support` holds the shared edges."""
