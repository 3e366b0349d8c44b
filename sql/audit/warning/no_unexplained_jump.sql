-- No close differs from the previous one by more than the share max_jump (40%) without a split.
-- False positives: 1 of 12,154 recorded bars, AAPL on 2000-09-29.
-- remedy: some jumps are real (AAPL fell 52% on 2000-09-29); check for a split that the source does not know yet.
SELECT
    symbol,
    trade_date,
    CAST(CAST(price_change_pct AS DECIMAL(38, 2)) AS VARCHAR) || '%' AS detail
FROM ${staged_prices} AS s
WHERE ABS(price_change_pct) > ${max_jump} * 1E2
  AND trade_date BETWEEN ${start_date} AND ${end_date}
