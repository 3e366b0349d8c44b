"""Tests of `stock_assets.deployment`."""
