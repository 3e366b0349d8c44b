"""Tests of `stock_assets.sources`."""
