"""Whether the latest session is published, by the exchange's calendar: weekends and holidays are never late.

Belongs here: the expected session and the published one. Does not belong here: loading what is late (`catch_up`), the
check and the sensor (`orchestration`).
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import sessions_between
from stock_assets.core.sql import statement
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.coverage.gaps import catch_up_starts

GRACE = timedelta(hours=1)
"""Time from the start of catch-up for a session until consumers may expect the session."""
_TWO_WEEKS = timedelta(days=14)


@dataclass(frozen=True)
class Freshness:
    """How the table stands at a moment.

    Attributes:
        expected: the session that should be published by then.
        latest: the latest that is, or None.
        symbols: number of symbols published for the expected one.
    """

    expected: date
    latest: date | None
    symbols: int

    @property
    def is_fresh(self) -> bool:
        """Whether the expected session is there."""
        return self.symbols > 0

    @property
    def summary(self) -> str:
        """One line for people."""
        if self.is_fresh:
            return f"session {self.expected} is published, {self.symbols} symbols"
        return f"session {self.expected} should be published and is not; the latest is {self.latest or 'none'}"


def expected_session(at: datetime) -> date:
    """Give the latest session that readers may expect at a moment."""
    days = sessions_between((at - _TWO_WEEKS).date(), at.date())
    return [session for session in days if catch_up_starts(session) + GRACE <= at][-1]


def freshness(backend: Backend, at: datetime) -> Freshness:
    """Look at the published table."""
    expected = expected_session(at)
    with backend.warehouse.open() as sql:
        # Of a table that is up to date, a few weeks are read; only one that is not is read as a whole.
        for since in (expected - _TWO_WEEKS, date.min):
            select = statement("coverage/latest_session.sql").bind(
                {"published_prices": sql.name(DAILY_PRICES), "expected": expected, "since": since}
            )
            [row] = sql.query(select).to_pylist()
            if row["latest_session"] is not None:
                break
    return Freshness(expected, row["latest_session"], row["symbols"])
