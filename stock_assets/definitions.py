"""The definitions that Dagster loads, built from the settings of the environment."""

from stock_assets.core.interpreter import collect_garbage_rarely
from stock_assets.orchestration.build import build_all_definitions
from stock_assets.settings import Settings

collect_garbage_rarely()
defs = build_all_definitions(Settings.all_from_env())
