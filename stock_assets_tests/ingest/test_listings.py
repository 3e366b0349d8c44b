"""Renamed, delisted and reused tickers from the request to the published rows."""

import json
from collections.abc import Sequence
from datetime import date

from stock_assets.backends.interface import Backend, FetchKind
from stock_assets.core.calendar import sessions_between
from stock_assets.core.universe import Listing, Universe
from stock_assets.ingest.parts import PipelineParts
from stock_assets.ingest.price_requests import fetch_prices
from stock_assets.ingest.split_requests import fetch_splits
from stock_assets.pipeline import Pipeline
from stock_assets.publish.publishing import publish
from stock_assets.serve.query import run_query
from stock_assets.stage.staging import stage
from stock_assets_tests.fakes.clock import FakeClock
from stock_assets_tests.fakes.vendor_server import VendorServer, csv_body
from stock_assets_tests.support.live_source import live_source, utc
from stock_assets_tests.support.steps import LIMITS, published_rows

TODAY = date(2024, 3, 1)
DAYS = sessions_between(date(2024, 2, 5), TODAY)
OTHERS = tuple(Listing(symbol, symbol) for symbol in ("S02", "S03", "S04", "S05"))


def load(parts: PipelineParts, clock: FakeClock, sessions: Sequence[date] = DAYS) -> dict[str, list[date]]:
    """Request, stage and publish; return the published sessions by symbol."""
    fetch_splits(parts, now=clock.now, sleep=clock.sleep)
    fetch_prices(parts, sessions, now=clock.now, sleep=clock.sleep)
    stage(parts, sessions)
    publish(parts, sessions)
    clock.sleep(60)
    found: dict[str, list[date]] = {}
    for row in published_rows(parts.backend):
        day = row["trade_date"]
        assert isinstance(day, date)
        found.setdefault(str(row["symbol"]), []).append(day)
    return found


def pipeline(backend: Backend, server: VendorServer, clock: FakeClock, *listings: Listing) -> Pipeline:
    server.last_session = TODAY
    source = live_source(server, now=clock.now)
    return Pipeline(backend, source, Universe((*listings, *OTHERS)), LIMITS)


def test_a_renamed_ticker_continues_under_its_new_name(backend: Backend, server: VendorServer) -> None:
    clock = FakeClock(utc("2024-03-01 22:00"))
    before = load(pipeline(backend, server, clock, Listing("OLD", "A"), Listing("GONE", "B")), clock)
    assert before["OLD"] == before["GONE"] == DAYS

    # The vendor returns the whole history under the new ticker.
    server.respond("NEW", csv_body("OLD", TODAY))
    gone = Listing("GONE", "B", None, date(2024, 2, 16))
    after = load(pipeline(backend, server, clock, Listing("NEW", "A", date(2024, 2, 20)), gone), clock)
    assert after["NEW"] == [day for day in DAYS if day >= date(2024, 2, 20)]
    assert after["OLD"] == after["GONE"] == [day for day in DAYS if day <= date(2024, 2, 16)]
    [rename] = backend.ledger.fetches(FetchKind.RENAMES)
    assert rename.detail == "OLD: renamed to NEW on 2024-02-20"


def test_a_symbol_that_is_removed_from_the_universe_keeps_its_rows(backend: Backend, server: VendorServer) -> None:
    clock = FakeClock(utc("2024-03-01 22:00"))
    load(pipeline(backend, server, clock, Listing("OLD", "A")), clock)
    after = load(pipeline(backend, server, clock, Listing("NEW", "B", date(2024, 2, 20))), clock)
    assert after["OLD"] == DAYS


def test_two_companies_of_one_ticker_do_not_mix(backend: Backend, server: VendorServer) -> None:
    clock = FakeClock(utc("2024-03-01 22:00"))
    first = [day for day in DAYS if day <= date(2024, 2, 13)]
    second = [day for day in DAYS if day >= date(2024, 2, 20)]
    lines = csv_body("ON", TODAY).decode().splitlines(keepends=True)
    rows = [line for line in lines[1:] if date.fromisoformat(line[:10]) in {*first, *second}]
    server.respond("ON", "".join([lines[0], *rows]).encode())
    splits = {"2024-02-08": "2.0000", "2024-02-15": "50.0000", "2024-02-27": "3.0000"}
    data = [{"effective_date": day, "split_factor": ratio} for day, ratio in splits.items()]
    server.respond("ON", json.dumps({"symbol": "ON", "data": data}).encode(), function="SPLITS")
    periods = (Listing("ON", "new", date(2024, 2, 20)), Listing("ON", "old", None, date(2024, 2, 13)))
    parts = pipeline(backend, server, clock, *periods)
    assert load(parts, clock)["ON"] == [*first, *second]

    found = {row["trade_date"]: row for row in published_rows(backend) if row["symbol"] == "ON"}
    assert [found[day]["split_factor"] for day in (first[0], first[-1], second[0], second[-1])] == [1.5, 3.0, 1.0, 3.0]
    assert found[second[0]]["prev_close"] is None
    assert [found[day]["rolling_avg_5d"] for day in second[:4]] == [None] * 4
    assert found[second[4]]["rolling_avg_5d"] is not None

    select = "SELECT trade_date, close_price FROM published.adjusted_prices WHERE symbol = 'ON'"
    adjusted = {row["trade_date"]: row["close_price"] for row in run_query(backend, select).to_pylist()}
    expected = {first[0]: 2, first[-1]: 1, second[0]: 3, second[-1]: 1}
    for day, shares in expected.items():
        assert abs(adjusted[day] - float(str(found[day]["close_price"])) / shares) < 1e-9
