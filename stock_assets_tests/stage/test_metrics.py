"""The published metrics equal an independent computation over all recorded years, and in delicate cases."""

import math
from datetime import date, timedelta
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest

from stock_assets.backends.interface import Backend
from stock_assets.core.calendar import sessions_between
from stock_assets.core.tables import DAILY_PRICES
from stock_assets.core.universe import Listing, Universe
from stock_assets.pipeline import Pipeline
from stock_assets.settings import Settings, SourceName
from stock_assets.sources.recorded import FIRST_SESSION, LAST_SESSION, RecordedSource
from stock_assets_tests.fakes.source import ScriptedSource
from stock_assets_tests.support.bars import Row, exact, walk
from stock_assets_tests.support.expected_metrics import bar, expected_rows
from stock_assets_tests.support.steps import load_range, local_backend, published_rows

RECORDED = Pipeline.from_settings(Settings(source=SourceName.RECORDED, universe=None)).universe
RECORDED_SPLITS = {
    "AAPL": {date(2000, 6, 21): "2", date(2005, 2, 28): "2"},
    "MSFT": {date(2003, 2, 18): "2"},
}
TWO = Universe((Listing("CSCO", "CSCO"), Listing("ORCL", "ORCL")))
"""CSCO is the symbol under test; ORCL trades every day, so that every session has enough coverage."""
SESSIONS = sessions_between(date(2012, 3, 1), date(2012, 5, 31))

Rows = dict[tuple[str, date], Row]


def by_key(rows: list[dict[str, object]]) -> Rows:
    return {(str(row["symbol"]), row["trade_date"]): row for row in rows}  # type: ignore[misc]  # a date


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """The published rows of all 13 recorded years of all five symbols."""
    backend = local_backend(tmp_path_factory.mktemp("thirteen_years"))
    load_range(backend, RecordedSource(), RECORDED, FIRST_SESSION, LAST_SESSION)
    return by_key(published_rows(backend))


@pytest.fixture(scope="module")
def expected() -> Rows:
    """The same rows, computed from the recording without the pipeline."""
    recording = import_module("bokeh_sampledata.stocks")
    rows = []
    for symbol in RECORDED.symbols:
        series = getattr(recording, symbol)
        fields = zip(*(series[name] for name in ("date", "open", "high", "low", "close", "volume")), strict=True)
        bars = [bar(date.fromisoformat(day), ",".join(map(str, values))) for day, *values in fields]
        rows += expected_rows(symbol, bars, RECORDED_SPLITS.get(symbol, {}))
    return by_key(rows)


def test_every_recorded_bar_is_published(published: Rows, expected: Rows) -> None:
    assert len(expected) == 12_154
    assert published.keys() == expected.keys()
    assert list(next(iter(published.values()))) == DAILY_PRICES.column_names


@pytest.mark.parametrize("column", DAILY_PRICES.column_names)
def test_each_column_equals_the_independent_computation(published: Rows, expected: Rows, column: str) -> None:
    wrong = [
        (key, published[key][column], row[column])
        for key, row in expected.items()
        if not same(published[key][column], row[column], exactly=column.endswith("_price") and column != "avg_price")
    ]
    assert wrong == []


def same(found: object, expected: object, *, exactly: bool) -> bool:
    if isinstance(expected, float) and isinstance(found, float) and not exactly:
        return math.isclose(found, expected, rel_tol=1e-9, abs_tol=0)
    return type(found) is type(expected) and found == expected


@pytest.mark.parametrize(
    ("column", "before_first_value"), [("prev_close", 1), ("rolling_avg_5d", 4), ("volume_surge_ratio", 7)]
)
def test_a_look_back_metric_is_null_until_there_are_enough_sessions(
    published: Rows, column: str, before_first_value: int
) -> None:
    for symbol in RECORDED.symbols:
        values = [row[column] for (of, _), row in sorted(published.items()) if of == symbol]
        assert [value is None for value in values] == [number < before_first_value for number in range(len(values))], (
            symbol
        )


