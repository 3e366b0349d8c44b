"""Mirrors `stock_assets.orchestration.instance`."""
