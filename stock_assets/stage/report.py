"""What a load holds, as metadata that an operator reads in the UI: in all, per session, and a preview.

Belongs here: counting and showing. Does not belong here: the load itself (`load`, `staging`).
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import dagster as dg

from stock_assets.backends.interface import Backend
from stock_assets.core.errors import ObjectExists
from stock_assets.core.sql import Fragment, SqlValue, statement
from stock_assets.core.tables import (
    QUARANTINED_PRICES,
    STAGED_PRICES,
    STAGED_QUARANTINE,
    TYPED_PRICES,
    Table,
)
from stock_assets.core.text import markdown_table
from stock_assets.loads.load import Load, report_key

_PRICE_COLUMNS = (
    "symbol",
    "trade_date",
    "close_price",
    "prev_close",
    "price_change_pct",
    "rolling_avg_5d",
    "volume_surge_ratio",
    "candle_type",
)
_QUARANTINE_COLUMNS = ("symbol", "trade_date", "audit", "detail", "payload")

Row = dict[str, Any]


@dataclass(frozen=True)
class Report:
    """What a load holds.

    Attributes:
        sessions: of every session asked for: symbols, rows to publish, bars in quarantine.
        prices: the last session, as staged.
        quarantine: the first bars in quarantine.
    """

    sessions: list[Row]
    prices: list[Row]
    quarantine: list[Row]


def show_load(context: dg.AssetExecutionContext, backend: Backend, load: Load, table: Table) -> dict[str, str | int]:
    """Add what a load holds to the materializations of a table: counts to each session's, a preview to the last one's.

    Returns:
        what every session's materialization says about the whole load; a run over a year stores it 251 times, so it
        is kept short.
    """
    report = report_of(backend, load)
    count = "quarantined" if table is QUARANTINED_PRICES else "published_rows"
    keys = set(context.partition_keys)
    for session in report.sessions:
        # A bar may claim a day that is no session; the audit of trading sessions will say so.
        if session["trade_date"] in keys:
            context.add_asset_metadata(
                {
                    "dagster/partition_row_count": session[count],
                    "symbols": session["symbols"],
                    "quarantined": session["quarantined"],
                },
                asset_key=table.asset_key,
                partition_key=session["trade_date"],
            )
    preview = report.quarantine if table is QUARANTINED_PRICES else report.prices
    context.add_asset_metadata(
        {"preview": dg.MetadataValue.md(markdown_table(preview)), **backend.sql_spending()},
        asset_key=table.asset_key,
        partition_key=max(keys),
    )
    return {
        "load": load.load_id,
        "load asked for": f"{load.start_date} to {load.end_date}, {len(report.sessions)} sessions",
        "load replaces": f"{load.first_date} to {load.last_date}",
        "load rows": load.rows,
        "load quarantined": load.quarantined,
    }


def report_of(backend: Backend, load: Load) -> Report:
    """Read the report of a load, or make it: once, since an engine may acquire for each look."""
    try:
        return Report(**json.loads(backend.objects.get(report_key(load.load_id))))
    except KeyError:
        report = _make_report(backend, load)
    with suppress(ObjectExists):
        backend.objects.put(report_key(load.load_id), json.dumps(asdict(report), default=str).encode())
    return report


def _make_report(backend: Backend, load: Load) -> Report:
    with backend.warehouse.open(load.load_id) as sql:
        values: dict[str, SqlValue] = {
            "typed_prices": sql.name(TYPED_PRICES),
            "quarantined_prices": sql.name(STAGED_QUARANTINE),
            "staged_prices": sql.name(STAGED_PRICES),
            "end_date": load.end_date,
        }
        parts: dict[str, SqlValue] = {
            "sessions": Fragment(statement("stage/sessions.sql").bind(values)),
            "prices": Fragment(statement("stage/preview_prices.sql").bind(values)),
            "quarantine": Fragment(statement("stage/preview_quarantine.sql").bind(values)),
        }
        rows = sql.query(statement("stage/report.sql").bind(parts)).to_pylist()
    return Report(
        sessions=_part(rows, "session", ("trade_date", "symbols", "published_rows", "quarantined")),
        prices=_part(rows, "price", _PRICE_COLUMNS),
        quarantine=_part(rows, "quarantine", _QUARANTINE_COLUMNS),
    )


def _part(rows: Sequence[Row], part: str, columns: Sequence[str]) -> list[Row]:
    """Choose the rows and columns of one part; dates as text, as they are stored."""
    return [
        {column: str(row[column]) if column == "trade_date" else row[column] for column in columns}
        for row in rows
        if row["part"] == part
    ]
