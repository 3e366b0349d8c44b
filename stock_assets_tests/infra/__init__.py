"""Tests of what lies under `infra/`."""
