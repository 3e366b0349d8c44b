"""Tests of `stock_assets.homes` beyond the contracts that all homes keep."""
