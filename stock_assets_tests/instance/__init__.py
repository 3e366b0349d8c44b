"""Mirrors `stock_assets.instance`."""
