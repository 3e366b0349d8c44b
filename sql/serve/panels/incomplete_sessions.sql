-- Sessions that lack a symbol, newest first.
SELECT
    trade_date,
    expected_symbols,
    published_symbols,
    quarantined_symbols,
    missing_symbols,
    days_since_previous
FROM ${coverage} AS c
WHERE ${dates} AND (coverage_pct < 1E2 OR days_since_previous > 4)
ORDER BY trade_date DESC
LIMIT 100
