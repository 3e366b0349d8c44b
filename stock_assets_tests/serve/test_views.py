"""Every view: columns as declared, and values as pandas computes them from the vendor's responses."""

import re
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import CALENDAR_END, CALENDAR_START, sessions_between
from stock_assets.core.universe import Listing, Universe
from stock_assets.serve.panels import PANELS
from stock_assets.serve.query import run_query
from stock_assets.serve.views import VIEWS, create_views, with_dependencies
from stock_assets_tests.support.scenes import BAD_BAR, CALM_BAR, Scene, calm_source
from stock_assets_tests.support.steps import LIMITS, local_backend

ARROW_NAMES = {"varchar": "string", "date": "date32[day]", "bigint": "int64", "boolean": "bool"}


def frame(backend: Backend, select: str, *index: str) -> pd.DataFrame:
    """Run a query and return its rows with a sorted index."""
    rows: pd.DataFrame = run_query(backend, select).to_pandas()
    rows["trade_date"] = pd.to_datetime(rows["trade_date"])
    return rows.set_index(list(index)).sort_index()


@pytest.fixture(scope="session")
def trends(recorded_backend: Backend) -> pd.DataFrame:
    return frame(recorded_backend, "SELECT * FROM published.price_trends", "symbol", "trade_date")


@pytest.mark.parametrize("name", VIEWS)
def test_columns_are_as_declared(recorded_backend: Backend, name: str) -> None:
    schema = run_query(recorded_backend, f"SELECT * FROM published.{name} LIMIT 1").schema
    declared = [(column.name, column.type.value) for column in VIEWS[name].columns]
    assert [(field.name, str(field.type)) for field in schema] == [
        (column, ARROW_NAMES.get(kind, kind)) for column, kind in declared
    ]


@pytest.mark.parametrize("name", [name for name, view in VIEWS.items() if view.grain])
def test_the_grain_identifies_a_row(recorded_backend: Backend, name: str) -> None:
    grain = ", ".join(VIEWS[name].grain)
    select = f"SELECT {grain} FROM published.{name} GROUP BY {grain} HAVING COUNT(*) > 1"
    assert run_query(recorded_backend, select).num_rows == 0


def test_the_dependencies_of_a_view_are_created_before_it() -> None:
    assert [view.name for view in with_dependencies(["latest_board"])] == ["price_trends", "latest_board"]
    assert [view.name for view in with_dependencies(["movers"])] == ["movers"]
    assert [view.name for view in with_dependencies(VIEWS)] == list(VIEWS)


def test_price_trends_equal_pandas(trends: pd.DataFrame, recorded_bars: pd.DataFrame) -> None:
    bars = recorded_bars.sort_index()
    assert list(trends.index) == list(bars.index)
    pairs = {"open_price": "open_now", "high_price": "high_now", "low_price": "low_now", "close_price": "close_now"}
    for column, expected in {**pairs, "volume": "volume_now", "close_as_traded": "close"}.items():
        np.testing.assert_allclose(trends[column], bars[expected], rtol=1e-12)
    mean = (bars["open_now"] + bars["high_now"] + bars["low_now"] + bars["close_now"]) / 4
    np.testing.assert_allclose(trends["avg_price"], mean, rtol=1e-12)
    np.testing.assert_allclose(trends["daily_return"], bars["close_now"] - bars["open_now"], rtol=1e-9, atol=1e-11)
    five = bars["close_now"].groupby("symbol").rolling(5).mean().droplevel(0)
    np.testing.assert_allclose(trends["rolling_avg_5d"], five, rtol=1e-9)


def test_the_90_day_average_covers_calendar_days_and_needs_90_of_them(
    trends: pd.DataFrame, recorded_bars: pd.DataFrame
) -> None:
    for symbol in ("AAPL", "FB", "GOOG", "IBM", "MSFT"):
        days = recorded_bars.loc[symbol].sort_index()
        mean = (days["open_now"] + days["high_now"] + days["low_now"] + days["close_now"]) / 4
        expected = mean.rolling("90D").mean().where(days.index >= days.index[0] + pd.Timedelta(days=89))
        assert expected.isna().sum() > 50
        np.testing.assert_allclose(trends.loc[symbol]["avg_price_90d"], expected, rtol=1e-9)


def test_volatility_is_garman_klass_in_percent_for_1_and_21_sessions(
    trends: pd.DataFrame, recorded_bars: pd.DataFrame
) -> None:
    bars = recorded_bars.sort_index()
    variance = (
        0.5 * np.log(bars["high"] / bars["low"]) ** 2 - (2 * np.log(2) - 1) * np.log(bars["close"] / bars["open"]) ** 2
    )
    np.testing.assert_allclose(trends["volatility_pct"], np.sqrt(variance) * 100, rtol=1e-9)
    rolled = variance.groupby("symbol").rolling(21).mean().droplevel(0)
    np.testing.assert_allclose(trends["volatility_21d_pct"], np.sqrt(rolled) * 100, rtol=1e-7)


