"""The Dagster definitions: assets, checks, jobs, schedules and sensors, wired to one pipeline.

Belongs here: wiring. Does not belong here: reading the environment (`settings`), constructing backend, source and
universe (`pipeline`), or any behaviour.
"""

import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial

import dagster as dg

from stock_assets.core.interpreter import collect_garbage_rarely
from stock_assets.coverage.catch_up import CatchUpWindow
from stock_assets.maintenance.retention_periods import RetentionPolicy
from stock_assets.orchestration.assets.dashboards import dashboard_specs
from stock_assets.orchestration.assets.links import Links
from stock_assets.orchestration.assets.published import published_assets
from stock_assets.orchestration.assets.raw import (
    Requests,
    RequestsOfThisProcess,
    raw_prices_asset,
    raw_splits_asset,
    vendor_asset,
)
from stock_assets.orchestration.assets.report import report_asset
from stock_assets.orchestration.assets.staged import staged_asset
from stock_assets.orchestration.assets.views import view_assets
from stock_assets.orchestration.checks.audits import audit_checks
from stock_assets.orchestration.checks.freshness import freshness_check, policy
from stock_assets.orchestration.checks.published import published_checks
from stock_assets.orchestration.checks.symbols import raw_checks
from stock_assets.orchestration.jobs.daily_prices import EXECUTOR, AssetJob, daily_job
from stock_assets.orchestration.jobs.maintenance import maintenance_job
from stock_assets.orchestration.jobs.report import report_job
from stock_assets.orchestration.keys import REPORT, Names
from stock_assets.orchestration.partitions import session_partitions
from stock_assets.orchestration.resources import pipeline_resource
from stock_assets.orchestration.schedules.maintenance import maintenance_schedule
from stock_assets.orchestration.schedules.weekdays import weekday_schedule
from stock_assets.orchestration.sensors.alerts import AlertContext, alert_sensor
from stock_assets.orchestration.sensors.catch_up import catch_up_sensor
from stock_assets.orchestration.sensors.freshness import freshness_sensor
from stock_assets.orchestration.sensors.landing_files import landing_files_sensor
from stock_assets.orchestration.sensors.metrics import metrics_sensor
from stock_assets.orchestration.sensors.report import report_sensor
from stock_assets.pipeline import Pipeline
from stock_assets.pipeline.services import alert_channels, cloudwatch_metrics, landing_queue, legacy_location
from stock_assets.settings import BackendName, Settings, SourceName

OWNERS = ["team:market-data"]
_LINKS = {
    SourceName.RECORDED: "https://github.com/bokeh/bokeh_sampledata",
    SourceName.ALPHA_VANTAGE: "https://www.alphavantage.co/documentation/",
}


def definitions_of_environment() -> dg.Definitions:
    """Return what Dagster's processes load: the definitions of the deployment that the environment describes."""
    collect_garbage_rarely()
    return build_all_definitions(Settings.all_from_env())


def build_all_definitions(universes: Sequence[Settings]) -> dg.Definitions:
    """Return the definitions of all universes of a deployment.

    Raises:
        SettingsError: the settings do not fit each other.
    """
    # For runs of selected assets, which belong to no job; each job has the same executor.
    return dg.Definitions.merge(dg.Definitions(executor=EXECUTOR), *map(build_definitions, universes))


def build_definitions(
    settings: Settings, *, pipeline: Pipeline | None = None, resource_overrides: Mapping[str, object] | None = None
) -> dg.Definitions:
    """Return the definitions of one universe; in a deployment with several, all names begin with its name.

    Args:
        settings: the settings.
        pipeline: the pipeline, if the caller has constructed it; by default it is constructed from the settings.
        resource_overrides: resources that replace the pipeline's own, by key (`pipeline`); for tests.

    Raises:
        SettingsError: the settings do not fit each other.
    """
    # Dagster warns about backfill policies and multi-asset checks; the version range in pyproject.toml is pinned.
    warnings.filterwarnings("ignore", category=dg.BetaWarning)
    warnings.filterwarnings("ignore", category=dg.PreviewWarning)
    pipeline, names = pipeline or Pipeline.from_settings(settings), Names(settings.universe_name)
    # A recording has a last session, and is never late.
    grows = pipeline.source.last_session is None
    # Athena charges for each statement, and the report sends one per panel: there it is materialized on demand.
    cadences = {REPORT: "on_demand" if settings.backend is BackendName.AWS else "on_change"}
    job, report = daily_job(names), report_job(names)
    checks = [
        *raw_checks(pipeline.universe, names),
        audit_checks(names),
        published_checks(names),
        *([freshness_check(names)] if grows else []),
    ]
    retention = retention_policy(settings)
    maintenance = maintenance_job(retention, [key for check in checks for key in check.check_keys], names)
    return dg.Definitions(
        assets=_assets(settings, pipeline, cadences=cadences),
        asset_checks=checks,
        jobs=[job, report, maintenance],
        schedules=[
            weekday_schedule(job, pipeline, names),
            maintenance_schedule(maintenance, names, running=grows),
        ],
        sensors=[
            *_sensors(settings, pipeline, job=job),
            *([report_sensor(report, names)] if cadences[REPORT] == "on_change" else []),
        ],
        resources={names.resource: pipeline_resource(pipeline), **(resource_overrides or {})},
    )


