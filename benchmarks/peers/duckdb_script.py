"""The published columns with DuckDB, in one statement."""

import json
import sys
import time
from pathlib import Path

import duckdb

GOOD = (
    "open > 0 AND high > 0 AND low > 0 AND close > 0 AND volume >= 0 "
    "AND high >= greatest(open, close) AND low <= least(open, close)"
)

BARS = f"""
SELECT regexp_extract(filename, '([^/]+)[.]csv$', 1) AS symbol, * EXCLUDE filename
FROM read_csv('{{folder}}/*.csv', header=true, auto_detect=false, delim=',', filename=true, columns={{{{
    'trade_date': 'DATE', 'open': 'DOUBLE', 'high': 'DOUBLE', 'low': 'DOUBLE', 'close': 'DOUBLE',
    'volume': 'BIGINT'}}}})
WHERE trade_date BETWEEN DATE '{{first}}' AND DATE '{{last}}' AND {GOOD}
"""

METRICS = """
WITH bars AS ({bars}),
prices AS (
    SELECT b.*, CASE WHEN s.ex_date <= b.trade_date THEN s.ratio ELSE 1.0 END AS factor
    FROM bars AS b LEFT JOIN read_csv('{splits}', header=true) AS s ON s.symbol = b.symbol
),
looked_back AS (
    SELECT *,
        lag(trade_date, 1) OVER w AS day_1, lag(trade_date, 4) OVER w AS day_4, lag(trade_date, 7) OVER w AS day_7,
        lag(close * factor) OVER w / factor AS close_1,
        sum(close * factor) OVER (w ROWS 4 PRECEDING) / factor / 5 AS mean_close,
        sum(volume / factor) OVER (w ROWS BETWEEN 7 PRECEDING AND 1 PRECEDING) * factor / 7 AS mean_volume,
        round(abs(close - open) * 1e4) AS body, round((high - low) * 1e4) AS bar_range,
        round((high - greatest(open, close)) * 1e4) AS upper_wick,
        round((least(open, close) - low) * 1e4) AS lower_wick
    FROM prices WINDOW w AS (PARTITION BY symbol ORDER BY trade_date)
)
SELECT symbol, trade_date, open AS open_price, high AS high_price, low AS low_price, close AS close_price, volume,
    close - open AS daily_return, (open + high + low + close) / 4 AS avg_price,
    0.5 * ln(high / low) ** 2 - (2 * ln(2) - 1) * ln(close / open) ** 2 AS volatility,
    CASE WHEN trade_date - day_1 <= 21 THEN close_1 END AS prev_close,
    CASE WHEN trade_date - day_1 <= 21 THEN (close - close_1) / close_1 * 100 END AS price_change_pct,
    CASE WHEN trade_date - day_4 <= 21 THEN mean_close END AS rolling_avg_5d,
    CASE WHEN trade_date - day_7 <= 21 THEN volume / nullif(mean_volume, 0) END AS volume_surge_ratio,
    CASE WHEN bar_range <= 0 THEN 'flat' WHEN 10 * body <= bar_range THEN 'doji'
        WHEN lower_wick >= 2 * body AND 2 * upper_wick <= body THEN 'hammer'
        WHEN upper_wick >= 2 * body AND 2 * lower_wick <= body THEN 'shooting_star'
        WHEN 10 * body >= 9 * bar_range THEN 'marubozu' WHEN close > open THEN 'bullish' ELSE 'bearish'
    END AS candle_type,
    close > open AS is_market_up, factor AS split_factor
FROM looked_back ORDER BY symbol, trade_date
"""


def main(folder: str, out: str, first: str, last: str) -> None:
    """Write the rows; print their number and the seconds."""
    started = time.perf_counter()
    Path(out).mkdir(parents=True)
    connection = duckdb.connect()
    connection.execute(f"SET temp_directory = '{out}/temporary'")
    bars = BARS.format(folder=folder, first=first, last=last)
    select = METRICS.format(bars=bars, splits=f"{folder}.splits.csv")
    copied = connection.execute(f"COPY ({select}) TO '{out}/rows.parquet' (COMPRESSION zstd)").fetchall()
    print(json.dumps({"rows": copied[0][0], "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(*sys.argv[1:])
