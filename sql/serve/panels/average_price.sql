-- Mean price of the last 90 calendar days.
SELECT CAST(trade_date AS TIMESTAMP) AS time, symbol, avg_price_90d
FROM ${price_trends} AS t
WHERE ${dates} AND ${symbols}
ORDER BY time, symbol
