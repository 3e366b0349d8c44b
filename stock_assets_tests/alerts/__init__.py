"""Tests of `stock_assets.alerts`."""
