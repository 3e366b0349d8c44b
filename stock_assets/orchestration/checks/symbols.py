"""The checks on the raw assets: one per symbol, a summary, and one of the splits.

Belongs here: showing a symbol's status in Dagster. Does not belong here: computing it (`ingest.symbol_status`). None of
these checks blocks: stored bars are staged, and the audits check them.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from stock_assets.core.calendar import closing_time, format_ranges, sessions_between
from stock_assets.core.text import SYMBOLS_SHOWN, plural, shorten_lines, shorten_list
from stock_assets.core.universe import Universe
from stock_assets.ingest.landing_files import REMEDY as FILES_REMEDY
from stock_assets.ingest.landing_files import files_with_problems
from stock_assets.ingest.outcomes import MEANING, REMEDY, count_outcomes
from stock_assets.ingest.split_requests import never_received
from stock_assets.ingest.symbol_status import SymbolStatus, symbol_statuses
from stock_assets.orchestration.keys import RAW_PRICES, RAW_SPLITS, Names
from stock_assets.orchestration.partitions import tagged_sessions
from stock_assets.pipeline import Pipeline

SUMMARY = "every_requested_symbol_is_stored"
FILES = "every_landing_file_is_readable"
FILES_SHOWN_FOR = timedelta(days=14)
"""Time for which a rejected file is shown."""
_TEN_DAYS = timedelta(days=10)


def raw_checks(universe: Universe, names: Names) -> list[dg.AssetChecksDefinition]:
    """Return the checks of both raw assets."""
    checks, raw_prices = check_names(universe), names.key(RAW_PRICES)

    @dg.multi_asset_check(
        name=names.name("symbols"),
        specs=[
            dg.AssetCheckSpec(
                SUMMARY,
                asset=raw_prices,
                description="Every symbol has a stored bar for each session of the run on which it was listed.",
            ),
            *(_spec(universe, symbol, dg.AssetCheckKey(raw_prices, name)) for symbol, name in checks.items()),
        ],
        can_subset=True,
        description="Reads the ledger for the sessions of the run.",
    )
    @names.uses_pipeline
    def symbols(
        context: dg.AssetCheckExecutionContext, pipeline: dg.ResourceParam[Pipeline]
    ) -> Iterator[dg.AssetCheckResult]:
        sessions = tagged_sessions(context.run.tags) or _latest_session()
        statuses = symbol_statuses(pipeline, sessions)
        selected = {key.name for key in context.selected_asset_check_keys}
        for status in statuses:
            if checks.get(status.symbol) in selected:
                yield _result(dg.AssetCheckKey(raw_prices, checks[status.symbol]), status)
        if SUMMARY in selected:
            yield _summary(raw_prices, statuses, sessions)

    @dg.asset_check(
        asset=names.key(RAW_SPLITS),
        name="every_symbol_has_splits",
        description=(
            "A response with the splits of every symbol is stored. Without it, prices are staged as if the symbol had "
            "never split; when it is stored, the rows that the splits change are published again."
        ),
    )
    @names.uses_pipeline
    def every_symbol_has_splits(pipeline: dg.ResourceParam[Pipeline]) -> dg.AssetCheckResult:
        missing = never_received(pipeline)
        return dg.AssetCheckResult(
            passed=not missing,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"no response yet for {shorten_list(missing, SYMBOLS_SHOWN)}" if missing else None,
            metadata={
                "symbols missing": len(missing),
                **({"remedy": "materialize raw/splits again when calls are available"} if missing else {}),
            },
        )

    return [symbols, every_symbol_has_splits, _files_check(names)]


def _files_check(names: Names) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=names.key(RAW_PRICES),
        name=FILES,
        description="Every row of every landing file is loaded; rows and files that are not are named with the reason.",
    )
    @names.uses_pipeline
    def every_landing_file_is_readable(pipeline: dg.ResourceParam[Pipeline]) -> dg.AssetCheckResult:
        found = files_with_problems(pipeline.backend, since=datetime.now(UTC) - FILES_SHOWN_FOR)
        schema = dg.TableSchema(columns=[dg.TableColumn("file", "string"), dg.TableColumn("why", "string")])
        rows = [dg.TableRecord({"file": note.response_key, "why": note.detail}) for note in found[:SYMBOLS_SHOWN]]
        return dg.AssetCheckResult(
            passed=not found,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"not loaded completely: {plural(len(found), 'file')}, the last: {found[0].detail}"
            if found
            else None,
            metadata={
                "files with problems": len(found),
                **({"files": dg.MetadataValue.table(rows, schema=schema), "remedy": FILES_REMEDY} if found else {}),
            },
        )

    return every_landing_file_is_readable


def check_names(universe: Universe) -> dict[str, str]:
    """Return the name of each symbol's check, such as `nvda_complete`.

    A universe of more than `SYMBOLS_SHOWN` symbols has no checks of single symbols, only the summary.
    """
    if len(universe.symbols) > SYMBOLS_SHOWN:
        return {}
    names: dict[str, str] = {}
    for symbol in universe.symbols:
        plain = re.sub(r"[^a-z0-9]", "_", symbol.lower())
        # BRK.B and BRK-B would share a name.
        same = sum(name.startswith(f"{plain}_complete") for name in names.values())
        names[symbol] = f"{plain}_complete" + (f"_{same + 1}" if same else "")
    return names


def _spec(universe: Universe, symbol: str, key: dg.AssetCheckKey) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        key.name,
        asset=key.asset_key,
        description=f"{universe.name_of(symbol)} ({symbol}) has a stored bar for each session of the run on which it "
        "was listed.",
        metadata={"symbol": symbol},
    )


def _result(key: dg.AssetCheckKey, status: SymbolStatus) -> dg.AssetCheckResult:
    is_stored = not status.missing
    metadata: dict[str, dg.MetadataValue | str | int] = {
        "symbol": status.symbol,
        "outcome": status.outcome.value,
        "meaning": MEANING[status.outcome],
        "why": status.why,
        "sessions requested": len(status.wanted),
        "sessions missing": len(status.missing),
    }
    if status.last_requested_at is not None:
        metadata["last request"] = dg.MetadataValue.timestamp(status.last_requested_at)
    if not is_stored:
        metadata["missing"] = _range(status)
        metadata["remedy"] = REMEDY[status.outcome]
    if status.since is not None:
        metadata["since"] = dg.MetadataValue.timestamp(status.since)
    return dg.AssetCheckResult(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=is_stored,
        severity=dg.AssetCheckSeverity.WARN,
        description=None if is_stored else _line(status),
        metadata=metadata,
    )


def _summary(
    raw_prices: dg.AssetKey, statuses: Sequence[SymbolStatus], sessions: Sequence[date]
) -> dg.AssetCheckResult:
    missing = [status for status in statuses if status.missing]
    schema = dg.TableSchema(
        columns=[dg.TableColumn(name, "string") for name in ("symbol", "outcome", "missing", "since", "why", "remedy")]
    )
    rows = [
        dg.TableRecord(
            {
                "symbol": status.symbol,
                "outcome": status.outcome.value,
                "missing": _range(status),
                "since": _since(status),
                "why": status.why,
                "remedy": REMEDY[status.outcome],
            }
        )
        for status in missing[:SYMBOLS_SHOWN]
    ]
    return dg.AssetCheckResult(
        asset_key=raw_prices,
        check_name=SUMMARY,
        passed=not missing,
        severity=dg.AssetCheckSeverity.WARN,
        description=_outcomes(missing) or None,
        metadata={
            "covers": format_ranges(sessions),
            "symbols": len(statuses),
            "symbols missing": len(missing),
            **({"missing": dg.MetadataValue.table(rows, schema=schema)} if rows else {}),
        },
    )


def _outcomes(missing: Sequence[SymbolStatus]) -> str:
    """Return the outcomes of the symbols with missing bars; of many symbols, the counts and the first symbols."""
    lines = [f"{status.symbol}: {status.outcome}" for status in missing]
    counts = [] if len(lines) <= SYMBOLS_SHOWN else [count_outcomes(status.outcome for status in missing)]
    return "; ".join([*counts, *shorten_lines(lines, SYMBOLS_SHOWN)])


def _line(status: SymbolStatus) -> str:
    return f"{status.outcome}, since {_since(status)}: {status.why}. Remedy: {REMEDY[status.outcome]}"


def _range(status: SymbolStatus) -> str:
    first, last = status.missing[0], status.missing[-1]
    return f"{first}" if first == last else f"{first} to {last} ({plural(len(status.missing), 'session')})"


def _since(status: SymbolStatus) -> str:
    return f"{status.since:%Y-%m-%d %H:%M} UTC" if status.since is not None else ""


def _latest_session() -> list[date]:
    """Return the newest session that has closed, for a check that runs alone."""
    now = datetime.now(UTC)
    closed = [day for day in sessions_between((now - _TEN_DAYS).date(), now.date()) if closing_time(day) <= now]
    return closed[-1:]
