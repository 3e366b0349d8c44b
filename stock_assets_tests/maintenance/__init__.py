"""Tests of `stock_assets.maintenance`."""
