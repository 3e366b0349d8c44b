"""The published columns with polars, 500 symbols at a time."""

import json
import sys
import time
from datetime import date
from pathlib import Path

import polars as pl

SYMBOLS_AT_ONCE = 500
LOOKBACK_DAYS = 21
SCHEMA = {
    "timestamp": pl.Date,
    "open": pl.Float64,
    "high": pl.Float64,
    "low": pl.Float64,
    "close": pl.Float64,
    "volume": pl.Int64,
}


def read(files: list[Path], first: date, last: date) -> pl.DataFrame:
    """Return the good bars of some symbols, in order."""
    body = ("open", "close")
    return (
        pl.scan_csv(files, schema=SCHEMA, include_file_paths="path")
        .with_columns(symbol=pl.col("path").str.extract(r"([^/]+)[.]csv$", 1))
        .drop("path")
        .rename({"timestamp": "trade_date"})
        .filter(
            pl.col("trade_date").is_between(first, last),
            pl.min_horizontal("open", "high", "low", "close") > 0,
            pl.col("volume") >= 0,
            pl.col("high") >= pl.max_horizontal(body),
            pl.col("low") <= pl.min_horizontal(body),
        )
        .sort("symbol", "trade_date")
        .collect()
    )


def metrics(bars: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """Return the published columns."""
    factor = pl.when(pl.col("ex_date") <= pl.col("trade_date")).then("ratio").otherwise(1.0)
    bars = bars.join(splits, on="symbol", how="left", maintain_order="left").with_columns(split_factor=factor)
    open_, high, low, close, volume = (pl.col(name) for name in ("open", "high", "low", "close", "volume"))
    day, split = pl.col("trade_date"), pl.col("split_factor")

    def recent(sessions: int) -> pl.Expr:
        return ((day - day.shift(sessions)).dt.total_days() <= LOOKBACK_DAYS).over("symbol")

    body, bar_range = ((close - open_).abs() * 1e4).round(), ((high - low) * 1e4).round()
    upper = ((high - pl.max_horizontal("open", "close")) * 1e4).round()
    lower = ((pl.min_horizontal("open", "close") - low) * 1e4).round()
    columns = bars.with_columns(
        daily_return=close - open_,
        avg_price=(open_ + high + low + close) / 4,
        volatility=0.5 * (high / low).log() ** 2 - 0.3862943611198906 * (close / open_).log() ** 2,
        prev_close=pl.when(recent(1)).then((close * split).shift(1).over("symbol") / split),
        rolling_avg_5d=pl.when(recent(4)).then((close * split).rolling_mean(5).over("symbol") / split),
        mean_volume=pl.when(recent(7)).then((volume / split).shift(1).rolling_mean(7).over("symbol") * split),
        candle_type=pl.when(bar_range <= 0)
        .then(pl.lit("flat"))
        .when(10 * body <= bar_range)
        .then(pl.lit("doji"))
        .when((lower >= 2 * body) & (2 * upper <= body))
        .then(pl.lit("hammer"))
        .when((upper >= 2 * body) & (2 * lower <= body))
        .then(pl.lit("shooting_star"))
        .when(10 * body >= 9 * bar_range)
        .then(pl.lit("marubozu"))
        .when(close > open_)
        .then(pl.lit("bullish"))
        .otherwise(pl.lit("bearish")),
        is_market_up=close > open_,
    )
    return columns.with_columns(
        price_change_pct=(close - pl.col("prev_close")) / pl.col("prev_close") * 100,
        volume_surge_ratio=volume / pl.col("mean_volume"),
    ).rename({name: f"{name}_price" for name in ("open", "high", "low", "close")})


def main(folder: str, out: str, first: str, last: str) -> None:
    """Write the rows; print their number and the seconds."""
    started = time.perf_counter()
    Path(out).mkdir(parents=True)
    files, rows = sorted(Path(folder).glob("*.csv")), 0
    splits = pl.read_csv(f"{folder}.splits.csv", schema={"symbol": pl.String, "ex_date": pl.Date, "ratio": pl.Float64})
    for number in range(0, len(files), SYMBOLS_AT_ONCE):
        chosen = files[number : number + SYMBOLS_AT_ONCE]
        found = metrics(read(chosen, date.fromisoformat(first), date.fromisoformat(last)), splits)
        found.write_parquet(Path(out) / f"{number:06d}.parquet", compression="zstd")
        rows += len(found)
    print(json.dumps({"rows": rows, "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(*sys.argv[1:])
