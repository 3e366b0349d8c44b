"""Compare published rows with rows that are computed again from the raw responses.

Belongs here: which sessions are computed, and the comparison. Does not belong here: computing rows (`stage`), checking
files (`verify`). Nothing is published, and the staging tables are dropped.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from stock_assets.core.calendar import next_session
from stock_assets.core.errors import DamagedResponses, NothingStaged
from stock_assets.core.sql import Fragment, SqlValue, statement
from stock_assets.core.tables import DAILY_PRICES, STAGED_PRICES
from stock_assets.core.text import shorten_list
from stock_assets.ingest.parts import PipelineParts
from stock_assets.loads.load import Load, drop_load
from stock_assets.maintenance.findings import Finding
from stock_assets.stage.staging import stage

_SHOWN = 3


@dataclass(frozen=True)
class Sample:
    """The sessions to compute again.

    Attributes:
        every: 1 for all sessions; n for one month in n, chosen evenly.
    """

    every: int = 1


def runs(sessions: Iterable[date]) -> list[list[date]]:
    """Group sessions into runs of consecutive sessions of one year, in order.

    A load has all sessions from its first to its last one, and metrics look back into published sessions only. So a
    session that was never published must not be between two others.
    """
    groups: list[list[date]] = []
    for session in sorted(sessions):
        before = groups[-1][-1] if groups else None
        if before is not None and before.year == session.year and next_session(before) == session:
            groups[-1].append(session)
        else:
            groups.append([session])
    return groups


def differing_rows(
    parts: PipelineParts, sample: Sample, progress: Callable[[str, int, int], None]
) -> Iterator[Finding]:
    """Find published sessions whose rows differ from a computation from the raw responses."""
    with parts.backend.warehouse.connect_to_read() as sql:
        select = statement("coverage/sessions_with_rows.sql").bind({"published_prices": sql.name(DAILY_PRICES)})
        sessions = [row["trade_date"] for row in sql.query(select).to_pylist()]
    months = sorted({(day.year, day.month) for day in sessions})[:: sample.every]
    chosen = runs(day for day in sessions if (day.year, day.month) in set(months))
    for number, group in enumerate(chosen, start=1):
        progress("published rows", number, len(chosen))
        try:
            load = stage(parts, group)
        except (NothingStaged, DamagedResponses):
            # A finding of its own names the damaged responses.
            continue
        try:
            days = _differences(parts, load)
        finally:
            drop_load(parts.backend, load)
        if days:
            yield _finding(days)


def _differences(parts: PipelineParts, load: Load) -> list[date]:
    """Return the days of rows that only one of the two tables has.

    Days outside the load are computed from published rows, so only its own sessions are compared.
    """
    with parts.backend.warehouse.connect(load.load_id) as sql:
        marks: dict[str, SqlValue] = {
            "columns": Fragment(", ".join(DAILY_PRICES.column_names)),
            "staged_rows": sql.name(STAGED_PRICES),
            "published_rows": sql.name(DAILY_PRICES),
            "first_date": load.start_date,
            "last_date": load.end_date,
        }
        return sorted(
            {
                row["trade_date"]
                for change in ("added", "removed")
                for row in sql.query(statement(f"publish/{change}.sql").bind(marks)).to_pylist()
                if load.start_date <= row["trade_date"] <= load.end_date
            }
        )


def _finding(days: Sequence[date]) -> Finding:
    shown = shorten_list([str(day) for day in days], _SHOWN)
    return Finding(
        "published rows",
        DAILY_PRICES.full_name,
        f"rows of {shown} differ from the stored responses",
        "consumers read these rows",
        f"stock-assets backfill {days[0]} {days[-1]}",
        sessions=tuple(days),
    )
