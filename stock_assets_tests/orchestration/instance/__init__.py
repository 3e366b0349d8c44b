"""Tests of `stock_assets.orchestration.instance`."""
