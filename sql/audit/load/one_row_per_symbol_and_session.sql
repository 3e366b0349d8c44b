-- A symbol has at most one row in a session.
-- remedy: load the sessions again; if the rows return, fix sql/stage/typed_prices.sql.
SELECT symbol, trade_date, CAST(COUNT(*) AS VARCHAR) || ' rows' AS detail
FROM ${staged_prices} AS s
GROUP BY symbol, trade_date
HAVING COUNT(*) > 1
