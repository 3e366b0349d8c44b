"""The pipeline as one object: backend, source, universe and limits, with the steps of the data path as methods.

Belongs here: constructing the parts from settings (with `construction`, the only place that does), and the steps in the
order of the data path. Does not belong here: reading the environment (`settings`), how a step works (its package), when
it runs (`orchestration`).

Backends, sources, alert channels and the readers of legacy files are imported inside the functions that construct them:
each pulls in large libraries (boto3, pyiceberg, requests), and a process needs one of each at most. Trino's client is
an optional dependency.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self, assert_never

from stock_assets.audit.gate import audit_load
from stock_assets.backends.interface import Backend
from stock_assets.construction import (
    AwsOptions,
    aws_access,
    aws_options,
    configured_universe,
    data_prefix,
    price_source,
    shared_prefix,
)
from stock_assets.core.calendar import declare_closures
from stock_assets.core.errors import SettingsError
from stock_assets.core.limits import Limits
from stock_assets.core.universe import Universe, require_enough_calls
from stock_assets.coverage.missing_bars import Coverage, coverage
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.price_files.csv_rows import FileFormat
from stock_assets.ingest.price_requests import ALL_MISSING, RequestRules, SymbolResult, fetch_prices
from stock_assets.ingest.split_requests import fetch_splits
from stock_assets.legacy_import.locations import LegacyFolder, LegacyLocation
from stock_assets.loads.load import Load
from stock_assets.loads.verdict import Verdict
from stock_assets.publish.publishing import Published, publish
from stock_assets.serve.as_of import AsOfInput
from stock_assets.serve.query import Relation, SymbolSummary, relations, run_query, summary
from stock_assets.settings import BackendName, Settings, read_trino_password
from stock_assets.stage.staging import stage

if TYPE_CHECKING:
    import pyarrow as pa

    from stock_assets.alerts.channels import Channel
    from stock_assets.backends.lakehouse.landing_queue import LandingQueue
    from stock_assets.backends.lakehouse.metrics import CloudWatchMetrics

_MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Pipeline(PipelineParts):
    """Backend, source, universe and limits, with the steps of the data path as methods."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Construct the pipeline from settings.

        Raises:
            SettingsError: the settings contradict each other, or the universe file is invalid.
        """
        declare_closures(settings.closures)
        source = price_source(settings)
        if source.last_session and settings.first_session > source.last_session:
            raise SettingsError(
                f"STOCK_ASSETS_FIRST_SESSION is {settings.first_session}, but the source {settings.source} ends on "
                f"{source.last_session}. Set an earlier session or another STOCK_ASSETS_SOURCE."
            )
        universe = configured_universe(settings)
        limits = Limits(min_coverage=settings.min_coverage, max_quarantined_share=settings.max_quarantined_share)
        others = tuple(
            PipelineParts(_backend(each), source, configured_universe(each), limits)
            for each in settings.of_each_universe()
            if each.universe_name != settings.universe_name
        )
        require_enough_calls([universe, *(each.universe for each in others)], source.terms.limits.per_day)
        return cls(_backend(settings), source, universe, limits, _revisions_accepted(settings, universe), others)

    def fetch(self, sessions: Sequence[date], *, rules: RequestRules = ALL_MISSING) -> list[SymbolResult]:
        """Request the splits that are due and the missing bars of some sessions, and store the responses."""
        fetch_splits(self)
        return fetch_prices(self, sessions, rules=rules)

    def stage(self, sessions: Sequence[date], *, coverage_symbols: Collection[str] | None = None) -> Load:
        """Stage the sessions as one load; `coverage_symbols` limits the symbols that count for coverage."""
        return stage(self, sessions, coverage_symbols=coverage_symbols)

    def audit(self, load: Load) -> list[Verdict]:
        """Audit a staged load and record a rejection."""
        return audit_load(self, load)

    def publish(self, sessions: Sequence[date]) -> Published:
        """Audit the newest load of exactly these sessions, and publish it."""
        return publish(self, sessions)

    def coverage(self, sessions: Sequence[date], *, at: datetime) -> Coverage:
        """Find bars that are missing from the published table."""
        return coverage(self, sessions, at=at)

    def query(self, select: str, *, as_of: AsOfInput | None = None) -> "pa.Table":
        """Run one SELECT over the published tables and views, now or as of an earlier timestamp or snapshot."""
        return run_query(self.backend, select, as_of=as_of)

    def relations(self) -> list[Relation]:
        """Return the published tables and views with their columns and row counts."""
        return relations(self.backend)

    def summary(self) -> list[SymbolSummary]:
        """Return one summary of the published rows per symbol."""
        return summary(self.backend)


def _revisions_accepted(settings: Settings, universe: Universe) -> frozenset[str]:
    symbols = frozenset(filter(None, map(str.strip, settings.accept_revised_history.split(","))))
    if unknown := symbols - set(universe.symbols):
        raise SettingsError(
            f"STOCK_ASSETS_ACCEPT_REVISED_HISTORY contains {', '.join(sorted(unknown))}, which the universe does not "
            "contain. Set it to symbols of the universe, separated by commas."
        )
    return symbols


def alert_channels(settings: Settings) -> "list[Channel]":
    """Construct the channels of alerts: a log file (local backend only), and those that the settings name."""
    from stock_assets.alerts.channels import (  # noqa: PLC0415 (imports large libraries)
        ChannelOfUniverse,
        LogFile,
        SnsTopic,
        Webhook,
        apprise_services,
    )

    channels: list[Channel] = []
    if settings.backend is BackendName.LOCAL:
        channels.append(LogFile(settings.root / "alerts.log"))
    if settings.alert_webhook_url is not None:
        channels.append(Webhook(settings.alert_webhook_url.get_secret_value()))
    if settings.alert_topic_arn is not None:
        channels.append(SnsTopic(settings.alert_topic_arn, **aws_options(settings)))
    if settings.alert_urls is not None:
        channels += apprise_services(settings.alert_urls.get_secret_value().split())
    if settings.universe_name:
        return [ChannelOfUniverse(channel, settings.universe_name) for channel in channels]
    return channels


def landing_queue(settings: Settings) -> "LandingQueue | None":
    """Construct the queue with notifications about landing files, or return None if the settings name none.

    It is used by the universe without a name only: one that received a message about files of another would delete it.
    """
    if settings.aws_landing_queue_url is None or settings.universe_name:
        return None
    from stock_assets.backends.lakehouse.aws_session import AwsAccess  # noqa: PLC0415 (imports large libraries)
    from stock_assets.backends.lakehouse.landing_queue import LandingQueue  # noqa: PLC0415 (as above)

    options = _lakehouse_options(settings)
    access = AwsAccess(region=options["region"], role_arn=options["role_arn"], endpoint_url=options["endpoint_url"])
    return LandingQueue(access, str(settings.aws_landing_queue_url), options["prefix"])


def cloudwatch_metrics(settings: Settings) -> "CloudWatchMetrics | None":
    """Construct the metrics in CloudWatch, or return None if the settings name no namespace."""
    if settings.aws_metrics_namespace is None:
        return None
    from stock_assets.backends.lakehouse.metrics import CloudWatchMetrics  # noqa: PLC0415 (imports large libraries)

    return CloudWatchMetrics(aws_access(settings), settings.aws_metrics_namespace)


def legacy_location(settings: Settings, address: str, form: FileFormat | None = None) -> LegacyLocation:
    """Return the location of an earlier pipeline's data: a folder, `s3://bucket/folder`, or `glue:database.table`.

    Raises:
        SettingsError: the address is on AWS, and no region is set.
    """
    if not re.match(r"(s3[an]?://|glue:)", address):
        return LegacyFolder(Path(address), form or FileFormat())
    from stock_assets.legacy_import.aws_locations import (  # noqa: PLC0415 (imports large libraries)
        LegacyBucket,
        LegacyTable,
    )

    if settings.aws_region is None:
        raise SettingsError(f"{address} is on AWS. Set STOCK_ASSETS_AWS_REGION to its region.")
    kind = LegacyTable if address.startswith("glue:") else LegacyBucket
    return kind(aws_access(settings), address, form or FileFormat())


class _LakehouseOptions(AwsOptions):
    """Arguments that the Athena and Trino backends share."""

    bucket: str
    prefix: str
    calls_prefix: str
    region: str
    database: str
    kms_key: str


def _backend(settings: Settings) -> Backend:
    match settings.backend:
        case BackendName.LOCAL:
            from stock_assets.backends.local.backend import LocalBackend  # noqa: PLC0415 (imports large libraries)

            return LocalBackend(settings.root, settings.memory_limit_mb, calls_root=settings.shared_root)
        case BackendName.AWS:
            return _athena_backend(settings, _lakehouse_options(settings))
        case BackendName.TRINO:
            return _trino_backend(settings, _lakehouse_options(settings))
    assert_never(settings.backend)


def _lakehouse_options(settings: Settings) -> _LakehouseOptions:
    if settings.aws_bucket is None or settings.aws_region is None:
        raise SettingsError(
            f"STOCK_ASSETS_BACKEND={settings.backend} needs STOCK_ASSETS_AWS_BUCKET and STOCK_ASSETS_AWS_REGION"
        )
    return _LakehouseOptions(
        **aws_options(settings),
        bucket=settings.aws_bucket,
        prefix=data_prefix(settings),
        calls_prefix=shared_prefix(settings),
        region=settings.aws_region,
        # Each source and universe has its own databases too.
        database="_".join(filter(None, (settings.aws_database, settings.source, settings.universe_name))),
        kms_key=settings.aws_kms_key or "",
    )


def _athena_backend(settings: Settings, options: _LakehouseOptions) -> Backend:
    from stock_assets.backends.athena.backend import AthenaBackend  # noqa: PLC0415 (imports large libraries)

    results = settings.aws_results or f"s3://{options['bucket']}/{options['prefix']}/results/"
    return AthenaBackend(
        **options,
        workgroup=settings.aws_workgroup,
        results="" if results == "workgroup" else results,
        scan_limit=settings.aws_scan_limit_mb * _MEGABYTE if settings.aws_scan_limit_mb else None,
        query_timeout_seconds=settings.aws_query_timeout_seconds,
        price_per_terabyte=settings.aws_price_per_tb,
    )


def _trino_backend(settings: Settings, options: _LakehouseOptions) -> Backend:
    try:
        from stock_assets.backends.trino.backend import TrinoBackend  # noqa: PLC0415 (needs an optional dependency)
    except ModuleNotFoundError as error:
        raise SettingsError(
            "STOCK_ASSETS_BACKEND=trino needs Trino's client: pip install 'stock-assets[trino]'"
        ) from error
    return TrinoBackend(
        **options,
        scan_limit=settings.trino_scan_limit_mb * _MEGABYTE if settings.trino_scan_limit_mb else None,
        query_timeout_seconds=settings.trino_query_timeout_seconds,
        url=str(settings.trino_url).rstrip("/"),
        user=settings.trino_user,
        password=read_trino_password,
        catalog=settings.trino_catalog,
        hive_catalog=settings.trino_hive_catalog,
    )
