"""The report of a load for the Dagster UI: counts per session and previews of rows.

Belongs here: counting and previewing the rows of a load. Does not belong here: the load itself (`loads.load`,
`stage.staging`).
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from stock_assets.backends.interface import Backend
from stock_assets.core.errors import ObjectExists
from stock_assets.core.sql import Fragment, SqlValue, statement
from stock_assets.core.tables import STAGED_PRICES, STAGED_QUARANTINE, TYPED_PRICES
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
class LoadReport:
    """Counts and previews of the rows of a load.

    Attributes:
        sessions: for each requested session: symbols, rows to publish, quarantined bars.
        prices: the rows of the last requested session, as staged.
        quarantine: the first quarantined bars.
    """

    sessions: list[Row]
    prices: list[Row]
    quarantine: list[Row]


def load_report(backend: Backend, load: Load) -> LoadReport:
    """Return the report of a load; it is computed once and stored, since an engine may charge for each query."""
    try:
        return LoadReport(**json.loads(backend.objects.get(report_key(load.load_id))))
    except KeyError:
        report = _compute_report(backend, load)
    with suppress(ObjectExists):
        backend.objects.put(report_key(load.load_id), json.dumps(asdict(report), default=str).encode())
    return report


def _compute_report(backend: Backend, load: Load) -> LoadReport:
    with backend.warehouse.connect(load.load_id) as sql:
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
    return LoadReport(
        sessions=_part(rows, "session", ("trade_date", "symbols", "published_rows", "quarantined")),
        prices=_part(rows, "price", _PRICE_COLUMNS),
        quarantine=_part(rows, "quarantine", _QUARANTINE_COLUMNS),
    )


def _part(rows: Sequence[Row], part: str, columns: Sequence[str]) -> list[Row]:
    """Return the rows and columns of one part, with dates as text, as the stored report has them."""
    return [
        {column: str(row[column]) if column == "trade_date" else row[column] for column in columns}
        for row in rows
        if row["part"] == part
    ]
