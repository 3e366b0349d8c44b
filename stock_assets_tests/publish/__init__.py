"""Tests of `stock_assets.publish`."""
