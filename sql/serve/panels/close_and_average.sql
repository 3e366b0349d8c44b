-- Close, and mean close of 5 sessions.
SELECT CAST(trade_date AS TIMESTAMP) AS time, symbol, close_price, rolling_avg_5d
FROM ${price_trends} AS t
WHERE ${dates} AND ${symbols}
ORDER BY time, symbol
