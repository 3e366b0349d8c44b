-- A symbol has at most one row in a session.
-- remedy: load the sessions again; if the rows return, fix sql/stage/typed_prices.sql.
SELECT symbol, trade_date, CAST(CAST(COUNT(*) + 1 AS DECIMAL(18, 0)) AS VARCHAR) || ' rows' AS detail
FROM ${recent_bars} AS b
WHERE previous_date = trade_date
GROUP BY symbol, trade_date
