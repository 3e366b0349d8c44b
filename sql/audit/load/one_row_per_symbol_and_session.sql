-- A symbol has at most one row in a session.
-- remedy: report the raw response with the duplicate session to the vendor; load the session again after the next
-- response for the symbol.
SELECT symbol, trade_date, CAST(COUNT(*) AS VARCHAR) || ' rows' AS detail
FROM ${staged_prices} AS s
GROUP BY symbol, trade_date
HAVING COUNT(*) > 1
