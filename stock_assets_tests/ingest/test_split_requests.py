"""When splits are requested: rarely, sooner after a jump, and never with a call that a price needs."""

from collections.abc import Sequence
from datetime import date, timedelta

import pytest

from stock_assets.backends.interface import Backend, FetchKind
from stock_assets.core.calendar import closing_time, sessions_between
from stock_assets.core.call_limits import CallLimits
from stock_assets.core.errors import DamagedResponses, SettingsError
from stock_assets.core.universe import Universe
from stock_assets.ingest import ledger_queries
from stock_assets.ingest.ledger_queries import known_splits
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.price_requests import fetch_prices
from stock_assets.ingest.split_requests import fetch_splits, never_received
from stock_assets.publish.publishing import publish
from stock_assets.sources.interface import PriceSource, Terms
from stock_assets.stage.staging import stage
from stock_assets_tests.fakes.clock import FakeClock
from stock_assets_tests.fakes.vendor_server import HEADER, Mischief, VendorServer
from stock_assets_tests.support.live_source import live_source, symbols, utc
from stock_assets_tests.support.scenes import TWO_WEEKS, wavy_source
from stock_assets_tests.support.steps import FIVE, parts, published_rows

TODAY = date(2024, 3, 1)


class Setup:
    """A backend, a vendor server and a clock."""

    def __init__(self, backend: Backend, server: VendorServer) -> None:
        self.backend, self.server, self.clock = backend, server, FakeClock(utc("2024-03-01 22:00"))
        server.last_session = TODAY

    def parts(self, universe: Universe, **options: object) -> PipelineParts:
        """Return the parts of a pipeline of the live source."""
        return parts(self.backend, live_source(self.server, now=self.clock.now, **options), universe)

    def splits(self, universe: Universe, **options: object) -> dict[str, str]:
        """Request splits."""
        return fetch_splits(self.parts(universe, **options), now=self.clock.now, sleep=self.clock.sleep)

    def prices(self, universe: Universe, *sessions: date, **options: object) -> None:
        """Request prices."""
        source = live_source(self.server, now=self.clock.now, **options)
        fetch_prices(parts(self.backend, source, universe), sessions, now=self.clock.now, sleep=self.clock.sleep)

    def requested(self) -> list[str]:
        """Return the symbols whose splits were requested since the last call of this method."""
        found = self.server.requested("SPLITS")
        self.server.requests.clear()
        return found


@pytest.fixture
def setup(backend: Backend, server: VendorServer) -> Setup:
    return Setup(backend, server)


def test_a_response_is_valid_for_a_week_and_stored_once(setup: Setup) -> None:
    setup.server.splits = {"S01": {"2021-07-20": "4.0000"}}
    assert setup.splits(symbols(2)) == {}
    assert setup.requested() == ["S01", "S02"]

    setup.clock.sleep(timedelta(days=7).total_seconds() - 60)
    setup.splits(symbols(2))
    assert setup.requested() == []

    setup.clock.sleep(60)
    setup.splits(symbols(2))
    assert setup.requested() == ["S01", "S02"]
    assert len({fetch.response_key for fetch in setup.backend.ledger.fetches(FetchKind.SPLITS, symbol="S01")}) == 1
    assert [split.ex_date for split in known_splits(parts(setup.backend, live_source(setup.server)))["S01"]] == [
        date(2021, 7, 20)
    ]

    setup.clock.sleep(86400)
    setup.splits(symbols(2), splits_refresh_days=1)
    assert setup.requested() == ["S01", "S02"]


def test_calls_are_reserved_for_prices(setup: Setup) -> None:
    plan = {"calls_per_day": 6}
    failures = setup.splits(symbols(4), **plan)
    # Four calls are reserved for the four prices of today.
    assert setup.requested() == ["S01", "S02"]
    assert list(failures) == ["S03", "S04"]
    assert "today's 6 calls are used or reserved for prices" in failures["S03"]
    assert never_received(parts(setup.backend, universe=symbols(4))) == ["S03", "S04"]

    setup.prices(symbols(4), TODAY, **plan)
    assert len(setup.server.requested()) == 4
    setup.server.requests.clear()

    # On the next day, a Saturday, no price is missing and splits may use all calls.
    setup.clock.sleep(86400)
    assert setup.splits(symbols(4), **plan) == {}
    assert setup.requested() == ["S03", "S04"]


def test_splits_leave_the_calls_of_late_bars_and_of_tonight(setup: Setup) -> None:
    setup.server.respond("S03", Mischief.LATE, None)
    setup.prices(symbols(4), TODAY, calls_per_day=6)

    # Monday before the market close: one call for the late bar of Friday, and four for the session of today.
    setup.clock.set(utc("2024-03-04 15:00"))
    failures = setup.splits(symbols(4), calls_per_day=6)
    assert setup.requested() == ["S01"]
    assert "or reserved for prices" in failures["S02"]

    setup.prices(symbols(4), TODAY, calls_per_day=6)
    assert setup.server.requested() == ["S03"]


