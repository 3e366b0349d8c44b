"""Tests of `stock_assets.audit`."""
