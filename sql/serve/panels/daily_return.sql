-- Close minus open of each session.
SELECT CAST(trade_date AS TIMESTAMP) AS time, symbol, daily_return
FROM ${price_trends} AS t
WHERE ${dates} AND ${symbols}
ORDER BY time, symbol
