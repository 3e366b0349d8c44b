"""Tests of `stock_assets.orchestration.jobs` and `schedules`."""
