"""The report of a load: counts per session, the sessions that were excluded, and previews of rows for the Dagster UI.

Belongs here: counting and previewing the rows of a load, naming its excluded sessions. Does not belong here: the load
itself (`loads.load`, `stage.staging`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from stock_assets.backends.interface import Backend, SqlConnection
from stock_assets.backends.stored_records import fields_of, read_record, record_body
from stock_assets.core.sql import Fragment, Name, SqlValue, statement
from stock_assets.core.text import SYMBOLS_SHOWN
from stock_assets.loads.audit_files import AuditKind, bound_audits
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
        sessions: for each requested session with a bar: symbols, rows to publish, quarantined bars, and a
            digest of the rows to publish.
        prices: the first rows of the last requested session, as staged.
        quarantine: the first quarantined bars.
        excluded: the findings that exclude sessions: trade_date, audit, detail.
        rows_of_last_session: the number of rows of which `prices` has the first ones.
    """

    sessions: list[Row]
    prices: list[Row]
    quarantine: list[Row]
    excluded: list[Row] = field(default_factory=list)
    rows_of_last_session: int = 0

    @property
    def excluded_sessions(self) -> tuple[date, ...]:
        """The excluded sessions, in order."""
        return tuple(sorted({date.fromisoformat(row["trade_date"]) for row in self.excluded}))


def load_report(backend: Backend, load: Load) -> LoadReport:
    """Return the report of a load, as staging stored it; an empty one if an earlier version staged the load."""
    try:
        return LoadReport(**read_record(backend.objects, report_key(load.load_id)))
    except KeyError:
        return LoadReport([], [], [])


def store_report(backend: Backend, load: Load, report: LoadReport) -> None:
    """Store the report of a load, since an engine may charge for each query."""
    backend.objects.put(report_key(load.load_id), record_body(fields_of(report)))


def session_failures(values: Mapping[str, SqlValue]) -> Fragment:
    """Return the SELECT of the bad rows of all session audits, each of which excludes its session."""
    return Fragment("\nUNION ALL\n".join(select for _, select in bound_audits(values, AuditKind.SESSION)))


def compute_report(sql: SqlConnection, values: Mapping[str, SqlValue]) -> LoadReport:
    """Compute the report of a load with one statement, after its tables are staged.

    Args:
        sql: a session of the load.
        values: the values of the marks, with the SELECT `session_failures`.
    """
    numbers = Fragment(statement("coverage/row_numbers.sql").bind({**values, "prices": values["staged_prices"]}))
    parts: dict[str, SqlValue] = {
        "session_failures": values["session_failures"],
        "sessions": Fragment(statement("stage/sessions.sql").bind({**values, "excluded_sessions": Name("excluded")})),
        "digests": Fragment(statement("stage/session_digests.sql").bind({"row_numbers": numbers})),
        "prices": Fragment(statement("stage/preview_prices.sql").bind({**values, "rows_shown": SYMBOLS_SHOWN})),
        "quarantine": Fragment(statement("stage/preview_quarantine.sql").bind(values)),
    }
    rows = sql.query(statement("stage/report.sql").bind(parts)).to_pylist()
    return LoadReport(
        sessions=_part(rows, "session", ("trade_date", "symbols", "published_rows", "quarantined", "digest")),
        prices=_part(rows, "price", _PRICE_COLUMNS),
        quarantine=_part(rows, "quarantine", _QUARANTINE_COLUMNS),
        excluded=_part(rows, "excluded", ("trade_date", "audit", "detail")),
        rows_of_last_session=next((row["published_rows"] for row in rows if row["part"] == "price"), 0),
    )


def _part(rows: Sequence[Row], part: str, columns: Sequence[str]) -> list[Row]:
    """Return the rows and columns of one part, with dates as text, as the stored report has them."""
    return [
        {column: str(row[column]) if column == "trade_date" else row[column] for column in columns}
        for row in rows
        if row["part"] == part
    ]
