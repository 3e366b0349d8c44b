"""Tests of `stock_assets.orchestration.checks`."""
