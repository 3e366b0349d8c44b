-- No price is 80 to 125 times the previous close, or 1/80 to 1/125 of it: such bars are in another unit (cents).
-- False positives: 0 of 12,154 recorded bars.
-- remedy: compare with another source; if the unit is wrong, request the session again with backfill --again. A split of
-- about 100:1 has to be among the known splits.
SELECT
    symbol,
    trade_date,
    'prices ' || CAST(CAST(ROUND(low_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
        || ' to ' || CAST(CAST(ROUND(high_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
        || ' after a close of ' || CAST(CAST(ROUND(adjusted_close, 4) AS DECIMAL(18, 4)) AS VARCHAR) AS detail
FROM ${recent_bars} AS b
WHERE trade_date BETWEEN ${start_date} AND ${end_date}
  AND (high_price / adjusted_close BETWEEN 8E1 AND 1.25E2 OR adjusted_close / low_price BETWEEN 8E1 AND 1.25E2)
