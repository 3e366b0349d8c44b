-- Share of the symbols that closed above their open.
SELECT CAST(trade_date AS TIMESTAMP) AS time, up_share_pct, up_symbols, symbols
FROM ${market_breadth} AS b
WHERE ${dates}
ORDER BY time
