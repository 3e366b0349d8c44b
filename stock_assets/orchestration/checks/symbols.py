"""The checks on the raw assets: one per symbol, a summary, and one of the splits.

Belongs here: how a symbol's standing is shown in Dagster. Does not belong here: reaching it (`standing`). None of
these checks blocks: what did arrive is staged and judged by the audits.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from stock_assets.core.calendar import closing_time, sessions_between
from stock_assets.core.universe import Universe
from stock_assets.ingest.landing_files import REMEDY as FILES_REMEDY
from stock_assets.ingest.landing_files import rejected_files
from stock_assets.ingest.outcomes import MEANING, REMEDY
from stock_assets.ingest.split_requests import never_received
from stock_assets.ingest.symbol_status import SymbolStatus, symbol_statuses
from stock_assets.orchestration.keys import RAW_PRICES, RAW_SPLITS
from stock_assets.orchestration.partitions import tagged_sessions
from stock_assets.pipeline import Pipeline

SYMBOLS_SHOWN = 50
"""Up to here each symbol has its own check; a larger universe has the summary only."""
SUMMARY = "every_requested_symbol_arrived"
FILES = "every_file_is_readable"
FILES_SHOWN_FOR = timedelta(days=14)
"""Age at which a file set aside is no longer shown."""
_TEN_DAYS = timedelta(days=10)


def raw_checks(universe: Universe) -> list[dg.AssetChecksDefinition]:
    """Make the checks of both raw assets."""
    names = check_names(universe)

    @dg.multi_asset_check(
        name="symbols",
        specs=[
            dg.AssetCheckSpec(
                SUMMARY,
                asset=RAW_PRICES,
                description="Every symbol has a stored bar of each session asked for on which it was listed.",
            ),
            *(_spec(universe, symbol, name) for symbol, name in names.items()),
        ],
        can_subset=True,
        description="Reads the fetch ledger for the sessions of the run.",
    )
    def symbols(
        context: dg.AssetCheckExecutionContext, pipeline: dg.ResourceParam[Pipeline]
    ) -> Iterator[dg.AssetCheckResult]:
        sessions = tagged_sessions(context.run.tags) or _latest_session()
        found = symbol_statuses(pipeline, sessions)
        chosen = {key.name for key in context.selected_asset_check_keys}
        for standing in found:
            if names.get(standing.symbol) in chosen:
                yield _result(names[standing.symbol], standing)
        if SUMMARY in chosen:
            yield _summary(found)

    @dg.asset_check(
        asset=RAW_SPLITS,
        name="every_symbol_has_splits",
        description=(
            "The splits of every symbol have been answered for. Until they are, its prices are staged as if it had "
            "never split; once they are, every row they change is published again."
        ),
    )
    def every_symbol_has_splits(pipeline: dg.ResourceParam[Pipeline]) -> dg.AssetCheckResult:
        missing = never_received(pipeline)
        return dg.AssetCheckResult(
            passed=not missing,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"no answer yet for {', '.join(missing)}" if missing else None,
            metadata={
                "symbols missing": len(missing),
                **({"remedy": "materialize raw/splits again when calls are free"} if missing else {}),
            },
        )

    return [symbols, every_symbol_has_splits, _files_check()]


def _files_check() -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=RAW_PRICES,
        name=FILES,
        description="Every file that others brought into the raw area could be read; one that could not is set aside.",
    )
    def every_file_is_readable(pipeline: dg.ResourceParam[Pipeline]) -> dg.AssetCheckResult:
        notes = rejected_files(pipeline.backend, since=datetime.now(UTC) - FILES_SHOWN_FOR)
        schema = dg.TableSchema(columns=[dg.TableColumn("file", "string"), dg.TableColumn("why", "string")])
        rows = [dg.TableRecord({"file": note.response_key, "why": note.detail}) for note in notes[:SYMBOLS_SHOWN]]
        return dg.AssetCheckResult(
            passed=not notes,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{len(notes)} files were set aside, the last: {notes[0].detail}" if notes else None,
            metadata={
                "files set aside": len(notes),
                **({"files": dg.MetadataValue.table(rows, schema=schema), "remedy": FILES_REMEDY} if notes else {}),
            },
        )

    return every_file_is_readable


def check_names(universe: Universe) -> dict[str, str]:
    """Name each symbol's check, such as `nvda_complete`; none in a universe too large to show."""
    if len(universe.symbols) > SYMBOLS_SHOWN:
        return {}
    names: dict[str, str] = {}
    for symbol in universe.symbols:
        plain = re.sub(r"[^a-z0-9]", "_", symbol.lower())
        # BRK.B and BRK-B would share a name.
        same = sum(name.startswith(f"{plain}_complete") for name in names.values())
        names[symbol] = f"{plain}_complete" + (f"_{same + 1}" if same else "")
    return names