def test_a_split_changes_no_split_adjusted_metric(published: Rows) -> None:
    before, after = published["AAPL", date(2005, 2, 25)], published["AAPL", date(2005, 2, 28)]
    assert (before["close_price"], before["split_factor"]) == (88.99, 2.0)
    assert (after["close_price"], after["split_factor"]) == (44.86, 4.0)
    assert after["prev_close"] == 44.495
    assert after["price_change_pct"] == pytest.approx(0.820, abs=0.001)


def test_a_real_crash_is_published_unchanged(published: Rows) -> None:
    row = published["AAPL", date(2000, 9, 29)]
    assert (row["prev_close"], row["close_price"]) == (53.5, 25.75)
    assert row["price_change_pct"] == pytest.approx(-51.869, abs=0.001)


def test_the_split_factor_steps_on_each_ex_date(published: Rows) -> None:
    steps: dict[str, list[tuple[date, object]]] = {symbol: [] for symbol in RECORDED.symbols}
    for (symbol, day), row in sorted(published.items()):
        if not steps[symbol] or steps[symbol][-1][1] != row["split_factor"]:
            steps[symbol].append((day, row["split_factor"]))
    assert steps == {
        "AAPL": [(date(2000, 3, 1), 1.0), (date(2000, 6, 21), 2.0), (date(2005, 2, 28), 4.0)],
        "FB": [(date(2012, 5, 18), 1.0)],
        "GOOG": [(date(2004, 8, 19), 1.0)],
        "IBM": [(date(2000, 3, 1), 1.0)],
        "MSFT": [(date(2000, 3, 1), 1.0), (date(2003, 2, 18), 2.0)],
    }


def test_prev_close_equals_the_close_before_to_the_last_bit_except_on_ex_dates(published: Rows) -> None:
    keys = sorted(published)
    pairs = [(before, after) for before, after in pairwise(keys) if before[0] == after[0]]
    differ = {after for before, after in pairs if published[before]["close_price"] != published[after]["prev_close"]}
    assert differ == {(symbol, day) for symbol, splits in RECORDED_SPLITS.items() for day in splits}


CANDLES = [
    # open, high, low, close, type
    ("100", "100", "100", "100", "flat"),
    ("100", "100.0001", "100", "100", "doji"),
    # A body of exactly a tenth of the range, and slightly more; 0.1 of 1.0 is no exact double.
    ("104", "110", "100", "105", "doji"),
    ("105", "110", "100", "104", "doji"),
    ("104", "110", "100", "105.0001", "bullish"),
    ("105.0001", "110", "100", "104", "bearish"),
    ("25.1", "25.7", "24.7", "25.2", "doji"),
    ("38.29", "38.5", "37.9", "38.35", "doji"),
    # A bar without a body is a doji at any height.
    ("110", "110", "100", "110", "doji"),
    ("100", "110", "100", "100", "doji"),
    # Hammer: the lower wick at least two bodies, the upper at most half of one.
    ("104", "107", "100", "106", "hammer"),
    ("106", "107", "100", "104", "hammer"),
    ("104", "107.0001", "100", "106", "bullish"),
    ("104", "107", "100.0001", "106", "bullish"),
    ("106", "107", "100.0001", "104", "bearish"),
    ("19.65", "19.95", "19.25", "19.85", "hammer"),
    ("24.95", "25.05", "24.32", "24.74", "hammer"),
    # Shooting star: the reverse.
    ("101", "107", "100", "103", "shooting_star"),
    ("103", "107", "100", "101", "shooting_star"),
    ("101", "106.9999", "100", "103", "bullish"),
    ("101", "107", "99.9999", "103", "bullish"),
    ("103", "107", "99.9999", "101", "bearish"),
    # Marubozu: the body at least nine tenths of the range.
    ("100.5", "110", "100", "109.5", "marubozu"),
    ("109.5", "110", "100", "100.5", "marubozu"),
    ("100", "110", "100", "110", "marubozu"),
    ("100.5001", "110", "100", "109.5", "bullish"),
    ("109.5", "110", "100", "100.5001", "bearish"),
    ("125.71", "127.81", "125.71", "127.6", "marubozu"),
]


