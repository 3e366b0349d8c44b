"""The definitions that Dagster loads, built from the settings of the environment."""

from stock_assets.orchestration.build import definitions_of_environment

defs = definitions_of_environment()
