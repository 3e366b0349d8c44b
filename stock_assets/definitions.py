"""The definitions that Dagster loads, built from the settings of the environment."""

from stock_assets.core.interpreter import collect_garbage_rarely
from stock_assets.orchestration.build import build_all_definitions

collect_garbage_rarely()
defs = build_all_definitions()