@pytest.fixture(scope="module")
def candles(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """The published rows of the bars above, one per session."""
    source = ScriptedSource()
    days = SESSIONS[: len(CANDLES)]
    source.set_bars("CSCO", {day: ",".join([*bar[:4], "100"]) for day, bar in zip(days, CANDLES, strict=True)})
    backend = local_backend(tmp_path_factory.mktemp("candles"))
    load_range(backend, source, Universe((Listing("CSCO", "CSCO"),)), days[0], days[-1])
    return [*published_rows(backend)]


@pytest.mark.parametrize("number", range(len(CANDLES)), ids=["-".join(candle) for candle in CANDLES])
def test_candle_type(candles: list[Row], number: int) -> None:
    open_, *_, close, candle_type = CANDLES[number]
    assert candles[number]["candle_type"] == candle_type
    assert candles[number]["is_market_up"] == (float(close) > float(open_))


def scripted(bars: dict[date, str], splits: dict[date, str] | None = None) -> ScriptedSource:
    """Return a source with these bars of CSCO, and a bar of ORCL on every session."""
    source = ScriptedSource()
    source.set_bars("CSCO", bars)
    source.set_bars("ORCL", walk("ORCL", SESSIONS))
    source.set_splits("CSCO", splits or {})
    return source


def csco_rows(
    backend: Backend, source: ScriptedSource, first: date = SESSIONS[0], last: date = SESSIONS[-1]
) -> list[Row]:
    load_range(backend, source, TWO, first, last)
    rows: list[Row] = [row for row in published_rows(backend) if row["symbol"] == "CSCO"]
    return rows


def assert_as_expected(rows: list[Row], bars: dict[date, str], splits: dict[date, str] | None = None) -> None:
    expected = expected_rows("CSCO", [bar(day, line) for day, line in bars.items()], splits or {})
    assert [row["trade_date"] for row in rows] == [row["trade_date"] for row in expected]
    wrong = [
        (row["trade_date"], name, row[name], computed[name])
        for row, computed in zip(rows, expected, strict=True)
        for name in DAILY_PRICES.column_names
        if not same(row[name], computed[name], exactly=False)
    ]
    assert wrong == []


@pytest.mark.parametrize(("days_away", "known"), [(21, True), (22, False)])
def test_the_first_bar_after_a_long_halt_has_no_previous_close(backend: Backend, days_away: int, known: bool) -> None:  # noqa: FBT001 (a table of cases)
    halted_from, resumes = SESSIONS[7], SESSIONS[7] + timedelta(days=days_away)
    bars = {day: line for day, line in walk("CSCO", SESSIONS).items() if day <= halted_from or day >= resumes}
    rows = csco_rows(backend, scripted(bars))
    first_after = next(row for row in rows if row["trade_date"] == resumes)
    assert (first_after["prev_close"] is not None) == known
    assert (first_after["price_change_pct"] is not None) == known
    assert first_after["rolling_avg_5d"] is None
    assert_as_expected(rows, bars)


def test_a_window_spans_a_short_halt_but_not_a_long_one(backend: Backend) -> None:
    """The oldest session of each window decides whether the halt is too long."""
    bars = {day: line for day, line in walk("CSCO", SESSIONS).items() if not SESSIONS[10] < day < SESSIONS[20]}
    rows = csco_rows(backend, scripted(bars))
    after = [row for row in rows if SESSIONS[20] <= row["trade_date"] <= SESSIONS[28]]  # type: ignore[operator]  # dates
    assert [row["prev_close"] is None for row in after] == [False] * 9
    assert [row["rolling_avg_5d"] is None for row in after] == [False] * 9
    assert [row["volume_surge_ratio"] is None for row in after] == [True] * 7 + [False] * 2
    assert_as_expected(rows, bars)


def test_the_volume_ratio_is_null_if_all_volumes_before_are_zero(backend: Backend) -> None:
    bars = dict.fromkeys(SESSIONS[:7], "10,11,9,10.5,0") | {SESSIONS[7]: "10,11,9,10.5,500"}
    rows = csco_rows(backend, scripted(bars), last=SESSIONS[7])
    assert rows[7]["volume_surge_ratio"] is None


def test_a_look_back_over_a_split_is_split_adjusted_as_of_the_date_of_the_row(backend: Backend) -> None:
    bars = dict.fromkeys(SESSIONS[:8], "100,100,100,100,700") | {SESSIONS[8]: "60,60,60,60,2800"}
    rows = csco_rows(backend, scripted(bars, {SESSIONS[8]: "2.0000"}), last=SESSIONS[8])
    assert (rows[8]["prev_close"], rows[8]["price_change_pct"]) == (50.0, 20.0)
    assert rows[8]["rolling_avg_5d"] == 52.0
    assert rows[8]["volume_surge_ratio"] == 2.0
    assert (rows[7]["prev_close"], rows[7]["volume_surge_ratio"]) == (100.0, 1.0)


def test_a_reverse_split_is_adjusted(backend: Backend) -> None:
    bars = dict.fromkeys(SESSIONS[:8], "10,10,10,10,700") | {SESSIONS[8]: "90,90,90,90,35"}
    rows = csco_rows(backend, scripted(bars, {SESSIONS[8]: "0.1000"}), last=SESSIONS[8])
    assert rows[8]["split_factor"] == 0.1
    assert rows[8]["prev_close"] == pytest.approx(100, rel=1e-12)
    assert rows[8]["price_change_pct"] == pytest.approx(-10, rel=1e-12)
    assert rows[8]["volume_surge_ratio"] == pytest.approx(0.5, rel=1e-12)


def test_split_ratios_without_an_exact_double_change_only_values_on_ex_dates(backend: Backend) -> None:
    """A spin-off and later splits: factors 1.253, 3.759, 0.9397500; closes are exact except on ex-dates."""
    bars = walk("CSCO", SESSIONS)
    splits = {SESSIONS[5]: "1.2530", SESSIONS[20]: "3.0000", SESSIONS[30]: "0.2500"}
    rows = csco_rows(backend, scripted(bars, splits))
    assert_as_expected(rows, bars, splits)
    assert [rows[number]["split_factor"] for number in (4, 5, 20, 30)] == [1.0, 1.253, 3.759, 0.93975]
    differ = [after["trade_date"] for before, after in pairwise(rows) if before["close_price"] != after["prev_close"]]
    assert differ == list(splits)


def test_a_split_on_a_day_without_a_bar_applies_from_the_next_bar_on(backend: Backend) -> None:
    halted = SESSIONS[8]
    bars = {day: line for day, line in walk("CSCO", SESSIONS).items() if day != halted}
    rows = csco_rows(backend, scripted(bars, {halted: "2.0000"}))
    assert [rows[number]["split_factor"] for number in (7, 8)] == [1.0, 2.0]
    assert_as_expected(rows, bars, {halted: "2.0000"})


AT_30 = {SESSIONS[30]: "2.0000"}


@pytest.mark.parametrize(
    ("known_first", "known_later", "loaded_later"),
    [
        pytest.param({}, AT_30, 0, id="known when an earlier session is loaded", marks=pytest.mark.slow),
        pytest.param({}, AT_30, -1, id="known when a later session is loaded"),
        pytest.param(AT_30, {}, -1, id="withdrawn", marks=pytest.mark.slow),
        pytest.param(AT_30, {SESSIONS[33]: "2.0000"}, 0, id="moved to a later day", marks=pytest.mark.slow),
        pytest.param(AT_30, {SESSIONS[27]: "2.0000"}, 0, id="moved to an earlier day"),
        pytest.param(AT_30, AT_30 | {SESSIONS[20]: "1.2530"}, -1, id="an earlier split becomes known"),
    ],
)
def test_a_split_that_becomes_known_after_publishing_applies_to_all_rows_after_the_next_load(
    backend: Backend, tmp_path: Path, known_first: dict[date, str], known_later: dict[date, str], loaded_later: int
) -> None:
    """The next load is a single session, more than a look-back away from the split."""
    later = SESSIONS[loaded_later]
    before = [day for day in SESSIONS if day != later]
    bars = walk("CSCO", SESSIONS)
    csco_rows(backend, scripted(bars, known_first), before[0], before[-1])
    rows = csco_rows(backend, scripted(bars, known_later), later, later)
    assert exact(rows) == exact(csco_rows(local_backend(tmp_path / "fresh"), scripted(bars, known_later)))
    assert_as_expected(rows, bars, known_later)
