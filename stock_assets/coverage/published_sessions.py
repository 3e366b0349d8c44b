"""Compare the published rows of a load's sessions with the rows that the load committed, and with the universe.

Belongs here: the published rows as consumers see them after a load. Does not belong here: why a bar is missing
(`missing_bars`), whether the latest session is published (`freshness`), the asset checks (`orchestration.checks`).
"""

from dataclasses import dataclass
from datetime import date

from stock_assets.core.sql import Fragment, SqlValue, statement
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.ingest.parts import PipelineParts
from stock_assets.loads.inputs import symbol_numbers
from stock_assets.loads.load import Load
from stock_assets.loads.load_report import load_report
from stock_assets.loads.rejections import read_rejection


@dataclass(frozen=True)
class PublishedSession:
    """The published rows of one session.

    Attributes:
        session: trade date.
        row_count: published rows.
        symbols: different symbols of these rows.
        listed_symbols: those of them that were listed on the session.
        listed: all symbols that were listed on the session.
        digest: digest of all values of these rows; 0 without rows.
        committed: rows that the load committed; None if the load did not replace the session.
        committed_digest: digest of these rows, as staging recorded it; None if it did not.
    """

    session: date
    row_count: int
    symbols: int
    listed_symbols: int
    listed: int
    digest: int
    committed: int | None
    committed_digest: int | None

    @property
    def is_as_committed(self) -> bool:
        """Return whether the published rows are those of the load, or the load did not replace the session."""
        equal = self.committed_digest in {None, self.digest}
        return self.committed is None or (self.committed == self.row_count and equal)


def published_sessions(parts: PipelineParts, load: Load) -> list[PublishedSession]:
    """Return the published rows of every session of a load, in order."""
    backend = parts.backend
    with backend.warehouse.connect_to_read() as sql:
        values: dict[str, SqlValue] = {
            "prices": sql.name(DAILY_PRICES),
            "symbol_numbers": sql.register("symbol_numbers", symbol_numbers(parts)),
            "listings": sql.register("listings", parts.universe.table()),
            "start_date": load.start_date,
            "end_date": load.end_date,
        }
        values["row_numbers"] = Fragment(statement("coverage/row_numbers.sql").bind(values))
        select = statement("coverage/session_rows.sql").bind(values)
        found = {row.pop("trade_date"): row for row in sql.query(select).to_pylist()}
    committed, none = _committed(parts, load), {"row_count": 0, "symbols": 0, "listed_symbols": 0, "digest": 0}
    listed, sessions = parts.universe.listed_counts(load.sessions), []
    for session in load.sessions:
        rows, digest = committed.get(session, (None, None))
        counts = found.get(session, none)
        sessions.append(
            PublishedSession(session, **counts, listed=listed[session], committed=rows, committed_digest=digest)
        )
    return sessions


def _committed(parts: PipelineParts, load: Load) -> dict[date, tuple[int, int | None]]:
    """Return number and digest of the rows that the load committed, for each session that it did not exclude or reject.

    A report of an earlier release has no digest.
    """
    rejection = read_rejection(parts.backend, load.load_id)
    kept = {*load.excluded, *(map(date.fromisoformat, rejection.bars) if rejection else ())}
    rows = {
        date.fromisoformat(row["trade_date"]): (int(row["published_rows"]), row.get("digest"))
        for row in load_report(parts.backend, load).sessions
    }
    return {session: rows.get(session, (0, 0)) for session in load.sessions if session not in kept}
