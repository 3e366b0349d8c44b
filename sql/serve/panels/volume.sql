-- Shares traded, and how many times the usual volume that is.
SELECT CAST(trade_date AS TIMESTAMP) AS time, symbol, volume, volume_surge_ratio
FROM ${price_trends} AS t
WHERE ${dates} AND ${symbols}
ORDER BY time, symbol
