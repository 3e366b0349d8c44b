-- Split-adjusted closes as a percentage of each symbol's first close in the selected range. The window is over the
-- selected range on purpose: the line of every symbol begins at 100 at its left edge.
SELECT
    CAST(trade_date AS TIMESTAMP) AS time,
    symbol,
    close_price / FIRST_VALUE(close_price) OVER (PARTITION BY symbol ORDER BY trade_date) * 1E2 AS close_rebased
FROM ${price_trends} AS t
WHERE ${dates} AND ${symbols}
ORDER BY time, symbol
