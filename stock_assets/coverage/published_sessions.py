"""Count the published rows of a load's sessions, and what they should be.

Belongs here: the published rows as consumers see them after a load. Does not belong here: why a bar is missing
(`missing_bars`), whether the latest session is published (`freshness`), the asset checks (`orchestration.checks`).
"""

from dataclasses import dataclass
from datetime import date

from stock_assets.audit.rejections import read_rejection
from stock_assets.core.sql import statement
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.ingest.parts import PipelineParts
from stock_assets.loads.load import Load
from stock_assets.stage.report import load_report


@dataclass(frozen=True)
class PublishedSession:
    """The published rows of one session.

    Attributes:
        session: trade date.
        row_count: published rows.
        symbols: different symbols of these rows.
        listed_symbols: those of them that were listed on the session.
        listed: all symbols that were listed on the session.
        committed: rows that the load committed; None if the load did not replace the session.
    """

    session: date
    row_count: int
    symbols: int
    listed_symbols: int
    listed: int
    committed: int | None


def published_sessions(parts: PipelineParts, load: Load) -> list[PublishedSession]:
    """Return the published rows of every session of a load, in order."""
    backend = parts.backend
    with backend.warehouse.connect_to_read() as sql:
        select = statement("coverage/published_sessions.sql").bind(
            {
                "published_prices": sql.name(DAILY_PRICES),
                "listings": sql.register("listings", parts.universe.table()),
                "start_date": load.start_date,
                "end_date": load.end_date,
            }
        )
        found = {row.pop("trade_date"): row for row in sql.query(select).to_pylist()}
    committed, none = _committed(parts, load), {"row_count": 0, "symbols": 0, "listed_symbols": 0}
    return [
        PublishedSession(
            session,
            **found.get(session, none),
            listed=sum(parts.universe.covers(symbol, session) for symbol in parts.universe.symbols),
            committed=committed.get(session),
        )
        for session in load.sessions
    ]


def _committed(parts: PipelineParts, load: Load) -> dict[date, int]:
    """Return the rows that the load committed, for each session that it did not exclude or reject."""
    rejection = read_rejection(parts.backend, load.load_id)
    kept = {*load.excluded, *(map(date.fromisoformat, rejection.bars) if rejection else ())}
    rows = {
        date.fromisoformat(row["trade_date"]): int(row["published_rows"])
        for row in load_report(parts.backend, load).sessions
    }
    return {session: rows.get(session, 0) for session in load.sessions if session not in kept}
