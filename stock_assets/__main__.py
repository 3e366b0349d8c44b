"""`python -m stock_assets` is the command line."""

from stock_assets.cli.app import program

program()
