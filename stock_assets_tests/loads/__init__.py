"""Tests of `stock_assets.loads`."""
