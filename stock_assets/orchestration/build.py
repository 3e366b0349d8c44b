"""The only place where settings become resources, assets, checks and jobs.

Belongs here: wiring. Does not belong here: reading the environment (`settings`), or any behaviour.
"""

import re
import warnings
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import TypedDict

import dagster as dg

from stock_assets.alerts.channels import Channel, LogFile, SnsTopic, Webhook
from stock_assets.backends.interface import Backend
from stock_assets.backends.lakehouse.aws_session import AwsAccess
from stock_assets.backends.lakehouse.backend import AthenaBackend
from stock_assets.backends.local.backend import LocalBackend
from stock_assets.core.calendar import session_partitions
from stock_assets.core.errors import SettingsError
from stock_assets.core.universe import Universe, read_universe, require_enough_calls
from stock_assets.legacy_import.aws_locations import LegacyBucket, LegacyTable
from stock_assets.legacy_import.locations import Form, LegacyFolder, LegacyLocation
from stock_assets.loads.inputs import Limits
from stock_assets.orchestration.assets.links import Links
from stock_assets.orchestration.assets.published import published_assets
from stock_assets.orchestration.assets.raw import raw_assets, vendor_asset
from stock_assets.orchestration.assets.report import REPORT, report_asset
from stock_assets.orchestration.assets.staged import staged_asset
from stock_assets.orchestration.assets.views import view_assets
from stock_assets.orchestration.checks.audits import audit_checks
from stock_assets.orchestration.checks.freshness import freshness_check, freshness_sensor, policy
from stock_assets.orchestration.checks.symbols import raw_checks
from stock_assets.orchestration.jobs.daily_prices import AssetJob, daily_job, weekday_schedule
from stock_assets.orchestration.jobs.maintenance import Retention, maintenance_job, maintenance_schedule
from stock_assets.orchestration.sensors.alerts import AlertContext, alert_sensor
from stock_assets.orchestration.sensors.catch_up import Window, catch_up_sensor
from stock_assets.orchestration.sensors.landing_files import landing_files_sensor
from stock_assets.serve.dashboards import dashboard_specs
from stock_assets.settings import BackendName, Settings, SourceName
from stock_assets.sources.alpha_vantage import AlphaVantageSource
from stock_assets.sources.api_key import AlphaVantageWithSecret, SecretsManagerKey
from stock_assets.sources.interface import PriceSource
from stock_assets.sources.plans import PLANS
from stock_assets.sources.recorded import RecordedSource

OWNERS = ["team:market-data"]
_MEGABYTE = 1024 * 1024


