"""The published columns with pandas, 500 symbols at a time."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

SYMBOLS_AT_ONCE = 500
LOOKBACK_DAYS = 21


def read(files: list[Path], first: str, last: str) -> pd.DataFrame:
    """Return the good bars of some symbols, in order."""
    frames = [pd.read_csv(file, engine="pyarrow", parse_dates=["timestamp"]).assign(symbol=file.stem) for file in files]
    bars = pd.concat(frames).rename(columns={"timestamp": "trade_date"})
    body = bars[["open", "close"]]
    good = (bars[["open", "high", "low", "close"]] > 0).all(axis=1) & (bars.volume >= 0)
    good &= (bars.high >= body.max(axis=1)) & (bars.low <= body.min(axis=1))
    chosen = bars[good & bars.trade_date.between(first, last)]
    return chosen.sort_values(["symbol", "trade_date"], ignore_index=True)


def metrics(bars: pd.DataFrame, splits: pd.DataFrame) -> pd.DataFrame:
    """Return the published columns."""
    found = bars.merge(splits, on="symbol", how="left")
    factor = pd.Series(np.where(found.ex_date <= found.trade_date, found.ratio, 1.0))
    symbols = bars.groupby("symbol", sort=False)

    def recent(sessions: int) -> pd.Series:
        return (bars.trade_date - symbols.trade_date.shift(sessions)).dt.days <= LOOKBACK_DAYS

    close, shares = bars.close * factor, (bars.volume / factor).groupby(bars.symbol, sort=False).shift(1)
    prev_close = (close.groupby(bars.symbol, sort=False).shift(1) / factor).where(recent(1))
    mean_close = close.groupby(bars.symbol, sort=False).rolling(5).mean().to_numpy() / factor
    mean_shares = shares.groupby(bars.symbol, sort=False).rolling(7).mean().to_numpy() * factor
    body, bar_range = (bars.close - bars.open).abs().mul(1e4).round(), (bars.high - bars.low).mul(1e4).round()
    upper = (bars.high - bars[["open", "close"]].max(axis=1)).mul(1e4).round()
    lower = (bars[["open", "close"]].min(axis=1) - bars.low).mul(1e4).round()
    candle = np.select(
        [
            bar_range <= 0,
            10 * body <= bar_range,
            (lower >= 2 * body) & (2 * upper <= body),
            (upper >= 2 * body) & (2 * lower <= body),
            10 * body >= 9 * bar_range,
            bars.close > bars.open,
        ],
        ["flat", "doji", "hammer", "shooting_star", "marubozu", "bullish"],
        "bearish",
    )
    prices = bars.rename(columns={name: f"{name}_price" for name in ("open", "high", "low", "close")})
    return prices.assign(
        daily_return=bars.close - bars.open,
        avg_price=(bars.open + bars.high + bars.low + bars.close) / 4,
        volatility=0.5 * np.log(bars.high / bars.low) ** 2 - (2 * np.log(2) - 1) * np.log(bars.close / bars.open) ** 2,
        prev_close=prev_close,
        price_change_pct=(bars.close - prev_close) / prev_close * 100,
        rolling_avg_5d=mean_close.where(recent(4)),
        volume_surge_ratio=(bars.volume / mean_shares).where(recent(7)),
        candle_type=candle,
        is_market_up=bars.close > bars.open,
        split_factor=factor,
    )


def main(folder: str, out: str, first: str, last: str) -> None:
    """Write the rows; print their number and the seconds."""
    started = time.perf_counter()
    Path(out).mkdir(parents=True)
    files, rows = sorted(Path(folder).glob("*.csv")), 0
    splits = pd.read_csv(f"{folder}.splits.csv", parse_dates=["ex_date"])
    for number in range(0, len(files), SYMBOLS_AT_ONCE):
        found = metrics(read(files[number : number + SYMBOLS_AT_ONCE], first, last), splits)
        found.to_parquet(Path(out) / f"{number:06d}.parquet", compression="zstd", index=False)
        rows += len(found)
    print(json.dumps({"rows": rows, "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(*sys.argv[1:])
