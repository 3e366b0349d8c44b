"""Tests of `stock_assets.legacy_import`."""
