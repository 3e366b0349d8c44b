"""The assets `raw/daily_prices` and `raw/splits`.

Belongs here: their definitions, configuration and metadata. Does not belong here: requesting and storing responses
(`ingest`).
"""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Protocol

import dagster as dg
from pydantic import Field

from stock_assets.core.clock import utc_now
from stock_assets.core.tables import RAW_COLUMNS
from stock_assets.core.text import SYMBOLS_SHOWN, markdown_table, shorten_list
from stock_assets.ingest.landing_conversion import LandingFile, LandingScope
from stock_assets.ingest.landing_files import register_files
from stock_assets.ingest.ledger_queries import known_splits, splits_by_symbol
from stock_assets.ingest.price_requests import (
    RequestRules,
    SymbolResult,
    closed_sessions,
    fail_if_nothing_fetched,
    fetch_prices,
)
from stock_assets.ingest.split_requests import fetch_splits
from stock_assets.legacy_import import report
from stock_assets.legacy_import.importer import ImportResult, import_bars
from stock_assets.legacy_import.locations import LegacyLocation
from stock_assets.legacy_import.row_selection import ImportScope
from stock_assets.orchestration.assets.request_metadata import (
    list_files,
    log_files,
    log_results,
    log_warnings,
    request_metadata,
    splits_table,
)
from stock_assets.orchestration.keys import RAW_PRICES, RAW_SPLITS, Names
from stock_assets.orchestration.partitions import partition_sessions
from stock_assets.pipeline import Pipeline

VENDOR_GROUP = "vendor"


class Requests(Protocol):
    """What sends the requests of a run."""

    def fetch(
        self, context: dg.AssetExecutionContext, pipeline: Pipeline, sessions: Sequence[date], rules: RequestRules
    ) -> list[SymbolResult]:
        """Request the missing bars of some sessions."""

    def fetch_splits(self, context: dg.AssetExecutionContext, pipeline: Pipeline) -> dict[str, str]:
        """Request the splits that are due; return the symbols that failed, with the reason."""


GROUP = "raw"

_PRICES_DESCRIPTION = (
    "Raw responses of the source, byte for byte, one file per symbol and request under "
    "`raw/daily_prices/ingest_date=.../<fetch time>/<SYMBOL>.csv`. At most one request per symbol and run, and none "
    "for sessions that a stored response already contains, unless `request_again` names the symbol. The checks show "
    "missing bars."
)

_COLUMN_DESCRIPTIONS = {
    "timestamp": "Trade date (YYYY-MM-DD). Every column is unconverted text of the vendor.",
    "open": "First price of the session, as traded: not adjusted for splits or dividends.",
    "high": "Highest price of the session, as traded.",
    "low": "Lowest price of the session, as traded.",
    "close": "Last price of the session, as traded.",
    "volume": "Shares traded in the session.",
}
_RAW_COLUMNS = dg.TableSchema(
    columns=[dg.TableColumn(name, "varchar", description=_COLUMN_DESCRIPTIONS[name]) for name in RAW_COLUMNS]
)

_SPLIT_COLUMNS = dg.TableSchema(
    columns=[
        dg.TableColumn("symbol", "varchar", description="Ticker."),
        dg.TableColumn("ex_date", "date", description="First session that trades at the new number of shares."),
        dg.TableColumn("ratio", "decimal", description="New shares per old share."),
    ]
)


class RawConfig(dg.Config):
    """The origin of missing bars in a run of `raw/daily_prices`. By default the run requests them from the vendor."""

    request_symbols: list[str] | None = Field(
        default=None,
        description="Symbols that may be requested. Default: every symbol with missing bars. An empty list: no "
        "requests, only stored bars are loaded.",
    )
    reserve_calls: int = Field(
        default=0, ge=0, description="Calls of today's quota to keep for the next scheduled run."
    )
    request_again: list[str] = Field(
        default=[],
        description="Symbols to request although their bars are stored, for example because bars are quarantined or "
        "the vendor has corrected them. The newest response is used; the older ones are kept.",
    )
    load_landing_files: bool = Field(
        default=False, description="Load landing files with bars of this run's sessions before requesting missing bars."
    )
    import_from: str = Field(
        default="",
        description="Location of an earlier pipeline's data: a folder, `s3://bucket/folder` or `glue:database.table`. "
        "Its bars of this run's sessions are imported where no bar is stored, before missing bars are requested.",
    )

    @property
    def rules(self) -> RequestRules:
        """Return the rules for `fetch_prices`."""
        symbols = None if self.request_symbols is None else frozenset(self.request_symbols)
        return RequestRules(symbols, self.reserve_calls, frozenset(self.request_again))


def vendor_asset(pipeline: Pipeline, url: str, names: Names, *, owners: list[str]) -> dg.AssetSpec:
    """Return the external asset at the head of the lineage: the vendor of the prices."""
    source = pipeline.source
    return dg.AssetSpec(
        names.key(dg.AssetKey(["vendor", source.vendor])),
        group_name=names.group(VENDOR_GROUP),
        owners=owners,
        kinds={"api"} if source.last_session is None else {"file"},
        description=f"{source.label}. External: the pipeline requests data from it and never materializes it.",
        metadata={"source": source.label, "link": dg.MetadataValue.url(url)},
    )


