-- Splits by their first session.
SELECT CAST(trade_date AS TIMESTAMP) AS time, symbol, split_ratio
FROM ${split_events} AS s
WHERE ${dates} AND ${symbols}
ORDER BY time, symbol
