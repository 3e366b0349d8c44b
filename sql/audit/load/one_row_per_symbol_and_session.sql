-- A symbol has at most one row in a session.
-- remedy: find the answer that holds the session twice, report it; load the session again after the next answer of the symbol.
SELECT symbol, trade_date, CAST(COUNT(*) AS VARCHAR) || ' rows' AS detail
FROM ${staged_prices} AS s
GROUP BY symbol, trade_date
HAVING COUNT(*) > 1
