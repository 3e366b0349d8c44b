"""When splits are asked for: slowly, sooner after a jump, and never at the cost of a price."""

from datetime import date, timedelta

import pytest

from stock_assets.backends.interface import Backend, FetchKind
from stock_assets.core.calendar import closing_time, sessions_between
from stock_assets.core.universe import Universe
from stock_assets.ingest.ledger_queries import known_splits
from stock_assets.ingest.price_requests import fetch_prices
from stock_assets.ingest.split_requests import fetch_splits, never_received
from stock_assets.publish.publishing import publish
from stock_assets.stage.staging import stage
from stock_assets_tests.fakes.clock import FakeClock
from stock_assets_tests.fakes.vendor_server import HEADER, Mischief, VendorServer
from stock_assets_tests.support.live_source import live_source, symbols, utc
from stock_assets_tests.support.steps import parts

TODAY = date(2024, 3, 1)


class Notifier:
    """A backend, a server and a clock."""

    def __init__(self, backend: Backend, server: VendorServer) -> None:
        self.backend, self.server, self.clock = backend, server, FakeClock(utc("2024-03-01 22:00"))
        server.last_session = TODAY

    def splits(self, universe: Universe, **options: object) -> dict[str, str]:
        """Ask for splits."""
        source = live_source(self.server, now=self.clock.now, **options)
        return fetch_splits(parts(self.backend, source, universe), now=self.clock.now, sleep=self.clock.sleep)

    def prices(self, universe: Universe, *sessions: date, **options: object) -> None:
        """Ask for prices."""
        source = live_source(self.server, now=self.clock.now, **options)
        fetch_prices(parts(self.backend, source, universe), sessions, now=self.clock.now, sleep=self.clock.sleep)

    def asked(self) -> list[str]:
        """Symbols whose splits were asked for since the last look."""
        found = self.server.asked("SPLITS")
        self.server.requests.clear()
        return found


@pytest.fixture
def notifier(backend: Backend, server: VendorServer) -> Notifier:
    return Notifier(backend, server)


def test_an_answer_holds_for_a_week_and_is_kept_once(notifier: Notifier) -> None:
    notifier.server.splits = {"S01": {"2021-07-20": "4.0000"}}
    assert notifier.splits(symbols(2)) == {}
    assert notifier.asked() == ["S01", "S02"]

    notifier.clock.sleep(timedelta(days=7).total_seconds() - 60)
    notifier.splits(symbols(2))
    assert notifier.asked() == []

    notifier.clock.sleep(60)
    notifier.splits(symbols(2))
    assert notifier.asked() == ["S01", "S02"]
    assert len({fetch.response_key for fetch in notifier.backend.ledger.fetches(FetchKind.SPLITS, symbol="S01")}) == 1
    assert [split.ex_date for split in known_splits(parts(notifier.backend, live_source(notifier.server)))["S01"]] == [
        date(2021, 7, 20)
    ]

    notifier.clock.sleep(86400)
    notifier.splits(symbols(2), splits_refresh_days=1)
    assert notifier.asked() == ["S01", "S02"]


def test_prices_keep_their_calls(notifier: Notifier) -> None:
    plan = {"calls_per_day": 6}
    failures = notifier.splits(symbols(4), **plan)
    # Four calls stay for the four prices of today.
    assert notifier.asked() == ["S01", "S02"]
    assert list(failures) == ["S03", "S04"]
    assert "kept for prices" in failures["S03"]
    assert never_received(parts(notifier.backend, universe=symbols(4))) == ["S03", "S04"]

    notifier.prices(symbols(4), TODAY, **plan)
    assert len(notifier.server.asked()) == 4
    notifier.server.requests.clear()

    # On the day after, a Saturday, no price is missing and splits may take what they need.
    notifier.clock.sleep(86400)
    assert notifier.splits(symbols(4), **plan) == {}
    assert notifier.asked() == ["S03", "S04"]


def test_in_the_evening_splits_get_what_prices_left(notifier: Notifier) -> None:
    notifier.prices(symbols(20), TODAY, calls_per_day=25)
    failures = notifier.splits(symbols(20), calls_per_day=25)
    assert len(notifier.asked()) == 5
    assert len(failures) == 15


def test_a_lasting_refusal_is_asked_about_once_a_day(notifier: Notifier) -> None:
    notifier.server.answer("S01", Mischief.INVALID_CALL, function="SPLITS")
    for _ in range(2):
        assert "does not know" in notifier.splits(symbols(1))["S01"]
    assert notifier.asked() == ["S01"]
    notifier.clock.sleep(86400)
    notifier.splits(symbols(1))
    assert notifier.asked() == ["S01"]


def test_a_jump_nobody_explained_makes_splits_due_until_it_is_explained(notifier: Notifier) -> None:
    sessions = sessions_between(date(2024, 2, 20), TODAY)
    last = sessions[-1]
    notifier.clock.set(closing_time(sessions[-2]) + timedelta(hours=1))
    universe = symbols(2)
    notifier.splits(universe)
    # Both symbols fall to a tenth on the last day; one without a split that anybody knows.
    for symbol, price in (("S01", 100), ("S02", 200)):
        lines = [
            f"{day},{p},{p},{p},{p},1000" for day in reversed(sessions) for p in [price / (10 if day == last else 1)]
        ]
        notifier.server.answer(symbol, "".join(f"{line}\r\n" for line in (HEADER, *lines)).encode())
    source = live_source(notifier.server, now=notifier.clock.now)

    def load() -> dict[object, object]:
        notifier.prices(universe, *sessions)
        stage(parts(notifier.backend, source, universe), sessions)
        publish(parts(notifier.backend, source, universe), sessions)
        with notifier.backend.warehouse.open() as sql:
            rows = sql.query(
                f"SELECT symbol, price_change_pct FROM published.daily_prices WHERE trade_date = DATE '{last}'"
            ).to_pylist()
        return {row["symbol"]: round(row["price_change_pct"]) for row in rows}

    notifier.clock.set(closing_time(last) + timedelta(hours=1))
    notifier.asked()
    assert load() == {"S01": -90, "S02": -90}

    # The run after that one asks again, though the answers are a day old; the vendor knows of one split by now.
    notifier.server.splits = {"S01": {str(last): "10.0000"}}
    notifier.splits(universe)
    assert notifier.asked() == ["S01", "S02"]
    assert load() == {"S01": 0, "S02": -90}

    notifier.splits(universe)
    assert notifier.asked() == []
    for _ in range(6):
        notifier.clock.sleep(86400)
        notifier.splits(universe)
    # Once a day until three days after the session; the explained one not at all before its week is over.
    assert notifier.asked() == ["S02", "S02", "S02"]