def test_weekly_trends_aggregate_the_sessions_of_each_week(recorded_backend: Backend, trends: pd.DataFrame) -> None:
    weeks = frame(recorded_backend, "SELECT * FROM published.weekly_trends", "symbol", "trade_date")
    apple = trends.loc["AAPL"]
    week = pd.DatetimeIndex(apple.index).to_period("W-SUN")
    by_week = apple.groupby(week)
    found = weeks.loc["AAPL"]
    # Two closures, 2001-09-11 to 14 and the week of a holiday, leave shorter weeks, never empty ones.
    assert len(found) == len(by_week)
    np.testing.assert_array_equal(found["open_price"], by_week["open_price"].first())
    np.testing.assert_array_equal(found["high_price"], by_week["high_price"].max())
    np.testing.assert_array_equal(found["low_price"], by_week["low_price"].min())
    np.testing.assert_array_equal(found["close_price"], by_week["close_price"].last())
    np.testing.assert_allclose(found["volume"], by_week["volume"].sum(), rtol=1e-12)
    np.testing.assert_array_equal(found["avg_price_90d"], by_week["avg_price_90d"].last(skipna=False))
    np.testing.assert_allclose(found["price_change_pct"], by_week["close_price"].last().pct_change() * 100, atol=1e-9)
    np.testing.assert_allclose(
        found["volatility_pct"], np.sqrt((apple["volatility_pct"] ** 2).groupby(week).mean()), rtol=1e-9
    )


def test_the_latest_board_is_the_last_row_of_every_symbol(recorded_backend: Backend, trends: pd.DataFrame) -> None:
    board = run_query(recorded_backend, "SELECT * FROM published.latest_board ORDER BY symbol").to_pylist()
    assert [row["symbol"] for row in board] == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
    for row in board:
        assert (row["trade_date"], row["is_latest"]) == (date(2013, 3, 1), True)
        last = trends.loc[row["symbol"]].iloc[-1]
        assert row["close_price"] == last["close_price"]
        assert row["avg_price_90d"] == last["avg_price_90d"]
    # The same value as in `stock-assets summary`.
    assert round(board[0]["avg_price_90d"], 2) == 495.99


def test_movers_rank_the_changes_of_a_session(recorded_backend: Backend, recorded_bars: pd.DataFrame) -> None:
    changes = recorded_bars["close_now"].groupby("symbol").pct_change() * 100
    changes = changes.xs(pd.Timestamp("2012-05-22"), level="trade_date").sort_values(ascending=False)
    rows = run_query(
        recorded_backend, "SELECT * FROM published.movers WHERE trade_date = DATE '2012-05-22' ORDER BY gain_rank"
    ).to_pylist()
    assert [row["symbol"] for row in rows] == list(changes.index)
    assert [row["loss_rank"] for row in rows] == [5, 4, 3, 2, 1]
    np.testing.assert_allclose([row["price_change_pct"] for row in rows], changes, rtol=1e-9)


def test_volume_surges_are_at_least_twice_the_usual_volume(
    recorded_backend: Backend, recorded_bars: pd.DataFrame
) -> None:
    volumes = recorded_bars["volume_now"].sort_index()
    usual = volumes.groupby("symbol").transform(lambda own: own.rolling(7).mean().shift(1))
    ratio = (volumes / usual).swaplevel()
    expected = ratio[ratio >= 2]
    found = frame(recorded_backend, "SELECT * FROM published.volume_surges", "trade_date", "symbol")
    assert 50 < len(expected) < 2000
    assert list(found.index) == list(expected.sort_index().index)
    np.testing.assert_allclose(found["volume_surge_ratio"], expected.sort_index(), rtol=1e-9)
    np.testing.assert_allclose(found["volume"] / found["usual_volume"], found["volume_surge_ratio"], rtol=1e-9)


def test_breadth_counts_the_symbols_that_closed_above_their_open(
    recorded_backend: Backend, recorded_bars: pd.DataFrame
) -> None:
    up = (recorded_bars["close"] > recorded_bars["open"]).groupby("trade_date")
    found = frame(recorded_backend, "SELECT * FROM published.market_breadth", "trade_date")
    np.testing.assert_array_equal(found["up_symbols"], up.sum())
    np.testing.assert_array_equal(found["symbols"], up.size())
    np.testing.assert_allclose(found["up_share_pct"], up.mean() * 100, rtol=1e-12)
    change = recorded_bars["close_now"].groupby("symbol").diff()
    np.testing.assert_array_equal(found["advancers"], (change > 0).groupby("trade_date").sum())
    np.testing.assert_array_equal(found["decliners"], (change < 0).groupby("trade_date").sum())


