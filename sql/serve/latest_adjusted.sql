-- The view of adjusted prices, summed up: a row per symbol, with its latest session.
SELECT
    symbol,
    COUNT(*)                          AS sessions,
    MAX(trade_date)                   AS last_session,
    MAX_BY(close_price, trade_date)   AS last_close,
    MIN(low_price)                    AS lowest_price,
    MAX(high_price)                   AS highest_price
FROM published.adjusted_prices
GROUP BY symbol
ORDER BY symbol
