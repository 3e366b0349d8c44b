"""Runs of the real definitions in this process, on a scripted source and a home of the test."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg

from stock_assets.build import build_definitions
from stock_assets.errors import StockAssetsError
from stock_assets.settings import Settings
from stock_assets.tables import PUBLISHED_TABLES, STAGED_PRICES
from stock_assets_tests.support.scenes import Scene

STAGED = dg.AssetSelection.assets(STAGED_PRICES.asset_key)
PUBLISHED = dg.AssetSelection.assets(*(table.asset_key for table in PUBLISHED_TABLES))
CHECKS = dg.AssetSelection.checks_for_assets(STAGED_PRICES.asset_key)


@dataclass(frozen=True)
class Pipeline:
    """The definitions, wired to a scene, and an instance that forgets."""

    definitions: dg.Definitions
    instance: dg.DagsterInstance

    def run(self, selection: dg.AssetSelection, sessions: Sequence[date] = ()) -> dg.ExecuteInProcessResult:
        """Run a selection for a range of sessions, or without partitions, as the UI would."""
        job = dg.define_asset_job("selected", selection=selection)
        tags = {}
        if sessions:
            tags["dagster/asset_partition_range_start"] = sessions[0].isoformat()
            tags["dagster/asset_partition_range_end"] = sessions[-1].isoformat()
        return (
            dg.Definitions.merge(self.definitions, dg.Definitions(jobs=[job]))
            .resolve_job_def("selected")
            .execute_in_process(
                instance=self.instance,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                tags=tags,
                raise_on_error=False,
            )
        )


def pipeline(scene: Scene, folder: Path) -> Pipeline:
    """Wire the definitions to a scene; its universe is written to a file, as a user would."""
    universe = folder / "universe.csv"
    lines = ("symbol,name,first_session,last_session", *(f"{symbol},,," for symbol in scene.universe.symbols))
    universe.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    settings = Settings(data_dir=folder / "data", universe=universe)
    # Dagster makes a configurable resource anew for every run; this one must keep what the test has written into it.
    source = dg.ResourceDefinition.hardcoded_resource(scene.source)
    definitions = build_definitions(settings, resource_overrides={"home": scene.home, "source": source})
    return Pipeline(definitions, dg.DagsterInstance.ephemeral())


def succeeded(result: dg.ExecuteInProcessResult) -> list[str]:
    """Names of the steps that ended well."""
    return [str(event.step_key) for event in result.all_events if event.is_step_success]


def failure(result: dg.ExecuteInProcessResult) -> tuple[str, str]:
    """Step and root cause, with its class, of the one step that failed by an error of this package."""
    [event] = [event for event in result.all_events if event.is_step_failure]
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    assert error is not None
    assert error.cls_name in {kind.__name__ for kind in StockAssetsError.__subclasses__()}
    return str(event.step_key), error.message


def checks(
    result: dg.ExecuteInProcessResult, asset: dg.AssetKey = STAGED_PRICES.asset_key
) -> dict[str, dg.AssetCheckEvaluation]:
    """Results of a run's checks on an asset, by name."""
    return {
        evaluation.check_name: evaluation
        for evaluation in result.get_asset_check_evaluations()
        if evaluation.asset_key == asset
    }
