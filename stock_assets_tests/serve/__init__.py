"""Tests of `stock_assets.serve`."""