class RequestsOfThisProcess:
    """Send the requests in the process of the run."""

    def fetch(
        self,
        context: dg.AssetExecutionContext,  # noqa: ARG002 (the Lambda function needs it)
        pipeline: Pipeline,
        sessions: Sequence[date],
        rules: RequestRules,
    ) -> list[SymbolResult]:
        """Request the missing bars of some sessions."""
        return fetch_prices(pipeline, sessions, rules=rules)

    def fetch_splits(
        self,
        context: dg.AssetExecutionContext,  # noqa: ARG002 (as above)
        pipeline: Pipeline,
    ) -> dict[str, str]:
        """Request the splits that are due."""
        return fetch_splits(pipeline)


def raw_prices_asset(
    partitions: dg.PartitionsDefinition[str],
    *,
    vendor: dg.AssetSpec,
    owners: list[str],
    legacy_location: Callable[[str], LegacyLocation],
    requests: Requests,
    names: Names,
) -> dg.AssetsDefinition:
    """Return the asset `raw/daily_prices`, downstream of the vendor.

    Args:
        partitions: the sessions.
        vendor: the external asset.
        owners: owners of the asset.
        legacy_location: opens the data of an earlier pipeline.
        requests: sends the requests.
        names: the names of the universe.
    """

    @dg.asset(
        key=names.key(RAW_PRICES),
        deps=[vendor],
        group_name=names.group(GROUP),
        kinds={"python", "csv"},
        owners=owners,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=names.name("vendor_api"),
        metadata={"dagster/column_schema": _RAW_COLUMNS},
        description=_PRICES_DESCRIPTION,
    )
    @names.uses_pipeline
    def raw_daily_prices(
        context: dg.AssetExecutionContext, config: RawConfig, pipeline: dg.ResourceParam[Pipeline]
    ) -> dg.MaterializeResult[None]:
        sessions = partition_sessions(context.partition_keys)
        landing = _register_files(context, pipeline, partitions) if config.load_landing_files else []
        imported = _import_bars(context, pipeline, legacy_location(config.import_from)) if config.import_from else None
        closed, waiting = closed_sessions(sessions, utc_now())
        if waiting:
            context.log.warning(waiting)
        results = requests.fetch(context, pipeline, closed, config.rules)
        log_results(context, results)
        fail_if_nothing_fetched(results)
        return dg.MaterializeResult(
            metadata={
                "source": pipeline.source.label,
                "sessions": len(sessions),
                "dagster/uri": pipeline.backend.objects.uri("raw/daily_prices"),
                **({"landing files": list_files(landing)} if config.load_landing_files else {}),
                **(_import_metadata(imported) if imported else {}),
                **request_metadata(results),
            }
        )

    return raw_daily_prices


def raw_splits_asset(
    *, vendor: dg.AssetSpec, owners: list[str], requests: Requests, names: Names
) -> dg.AssetsDefinition:
    """Return the asset `raw/splits`, downstream of the vendor."""

    @dg.asset(
        key=names.key(RAW_SPLITS),
        deps=[vendor],
        group_name=names.group(GROUP),
        kinds={"python", "json"},
        owners=owners,
        # It has no partitions and is part of every run. A range is one run only if each of its assets has this policy.
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=names.name("vendor_api"),
        metadata={"dagster/column_schema": _SPLIT_COLUMNS},
        description=(
            "Splits per symbol (ex-date, ratio), as the source reports them now; a changed response is stored next to "
            "the earlier ones under `raw/splits/`. Prices are as traded, so staging needs splits to compare sessions. "
            "Splits of a live source are requested on a slow schedule, and sooner after a jump without a known split."
        ),
    )
    @names.uses_pipeline
    def raw_splits(
        context: dg.AssetExecutionContext, pipeline: dg.ResourceParam[Pipeline]
    ) -> dg.MaterializeResult[None]:
        failures = requests.fetch_splits(context, pipeline)
        log_warnings(context, list(failures.values()))
        rows = splits_by_symbol(known_splits(pipeline))
        return dg.MaterializeResult(
            metadata={
                "source": pipeline.source.label,
                "dagster/row_count": len(rows),
                "symbols missing": shorten_list(list(failures), SYMBOLS_SHOWN) or "none",
                "dagster/uri": pipeline.backend.objects.uri("raw/splits"),
                "splits": splits_table(rows),
            }
        )

    return raw_splits


def _register_files(
    context: dg.AssetExecutionContext, pipeline: Pipeline, partitions: dg.PartitionsDefinition[str]
) -> list[LandingFile]:
    first, last = partitions.get_first_partition_key(), partitions.get_last_partition_key()
    scope = LandingScope(*partition_sessions(key for key in (first, last) if key is not None))
    found = register_files(pipeline, scope, partition_sessions(context.partition_keys), at=utc_now())
    log_files(context, found)
    return found


def _import_bars(context: dg.AssetExecutionContext, pipeline: Pipeline, location: LegacyLocation) -> ImportResult:
    sessions = partition_sessions(context.partition_keys)
    found = import_bars(pipeline, location, ImportScope(pipeline.universe, sessions[0], sessions[-1], utc_now()))
    log_warnings(context, report.format_unreadable(found))
    log_warnings(context, report.format_skipped_rows(found))
    return found


def _import_metadata(found: ImportResult) -> dict[str, dg.MetadataValue]:
    return {
        "import": dg.MetadataValue.text(report.format_totals(found)),
        "imported bars": dg.MetadataValue.md(markdown_table(report.symbol_rows(found))),
    }
