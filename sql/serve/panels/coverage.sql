-- Share of the expected symbols that are published.
SELECT CAST(trade_date AS TIMESTAMP) AS time, coverage_pct, expected_symbols, published_symbols
FROM ${coverage} AS c
WHERE ${dates}
ORDER BY time
