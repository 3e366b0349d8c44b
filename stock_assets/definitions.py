"""The definitions that Dagster loads, built from the settings of the environment."""

from stock_assets.orchestration.build import build_definitions
from stock_assets.settings import Settings

defs = build_definitions(Settings.from_env())