def _spec(universe: Universe, symbol: str, name: str) -> dg.AssetCheckSpec:
    [listing] = [listing for listing in universe.listings if listing.symbol == symbol]
    return dg.AssetCheckSpec(
        name,
        asset=RAW_PRICES,
        description=f"{listing.name} ({symbol}) has a stored bar of each session asked for on which it was listed.",
        metadata={"symbol": symbol},
    )


def _result(name: str, standing: SymbolStatus) -> dg.AssetCheckResult:
    arrived = not standing.missing
    metadata: dict[str, dg.MetadataValue | str | int] = {
        "symbol": standing.symbol,
        "outcome": standing.outcome.value,
        "meaning": MEANING[standing.outcome],
        "why": standing.why,
        "sessions wanted": len(standing.wanted),
        "sessions missing": len(standing.missing),
    }
    if standing.last_asked is not None:
        metadata["last asked"] = dg.MetadataValue.timestamp(standing.last_asked)
    if not arrived:
        metadata["missing"] = _range(standing)
        metadata["remedy"] = REMEDY[standing.outcome]
    if standing.since is not None:
        metadata["since"] = dg.MetadataValue.timestamp(standing.since)
    return dg.AssetCheckResult(
        asset_key=RAW_PRICES,
        check_name=name,
        passed=arrived,
        severity=dg.AssetCheckSeverity.WARN,
        description=None if arrived else _line(standing),
        metadata=metadata,
    )


def _summary(found: Sequence[SymbolStatus]) -> dg.AssetCheckResult:
    missing = [standing for standing in found if standing.missing]
    schema = dg.TableSchema(
        columns=[dg.TableColumn(name, "string") for name in ("symbol", "outcome", "missing", "since", "why", "remedy")]
    )
    rows = [
        dg.TableRecord(
            {
                "symbol": standing.symbol,
                "outcome": standing.outcome.value,
                "missing": _range(standing),
                "since": _moment(standing),
                "why": standing.why,
                "remedy": REMEDY[standing.outcome],
            }
        )
        for standing in missing
    ]
    return dg.AssetCheckResult(
        asset_key=RAW_PRICES,
        check_name=SUMMARY,
        passed=not missing,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(f"{standing.symbol}: {standing.outcome}" for standing in missing) or None,
        metadata={
            "symbols": len(found),
            "symbols missing": len(missing),
            **({"missing": dg.MetadataValue.table(rows, schema=schema)} if rows else {}),
        },
    )


def _line(standing: SymbolStatus) -> str:
    return f"{standing.outcome}, since {_moment(standing)}: {standing.why}. What to do: {REMEDY[standing.outcome]}"


def _range(standing: SymbolStatus) -> str:
    first, last = standing.missing[0], standing.missing[-1]
    return f"{first}" if first == last else f"{first} to {last} ({len(standing.missing)} sessions)"


def _moment(standing: SymbolStatus) -> str:
    return f"{standing.since:%Y-%m-%d %H:%M} UTC" if standing.since is not None else ""


def _latest_session() -> list[date]:
    """Give the newest session that has closed, for a check launched by itself."""
    now = datetime.now(UTC)
    closed = [day for day in sessions_between((now - _TEN_DAYS).date(), now.date()) if closing_time(day) <= now]
    return closed[-1:]
