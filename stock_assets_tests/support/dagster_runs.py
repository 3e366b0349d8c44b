"""Runs of the real definitions in this process, on a scripted source; and runs that are not executed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg

from stock_assets.core.errors import StockAssetsError
from stock_assets.core.tables import PUBLISHED_TABLES, STAGED_PRICES
from stock_assets.orchestration.build import build_definitions
from stock_assets.orchestration.instance.code_location import CODE_LOCATION
from stock_assets.orchestration.instance.dagster_internals import WILL_RETRY_TAG
from stock_assets.orchestration.jobs.daily_prices import JOB_NAME
from stock_assets.orchestration.keys import REPORT, asset_key
from stock_assets.settings import Settings
from stock_assets_tests.support.dagster_internals import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
    make_new_run_id,
)
from stock_assets_tests.support.scenes import Scene
from stock_assets_tests.support.steps import as_pipeline

STAGED_KEY = asset_key(STAGED_PRICES)
STAGED = dg.AssetSelection.assets(STAGED_KEY)
PUBLISHED = dg.AssetSelection.assets(*(asset_key(table) for table in PUBLISHED_TABLES))
WHOLE_PATH = dg.AssetSelection.all() - dg.AssetSelection.assets(REPORT)
"""What the daily job runs; the report takes as long as all these steps and has its own tests."""
CHECKS = dg.AssetSelection.checks_for_assets(asset_key(STAGED_PRICES))
ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(CODE_LOCATION), "__repository__"), JOB_NAME
)
"""Origin of a run of the daemon or the UI; a run of the command line has none."""


@dataclass(frozen=True)
class WiredScene:
    """The definitions, wired to a scene, and an instance in memory."""

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


def pipeline(scene: Scene, folder: Path) -> WiredScene:
    """Wire the definitions to a scene; its universe is written to a file."""
    universe = folder / "universe.csv"
    lines = ("symbol,name,first_session,last_session", *(f"{symbol},,," for symbol in scene.universe.symbols))
    universe.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    settings = Settings(data_dir=folder / "data", universe=universe)
    definitions = build_definitions(settings, resource_overrides={"pipeline": as_pipeline(scene)})
    return WiredScene(definitions, dg.DagsterInstance.ephemeral())


def succeeded(result: dg.ExecuteInProcessResult) -> list[str]:
    """Return the names of the steps that succeeded."""
    return [str(event.step_key) for event in result.all_events if event.is_step_success]


def failure(result: dg.ExecuteInProcessResult) -> tuple[str, str]:
    """Return step and root cause of the only failed step; its error is one of this package."""
    [event] = [event for event in result.all_events if event.is_step_failure]
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    assert error is not None
    assert error.cls_name in {kind.__name__ for kind in StockAssetsError.__subclasses__()}
    return str(event.step_key), error.message


def checks(result: dg.ExecuteInProcessResult, asset: dg.AssetKey = STAGED_KEY) -> dict[str, dg.AssetCheckEvaluation]:
    """Return the results of a run's checks on an asset, by name."""
    return {
        evaluation.check_name: evaluation
        for evaluation in result.get_asset_check_evaluations()
        if evaluation.asset_key == asset
    }


def leave_run(
    instance: dg.DagsterInstance,
    status: dg.DagsterRunStatus,
    tags: Mapping[str, str] | None = None,
    origin: RemoteJobOrigin | None = None,
) -> dg.DagsterRun:
    """Add a run of the whole data path to the instance, without executing it."""
    return instance.add_run(
        dg.DagsterRun(
            job_name=JOB_NAME, run_id=make_new_run_id(), status=status, tags=dict(tags or {}), remote_job_origin=origin
        )
    )


def leave_killed_run(instance: dg.DagsterInstance, origin: RemoteJobOrigin | None = ORIGIN) -> dg.DagsterRun:
    """Add a killed run that Dagster is about to retry."""
    return leave_run(instance, dg.DagsterRunStatus.FAILURE, {WILL_RETRY_TAG: "true"}, origin)
