"""Check whether the latest session is published, by the exchange's calendar: weekends and holidays are never late.

Belongs here: the expected session and the published one. Does not belong here: loading a late session (`catch_up`), the
check and the sensor (`orchestration`).
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import sessions_between
from stock_assets.core.sql import statement
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.coverage.gaps import catch_up_start

GRACE = timedelta(hours=1)
"""Time from the start of catch-up for a session until consumers may expect the session."""
_TWO_WEEKS = timedelta(days=14)


@dataclass(frozen=True)
class Freshness:
    """Freshness of published.daily_prices at a timestamp.

    Attributes:
        expected: the session that should be published by then.
        latest: the latest published session, or None.
        symbols: number of symbols published for the expected session.
    """

    expected: date
    latest: date | None
    symbols: int

    @property
    def is_fresh(self) -> bool:
        """Return whether the expected session is published."""
        return self.symbols > 0

    @property
    def is_late(self) -> bool:
        """Return whether consumers wait for the expected session; nobody waits for a table that was never published."""
        return not self.is_fresh and self.latest is not None

    @property
    def summary(self) -> str:
        """The freshness on one line."""
        if self.is_fresh:
            return (
                f"session {self.expected} is published, {self.symbols} {'symbol' if self.symbols == 1 else 'symbols'}"
            )
        if self.latest is None:
            return (
                "nothing is published yet: the first load publishes the table, and the sensor catch_up shows what it "
                "waits for"
            )
        return f"session {self.expected} should be published and is not; the latest is {self.latest}"


def expected_session(at: datetime) -> date:
    """Return the latest session that consumers may expect at a timestamp."""
    days = sessions_between((at - _TWO_WEEKS).date(), at.date())
    return [session for session in days if catch_up_start(session) + GRACE <= at][-1]


def freshness(backend: Backend, at: datetime) -> Freshness:
    """Read the freshness of the published table."""
    expected = expected_session(at)
    with backend.warehouse.connect_to_read() as sql:
        # If the table is up to date, a few weeks are read; otherwise the whole table.
        for since in (expected - _TWO_WEEKS, date.min):
            select = statement("coverage/latest_session.sql").bind(
                {"published_prices": sql.name(DAILY_PRICES), "expected": expected, "since": since}
            )
            [row] = sql.query(select).to_pylist()
            if row["latest_session"] is not None:
                break
    return Freshness(expected, row["latest_session"], row["symbols"])