def retention_policy(settings: Settings) -> RetentionPolicy:
    """Return how long staging tables, snapshots and runs are retained."""
    return RetentionPolicy(
        staging=timedelta(days=settings.staging_retention_days),
        snapshots=timedelta(days=settings.snapshot_retention_days),
        runs=timedelta(days=settings.run_retention_days),
    )


def _assets(
    settings: Settings, pipeline: Pipeline, *, cadences: Mapping[dg.AssetKey, str]
) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Return the assets in the order of the data path, each with its tags and links."""
    # No schedule loads the sessions of a recording.
    source, names = pipeline.source, Names(settings.universe_name)
    usual_cadence = "each_session" if source.last_session is None else "on_demand"
    links = Links(source.vendor, str(settings.code_url or "").rstrip("/"), usual_cadence, cadences)
    partitions = session_partitions(settings.first_session, source.last_session)
    vendor = vendor_asset(pipeline, _LINKS[settings.source], names, owners=OWNERS)
    requests = _requests(settings)
    steps = [
        raw_prices_asset(
            partitions,
            vendor=vendor,
            owners=OWNERS,
            legacy_location=partial(legacy_location, settings),
            requests=requests,
            names=names,
        ),
        raw_splits_asset(vendor=vendor, owners=OWNERS, requests=requests, names=names),
        staged_asset(partitions, retention=timedelta(days=settings.staging_retention_days), owners=OWNERS, names=names),
        published_assets(
            partitions,
            owners=OWNERS,
            freshness=policy() if source.last_session is None else None,
            names=names,
        ),
        view_assets(owners=OWNERS, names=names),
        report_asset(owners=OWNERS, names=names),
    ]
    dashboards = dashboard_specs(settings.grafana_url, names, owners=OWNERS)
    return [
        links.on_spec(vendor, vendor_asset),
        *map(links.on, steps),
        *(links.on_spec(dashboard, dashboard_specs) for dashboard in dashboards),
    ]


def _requests(settings: Settings) -> Requests:
    """Return what sends requests: the process of the run, or the Lambda function that the settings name."""
    if settings.aws_lambda_function is None or settings.aws_pipes_bucket is None:
        return RequestsOfThisProcess()
    from stock_assets.backends.lakehouse.aws_session import AwsAccess  # noqa: PLC0415 (imports large libraries)
    from stock_assets.orchestration.lambda_requests import LambdaRequests  # noqa: PLC0415 (as above)

    return LambdaRequests(
        AwsAccess(**settings.aws_options),
        settings.aws_lambda_function,
        settings.aws_pipes_bucket,
        settings.closures,
        settings.universe_name,
    )


def _sensors(settings: Settings, pipeline: Pipeline, *, job: AssetJob) -> list[dg.SensorDefinition]:
    """Return the sensors that start runs, and the sensors that alert."""
    channels, metrics = alert_channels(settings), cloudwatch_metrics(settings)
    ends, names = pipeline.source.last_session, Names(settings.universe_name)
    grows = ends is None
    window = CatchUpWindow(settings.first_session, ends, settings.catch_up_sessions)
    return [
        catch_up_sensor(job, window, names, channels=channels),
        landing_files_sensor(
            job, settings.first_session, ends, names, channels=channels, queue=landing_queue(settings)
        ),
        alert_sensor(AlertContext(channels, str(settings.ui_url), names)),
        *([freshness_sensor(names, channels=channels)] if grows else []),
        *([metrics_sensor(metrics.send, names, grows=grows)] if metrics is not None else []),
    ]
