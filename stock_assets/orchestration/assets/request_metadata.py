"""What the raw assets show about requests, landing files and splits: log lines and metadata.

Belongs here: their format. Does not belong here: the assets (`raw`), requesting (`ingest`).

Each text has an upper limit. The size of a run's events must not depend on the number of symbols.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

from stock_assets.core.errors import Outcome
from stock_assets.core.text import SYMBOLS_SHOWN, markdown_table, shorten_lines, shorten_list
from stock_assets.ingest.landing_conversion import LandingFile
from stock_assets.ingest.outcomes import count_outcomes
from stock_assets.ingest.price_requests import SymbolResult

_FILES_SHOWN = 10


def log_results(context: dg.AssetExecutionContext, results: Sequence[SymbolResult]) -> None:
    """Log a line per symbol; of many symbols, the counts and the first symbols with a problem."""
    if len(results) <= SYMBOLS_SHOWN:
        for result in results:
            log = context.log.info if result.outcome is Outcome.OK else context.log.warning
            log(_line(result))
        return
    context.log.info(count_outcomes(result.outcome for result in results))
    log_warnings(context, [_line(result) for result in results if result.outcome is not Outcome.OK])


def log_files(context: dg.AssetExecutionContext, files: Sequence[LandingFile]) -> None:
    """Log a line per landing file; the first ones, if there are many."""
    log_warnings(context, [_file_line(file) for file in files if file.warnings])
    for line in shorten_lines([_file_line(file) for file in files if not file.warnings], SYMBOLS_SHOWN):
        context.log.info(line)


def log_warnings(context: dg.AssetExecutionContext, lines: Sequence[str]) -> None:
    """Log the first lines as warnings, and count the others."""
    for line in shorten_lines(lines, SYMBOLS_SHOWN):
        context.log.warning(line)


def list_files(files: Sequence[LandingFile]) -> str:
    """Return the number of landing files, and the first ones."""
    names = [f"{file.entry.key} ({file.summary})" for file in files]
    return f"{len(names)}: {shorten_list(names, _FILES_SHOWN)}" if names else "none"


def request_metadata(results: Sequence[SymbolResult]) -> dict[str, int | str | dg.MetadataValue]:
    """Return the metadata of requests; a table of many symbols has the symbols with a problem first."""
    missing = [result.symbol for result in results if result.missing]
    shown = list(results)
    if len(results) > SYMBOLS_SHOWN:
        shown.sort(key=lambda result: result.outcome is Outcome.OK)
    return {
        "symbols": sum(bool(result.wanted) for result in results),
        "symbols missing": shorten_list(missing, SYMBOLS_SHOWN) or "none",
        "calls": sum(result.calls for result in results),
        "outcome counts": count_outcomes(result.outcome for result in results),
        "outcomes": dg.MetadataValue.md(markdown_table([_row(result) for result in shown])),
    }


def splits_table(rows: Sequence[Mapping[str, str]]) -> dg.MetadataValue:
    """Return the table of the known splits; of many splits, the newest ones."""
    shown = rows
    if len(rows) > SYMBOLS_SHOWN:
        shown = sorted(rows, key=lambda row: row["ex-date"], reverse=True)
    return dg.MetadataValue.md(markdown_table(shown))


def _line(result: SymbolResult) -> str:
    return f"{result.symbol}: {result.outcome}, {result.detail}"


def _file_line(file: LandingFile) -> str:
    return f"landing file {file.entry.key}: {file.summary}"


def _row(result: SymbolResult) -> dict[str, object]:
    return {
        "symbol": result.symbol,
        "outcome": result.outcome,
        "sessions requested": len(result.wanted),
        "missing": len(result.missing),
        "calls": result.calls,
        "detail": result.detail,
    }
