"""Tests of `stock_assets.stage`."""
