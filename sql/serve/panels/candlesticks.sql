-- Open, high, low and close of each session.
SELECT
    CAST(trade_date AS TIMESTAMP) AS time,
    symbol,
    open_price                    AS open,
    high_price                    AS high,
    low_price                     AS low,
    close_price                   AS close
FROM ${candles} AS c
WHERE ${dates} AND ${symbols}
ORDER BY time, symbol
