-- The first staged rows of the last requested session, for the UI, and the number of all its rows.
SELECT
    symbol, trade_date, close_price, prev_close, price_change_pct, rolling_avg_5d, volume_surge_ratio, candle_type,
    COUNT(*) OVER () AS rows_of_session
FROM ${staged_prices} AS s
WHERE trade_date = (SELECT MAX(trade_date) FROM ${staged_prices} AS l WHERE trade_date <= ${end_date})
ORDER BY symbol
LIMIT ${rows_shown}
