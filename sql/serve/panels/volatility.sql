-- Volatility of each session, and of the last 21 sessions.
SELECT CAST(trade_date AS TIMESTAMP) AS time, symbol, volatility_pct, volatility_21d_pct
FROM ${price_trends} AS t
WHERE ${dates} AND ${symbols}
ORDER BY time, symbol
