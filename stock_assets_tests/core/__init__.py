"""Tests of `stock_assets.core`."""
