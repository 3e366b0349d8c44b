"""When splits are asked for: slowly, sooner after a jump, and never at the cost of a price."""

from datetime import date, timedelta

import pytest

from stock_assets.homes.interfaces import FetchKind, Home
from stock_assets.ingest.fetch import fetch_prices, fetch_splits, known_splits
from stock_assets.ingest.split_refresh import never_answered
from stock_assets.publish.publishing import publish
from stock_assets.sessions import closing_time, sessions_between
from stock_assets.stage.staging import stage
from stock_assets.universe import Universe
from stock_assets_tests.support.clock import FakeClock
from stock_assets_tests.support.live import live_source, symbols, utc
from stock_assets_tests.support.path import LIMITS
from stock_assets_tests.support.vendor_server import HEADER, Mischief, VendorServer

TODAY = date(2024, 3, 1)


class Desk:
    """A home, a server and a clock."""

    def __init__(self, home: Home, server: VendorServer) -> None:
        self.home, self.server, self.clock = home, server, FakeClock(utc("2024-03-01 22:00"))
        server.last_session = TODAY

    def splits(self, universe: Universe, **options: object) -> dict[str, str]:
        """Ask for splits."""
        source = live_source(self.server, now=self.clock.now, **options)
        return fetch_splits(self.home, source, universe, now=self.clock.now, sleep=self.clock.sleep)

    def prices(self, universe: Universe, *sessions: date, **options: object) -> None:
        """Ask for prices."""
        source = live_source(self.server, now=self.clock.now, **options)
        fetch_prices(self.home, source, universe, sessions, now=self.clock.now, sleep=self.clock.sleep)

    def asked(self) -> list[str]:
        """Symbols whose splits were asked for since the last look."""
        found = self.server.asked("SPLITS")
        self.server.requests.clear()
        return found


@pytest.fixture
def desk(home: Home, server: VendorServer) -> Desk:
    return Desk(home, server)


def test_an_answer_holds_for_a_week_and_is_kept_once(desk: Desk) -> None:
    desk.server.splits = {"S01": {"2021-07-20": "4.0000"}}
    assert desk.splits(symbols(2)) == {}
    assert desk.asked() == ["S01", "S02"]

    desk.clock.sleep(timedelta(days=7).total_seconds() - 60)
    desk.splits(symbols(2))
    assert desk.asked() == []

    desk.clock.sleep(60)
    desk.splits(symbols(2))
    assert desk.asked() == ["S01", "S02"]
    assert len({fetch.payload for fetch in desk.home.ledger.fetches(FetchKind.SPLITS, symbol="S01")}) == 1
    assert [split.ex_date for split in known_splits(desk.home, live_source(desk.server))["S01"]] == [date(2021, 7, 20)]

    desk.clock.sleep(86400)
    desk.splits(symbols(2), splits_refresh_days=1)
    assert desk.asked() == ["S01", "S02"]


def test_prices_keep_their_calls(desk: Desk) -> None:
    plan = {"calls_per_day": 6}
    failures = desk.splits(symbols(4), **plan)
    # Four calls stay for the four prices of today.
    assert desk.asked() == ["S01", "S02"]
    assert list(failures) == ["S03", "S04"]
    assert "kept for prices" in failures["S03"]
    assert never_answered(desk.home, symbols(4)) == ["S03", "S04"]

    desk.prices(symbols(4), TODAY, **plan)
    assert len(desk.server.asked()) == 4
    desk.server.requests.clear()

    # On the day after, a Saturday, no price is missing and splits may take what they need.
    desk.clock.sleep(86400)
    assert desk.splits(symbols(4), **plan) == {}
    assert desk.asked() == ["S03", "S04"]


def test_in_the_evening_splits_get_what_prices_left(desk: Desk) -> None:
    desk.prices(symbols(20), TODAY, calls_per_day=25)
    failures = desk.splits(symbols(20), calls_per_day=25)
    assert len(desk.asked()) == 5
    assert len(failures) == 15


def test_a_lasting_refusal_is_asked_about_once_a_day(desk: Desk) -> None:
    desk.server.answer("S01", Mischief.INVALID_CALL, function="SPLITS")
    for _ in range(2):
        assert "does not know" in desk.splits(symbols(1))["S01"]
    assert desk.asked() == ["S01"]
    desk.clock.sleep(86400)
    desk.splits(symbols(1))
    assert desk.asked() == ["S01"]


def test_a_jump_nobody_explained_makes_splits_due_until_it_is_explained(desk: Desk) -> None:
    sessions = sessions_between(date(2024, 2, 20), TODAY)
    last = sessions[-1]
    desk.clock.set(closing_time(sessions[-2]) + timedelta(hours=1))
    universe = symbols(2)
    desk.splits(universe)
    # Both symbols fall to a tenth on the last day; one without a split that anybody knows.
    for symbol, price in (("S01", 100), ("S02", 200)):
        lines = [
            f"{day},{p},{p},{p},{p},1000" for day in reversed(sessions) for p in [price / (10 if day == last else 1)]
        ]
        desk.server.answer(symbol, "".join(f"{line}\r\n" for line in (HEADER, *lines)).encode())
    source = live_source(desk.server, now=desk.clock.now)

    def load() -> dict[object, object]:
        desk.prices(universe, *sessions)
        stage(desk.home, source, universe, sessions, limits=LIMITS)
        publish(desk.home, source, universe, sessions, limits=LIMITS)
        with desk.home.warehouse.open() as sql:
            rows = sql.query(
                f"SELECT symbol, price_change_pct FROM published.daily_prices WHERE trade_date = DATE '{last}'"
            ).to_pylist()
        return {row["symbol"]: round(row["price_change_pct"]) for row in rows}

    desk.clock.set(closing_time(last) + timedelta(hours=1))
    desk.asked()
    assert load() == {"S01": -90, "S02": -90}

    # The run after that one asks again, though the answers are a day old; the vendor knows of one split by now.
    desk.server.splits = {"S01": {str(last): "10.0000"}}
    desk.splits(universe)
    assert desk.asked() == ["S01", "S02"]
    assert load() == {"S01": 0, "S02": -90}

    desk.splits(universe)
    assert desk.asked() == []
    for _ in range(6):
        desk.clock.sleep(86400)
        desk.splits(universe)
    # Once a day until three days after the session; the explained one not at all before its week is over.
    assert desk.asked() == ["S02", "S02", "S02"]