def build_definitions(settings: Settings, *, resource_overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """Wire everything.

    Args:
        settings: what the environment says.
        resource_overrides: resources to use in place of those the settings pick, by key (`backend`, `source`).

    Raises:
        SettingsError: the settings do not fit each other.
    """
    # Backfill policies and checks of several results carry these marks; the version range in pyproject.toml is pinned.
    warnings.filterwarnings("ignore", category=dg.BetaWarning)
    warnings.filterwarnings("ignore", category=dg.PreviewWarning)
    source = build_source(settings)
    if source.last_session and settings.first_session > source.last_session:
        raise SettingsError(
            f"STOCK_ASSETS_FIRST_SESSION is {settings.first_session}, but the source {settings.source} ends "
            f"{source.last_session}; set an earlier session or another STOCK_ASSETS_SOURCE"
        )
    universe = build_universe(settings)
    require_enough_calls(universe, source.terms.limits.per_day)
    limits = build_limits(settings)
    # Where every statement is charged for, the report is drawn on demand: it sends one for each of its panels.
    job = daily_job(by_hand=[REPORT] if settings.backend is BackendName.AWS else [])
    # A recording has an end: nothing of it is late, ever.
    grows = source.last_session is None
    checks = [
        *raw_checks(universe),
        audit_checks(universe, limits=limits),
        *([freshness_check()] if grows else []),
    ]
    upkeep = maintenance_job(build_retention(settings), [key for check in checks for key in check.check_keys])
    return dg.Definitions(
        assets=_assets(settings, source, universe, limits),
        asset_checks=checks,
        jobs=[job, upkeep],
        schedules=[weekday_schedule(job, source), maintenance_schedule(upkeep, running=grows)],
        sensors=_sensors(settings, source, universe, limits, job=job),
        resources={"backend": build_backend(settings), "source": source, **(resource_overrides or {})},
        # A step of its own process costs ten seconds of imports; the steps of a load take less than one together.
        executor=dg.in_process_executor,
    )


def _assets(
    settings: Settings, source: PriceSource, universe: Universe, limits: Limits
) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Make the assets, in the order of the data's path, each with its tags and links."""
    links = Links(source, str(settings.code_url or "").rstrip("/"))
    partitions = session_partitions(settings.first_session, source.last_session)
    vendor = vendor_asset(source, _LINKS[settings.source], owners=OWNERS)
    retention = timedelta(days=settings.staging_retention_days)
    freshness = policy() if source.last_session is None else None
    steps = [
        *raw_assets(
            universe, partitions, vendor=vendor, owners=OWNERS, legacy_location=partial(build_legacy_location, settings)
        ),
        staged_asset(universe, partitions, limits=limits, retention=retention, owners=OWNERS),
        published_assets(universe, partitions, limits=limits, owners=OWNERS, freshness=freshness),
        view_assets(owners=OWNERS),
        report_asset(universe, owners=OWNERS),
    ]
    dashboards = dashboard_specs(settings.grafana_url, owners=OWNERS)
    return [
        links.on_spec(vendor, vendor_asset),
        *map(links.on, steps),
        *(links.on_spec(dashboard, dashboard_specs) for dashboard in dashboards),
    ]


def _sensors(
    settings: Settings,
    source: PriceSource,
    universe: Universe,
    limits: Limits,
    *,
    job: AssetJob,
) -> list[dg.SensorDefinition]:
    """Make the sensors: those that start runs, and those that tell people."""
    channels = build_channels(settings)
    window = Window(settings.first_session, source.last_session, settings.catch_up_sessions)
    return [
        catch_up_sensor(job, universe, window, limits=limits, channels=channels),
        landing_files_sensor(job, universe, settings.first_session, source.last_session),
        alert_sensor(AlertContext(universe, channels, str(settings.ui_url))),
        *([freshness_sensor(channels=channels)] if source.last_session is None else []),
    ]


def build_backend(settings: Settings) -> Backend:
    """Pick the backend; data of different sources never mix."""
    if settings.backend is BackendName.LOCAL:
        return LocalBackend(root=str(settings.root))
    place = _glue_place(settings)
    if settings.backend is BackendName.TRINO:
        return _trino_backend(settings, place)
    results = settings.aws_results or f"s3://{place['bucket']}/{place['prefix']}/results/"
    return AthenaBackend(
        **place,
        workgroup=settings.aws_workgroup,
        results="" if results == "workgroup" else results,
        scan_limit=settings.aws_scan_limit_mb * _MEGABYTE if settings.aws_scan_limit_mb else None,
        query_timeout_seconds=settings.aws_query_timeout_seconds,
        price_per_terabyte=settings.aws_price_per_tb,
    )


def build_legacy_location(settings: Settings, address: str, form: Form | None = None) -> LegacyLocation:
    """Pick how an earlier pipeline's data is reached: a folder, `s3://bucket/folder`, or `glue:database.table`.

    Raises:
        SettingsError: the address is on AWS, and no region is set.
    """
    if not re.match(r"(s3[an]?://|glue:)", address):
        return LegacyFolder(Path(address), form or Form())
    if settings.aws_region is None:
        raise SettingsError(f"{address}: set STOCK_ASSETS_AWS_REGION to the region it is in")
    access = AwsAccess(region=settings.aws_region, **_reach(settings))
    return (LegacyTable if address.startswith("glue:") else LegacyBucket)(access, address, form or Form())


class _Reach(TypedDict):
    """As whom, and where, AWS is asked; whatever is asked of it."""

    role_arn: str
    endpoint_url: str


class _GluePlace(_Reach):
    """Where a backend keeps its objects and tables; whichever engine runs its statements."""

    bucket: str
    prefix: str
    region: str
    database: str
    kms_key: str


def _reach(settings: Settings) -> _Reach:
    return _Reach(role_arn=settings.aws_role_arn or "", endpoint_url=str(settings.aws_endpoint_url or "").rstrip("/"))


def _glue_place(settings: Settings) -> _GluePlace:
    if settings.aws_bucket is None or settings.aws_region is None:
        raise SettingsError("this backend needs STOCK_ASSETS_AWS_BUCKET and STOCK_ASSETS_AWS_REGION")
    return _GluePlace(
        **_reach(settings),
        bucket=settings.aws_bucket,
        prefix=f"{settings.aws_prefix}/{settings.source}",
        region=settings.aws_region,
        database=f"{settings.aws_database}_{settings.source}",
        kms_key=settings.aws_kms_key or "",
    )


def _trino_backend(settings: Settings, place: _GluePlace) -> Backend:
    """Make the backend on Trino; its client is an extra, which no other backend needs."""
    try:
        backend = import_module("stock_assets.backends.trino.backend").TrinoBackend
    except ModuleNotFoundError as error:
        raise SettingsError(
            "STOCK_ASSETS_BACKEND=trino needs Trino's client: pip install 'stock-assets[trino]'"
        ) from error
    made: Backend = backend(
        **place,
        scan_limit=settings.trino_scan_limit_mb * _MEGABYTE if settings.trino_scan_limit_mb else None,
        query_timeout_seconds=settings.trino_query_timeout_seconds,
        url=str(settings.trino_url).rstrip("/"),
        user=settings.trino_user,
        catalog=settings.trino_catalog,
        hive_catalog=settings.trino_hive_catalog,
    )
    return made


def build_source(settings: Settings) -> PriceSource:
    """Pick the source; the live one is told which variable holds the key, and reads it when a run asks."""
    if settings.source is SourceName.RECORDED:
        return RecordedSource()
    plan = PLANS[settings.alpha_vantage_plan]
    kind: Callable[..., PriceSource] = AlphaVantageSource
    if settings.aws_api_key_secret is not None:
        kind = partial(AlphaVantageWithSecret, vault=_vault(settings, settings.aws_api_key_secret))
    return kind(
        base_url=str(settings.alpha_vantage_base_url),
        calls_per_second=settings.calls_per_second or plan.per_second,
        calls_per_minute=settings.calls_per_minute or plan.per_minute,
        calls_per_day=settings.calls_per_day or plan.per_day,
        full_history=plan.full_history,
        splits_refresh_days=settings.splits_refresh_days,
    )


def _vault(settings: Settings, secret: str) -> SecretsManagerKey:
    reach = _reach(settings)
    return SecretsManagerKey(
        secret_id=secret,
        region_name=settings.aws_region,
        role_arn=reach["role_arn"],
        endpoint_url=reach["endpoint_url"] or None,
    )


def build_universe(settings: Settings) -> Universe:
    """Read the universe file that fits the source, or the one that is set."""
    return read_universe(settings.universe or files("stock_assets").joinpath("universes", _UNIVERSES[settings.source]))


def build_channels(settings: Settings) -> list[Channel]:
    """Pick where messages go: always the log file of the local backend, and what else is set."""
    channels: list[Channel] = [LogFile(settings.root / "alerts.log")]
    if settings.alert_webhook_url is not None:
        channels.append(Webhook(settings.alert_webhook_url.get_secret_value()))
    if settings.alert_topic_arn is not None:
        channels.append(SnsTopic(settings.alert_topic_arn, **_reach(settings)))
    return channels


def build_retention(settings: Settings) -> Retention:
    """Take how long things are kept."""
    return Retention(
        staging=timedelta(days=settings.staging_retention_days),
        snapshots=timedelta(days=settings.snapshot_retention_days),
        runs=timedelta(days=settings.run_retention_days),
    )


def build_limits(settings: Settings) -> Limits:
    """Take the limits of the audits."""
    return Limits(min_coverage=settings.min_coverage, max_quarantined_share=settings.max_quarantined_share)


_UNIVERSES = {
    SourceName.RECORDED: "recorded.csv",
    SourceName.ALPHA_VANTAGE: "semiconductors.csv",
}
_LINKS = {
    SourceName.RECORDED: "https://github.com/bokeh/bokeh_sampledata",
    SourceName.ALPHA_VANTAGE: "https://www.alphavantage.co/documentation/",
}
