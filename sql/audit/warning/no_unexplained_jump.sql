-- No close moves by more than 40% against the previous one without a split.
-- remedy: real ones exist (AAPL fell 52% on 2000-09-29); check for a split the source does not know yet.
SELECT
    symbol,
    trade_date,
    CAST(CAST(price_change_pct AS DECIMAL(38, 2)) AS VARCHAR) || '%' AS detail
FROM ${staged_prices} AS s
WHERE ABS(price_change_pct) > 4E1
  AND trade_date BETWEEN ${start_date} AND ${end_date}
