"""Tests of `stock_assets.coverage`."""
