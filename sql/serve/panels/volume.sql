-- Shares traded, and their ratio to the usual volume.
SELECT CAST(trade_date AS TIMESTAMP) AS time, symbol, volume, volume_surge_ratio
FROM ${price_trends} AS t
WHERE ${dates} AND ${symbols}
ORDER BY time, symbol