def test_in_the_evening_splits_use_the_calls_that_prices_left(setup: Setup) -> None:
    setup.prices(symbols(20), TODAY, calls_per_day=25)
    failures = setup.splits(symbols(20), calls_per_day=25)
    assert len(setup.requested()) == 5
    assert len(failures) == 15


def test_a_symbol_with_a_lasting_failure_is_requested_once_a_day(setup: Setup) -> None:
    setup.server.respond("S01", Mischief.INVALID_CALL, function="SPLITS")
    for _ in range(2):
        assert "does not know" in setup.splits(symbols(1))["S01"]
    assert setup.requested() == ["S01"]
    setup.clock.sleep(86400)
    setup.splits(symbols(1))
    assert setup.requested() == ["S01"]


def test_an_unexplained_jump_makes_splits_due_until_it_is_explained(setup: Setup) -> None:
    sessions = sessions_between(date(2024, 2, 20), TODAY)
    last = sessions[-1]
    setup.clock.set(closing_time(sessions[-2]) + timedelta(hours=1))
    universe = symbols(2)
    setup.splits(universe)
    # Both symbols fall to a tenth on the last day; one of them without a known split.
    for symbol, price in (("S01", 100), ("S02", 200)):
        lines = [
            f"{day},{p},{p},{p},{p},1000" for day in reversed(sessions) for p in [price / (10 if day == last else 1)]
        ]
        setup.server.respond(symbol, "".join(f"{line}\r\n" for line in (HEADER, *lines)).encode())
    source = live_source(setup.server, now=setup.clock.now)

    def load() -> dict[object, object]:
        setup.prices(universe, *sessions)
        stage(parts(setup.backend, source, universe), sessions)
        publish(parts(setup.backend, source, universe), sessions)
        with setup.backend.warehouse.connect() as sql:
            rows = sql.query(
                f"SELECT symbol, price_change_pct FROM published.daily_prices WHERE trade_date = DATE '{last}'"
            ).to_pylist()
        return {row["symbol"]: round(row["price_change_pct"]) for row in rows}

    setup.clock.set(closing_time(last) + timedelta(hours=1))
    setup.requested()
    assert load() == {"S01": -90, "S02": -90}

    # The next run requests them again, although the responses are a day old; the vendor knows one split by now.
    setup.server.splits = {"S01": {str(last): "10.0000"}}
    setup.splits(universe)
    assert setup.requested() == ["S01", "S02"]
    assert load() == {"S01": 0, "S02": -90}

    setup.splits(universe)
    assert setup.requested() == []
    for _ in range(6):
        setup.clock.sleep(86400)
        setup.splits(universe)
    # Once a day until three days after the session; not for the explained jump before its week is over.
    assert setup.requested() == ["S02", "S02", "S02"]


@pytest.mark.parametrize("body", [None, b"", b'{"symbol": "S01", "data": []}'])
def test_damaged_splits_stop_a_load_and_the_next_request_replaces_them(
    setup: Setup, body: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.server.splits = {"S01": {"2021-07-20": "4.0000"}}
    setup.splits(symbols(2))
    good = known_splits(setup.parts(symbols(2)))
    damaged = setup.backend.ledger.fetches(FetchKind.SPLITS, symbol="S01")[0].response_key
    setup.backend.objects.delete(damaged)
    if body is not None:
        setup.backend.objects.put(damaged, body)
    monkeypatch.setattr(ledger_queries, "_parsed_splits", {})  # another process

    with pytest.raises(
        DamagedResponses, match=rf"splits of S01 are damaged \({damaged}: .*raw/splits requests them again"
    ):
        known_splits(setup.parts(symbols(2)))

    setup.clock.sleep(60)
    setup.requested()
    assert setup.splits(symbols(2)) == {}
    assert setup.requested() == ["S01"]
    assert known_splits(setup.parts(symbols(2))) == good


class SourceWithoutSplits(PriceSource):
    """The least that a source defines."""

    @property
    def label(self) -> str:
        return "no splits"

    @property
    def terms(self) -> Terms:
        return Terms(limits=CallLimits(per_day=5), splits_refresh=timedelta(days=7))

    def fetch_prices(self, symbol: str, sessions: Sequence[date]) -> bytes:
        return wavy_source().fetch_prices(symbol, sessions)

    def raise_error_message(self, body: bytes, symbol: str) -> None:
        """Do nothing."""


def test_a_source_without_splits_sends_no_requests_for_them(backend: Backend) -> None:
    given = parts(backend, SourceWithoutSplits(), FIVE)
    sessions = TWO_WEEKS[:3]
    fetch_prices(given, sessions)
    assert fetch_splits(given) == {}
    stage(given, sessions)
    publish(given, sessions)

    assert backend.ledger.fetches(FetchKind.SPLITS) == []
    assert never_received(given) == []
    assert backend.rate_limiter.used_calls(given.source.vendor, utc("2012-03-01 00:00")) == len(FIVE.symbols)
    assert {row["split_factor"] for row in published_rows(backend)} == {1.0}
    with pytest.raises(SettingsError, match="no splits"):
        given.source.fetch_splits("IBM")