def test_split_events_are_on_their_ex_dates(recorded_backend: Backend) -> None:
    rows = run_query(recorded_backend, "SELECT * FROM published.split_events ORDER BY trade_date").to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("AAPL", date(2000, 6, 21), 2.0),
        ("MSFT", date(2003, 2, 18), 2.0),
        ("AAPL", date(2005, 2, 28), 2.0),
    ]


SESSIONS = sessions_between(date(2012, 3, 1), date(2012, 6, 26))
STOPPED = date(2012, 4, 2)  # 30 and 31 days later are sessions
MISSING, BAD = SESSIONS[5], SESSIONS[10]


@pytest.fixture(scope="module")
def gappy_backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    """STOP has no bar after a month; HOLE has one missing session, and a bad bar on another."""
    source = calm_source(("HOLE", "GOOD", "FULL", "STOP", "MORE"), SESSIONS)
    source.drop_bar("HOLE", MISSING)
    source.set_bar("HOLE", BAD, BAD_BAR)
    source.set_bars("STOP", {day: CALM_BAR for day in SESSIONS if day <= STOPPED})
    universe = Universe(tuple(Listing(symbol, "") for symbol in ("HOLE", "GOOD", "FULL", "STOP", "MORE")))
    backend = local_backend(tmp_path_factory.mktemp("gappy"))
    Scene(backend, source, universe, replace(LIMITS, max_quarantined_share=1.0)).run(SESSIONS)
    return backend


def test_coverage_separates_missing_quarantined_and_delisted_symbols(gappy_backend: Backend) -> None:
    rows = run_query(gappy_backend, "SELECT * FROM published.coverage ORDER BY trade_date").to_pylist()
    found = {row["trade_date"]: tuple(row.values())[1:6] for row in rows}
    assert found[MISSING] == (5, 4, 0, 1, 80.0)
    assert found[BAD] == (5, 4, 1, 0, 80.0)
    expected = {
        day: (5, 5, 0, 0, 100.0) if day <= STOPPED else (5, 4, 0, 1, 80.0) if (day - STOPPED).days <= 30 else None
        for day in SESSIONS
        if day not in (MISSING, BAD)
    }
    for day, counts in expected.items():
        assert found[day] == (counts or (4, 4, 0, 0, 100.0)), day
    assert {row["days_since_previous"] for row in rows} == {None, 1, 3, 4}


def test_the_panel_of_incomplete_sessions_knows_every_long_closing_of_the_exchange() -> None:
    sessions = sessions_between(CALENDAR_START, CALENDAR_END)
    after_long_closings = [day for before, day in pairwise(sessions) if (day - before).days > 4]
    listed = re.findall(r"DATE '([0-9-]+)'", PANELS["incomplete_sessions"].statement.text)
    assert listed == [str(day) for day in after_long_closings]


def test_quarantine_by_audit_counts_bars_per_audit(gappy_backend: Backend) -> None:
    rows = run_query(gappy_backend, "SELECT * FROM published.quarantine_by_audit").to_pylist()
    assert rows == [{"trade_date": BAD, "audit": "volume_not_negative", "bars": 1}]


@pytest.mark.parametrize(
    ("today", "days_old", "weekdays_missed"),
    [
        (date(2012, 6, 26), 0, 0),  # Tuesday, the latest session itself
        (date(2012, 6, 27), 1, 0),
        (date(2012, 6, 28), 2, 1),
        (date(2012, 6, 30), 4, 3),  # Saturday: Wednesday, Thursday, Friday
        (date(2012, 7, 1), 5, 3),
        (date(2012, 7, 2), 6, 3),
        (date(2012, 7, 3), 7, 4),
        (date(2012, 7, 17), 21, 14),
    ],
)
def test_freshness_counts_weekdays(gappy_backend: Backend, today: date, days_old: int, weekdays_missed: int) -> None:
    with gappy_backend.warehouse.connect() as sql:
        select = VIEWS["freshness"].statement.bind({**create_views(sql, ()), "today": today})
        [row] = sql.query(select).to_pylist()
    assert row == {"latest_session": SESSIONS[-1], "days_old": days_old, "weekdays_missed": weekdays_missed}
    counted = np.busday_count(str(SESSIONS[-1]), str(today)) - (1 if today > SESSIONS[-1] else 0)
    assert weekdays_missed == counted


def test_an_empty_table_gives_empty_views(tmp_path: Path) -> None:
    backend = local_backend(tmp_path)
    for name in VIEWS:
        rows = run_query(backend, f"SELECT * FROM published.{name}").to_pylist()
        assert rows == ([] if VIEWS[name].grain else [dict.fromkeys(("latest_session", "days_old", "weekdays_missed"))])
