-- The bar lies on a day on which the exchange was open.
-- remedy: none is needed, and the bar stays in quarantine. If the exchange was open, remove the day from
-- STOCK_ASSETS_CLOSURES or update exchange-calendars, and load the session.
SELECT b.symbol, b.trade_date, 'the exchange was closed' AS detail
FROM ${bars} AS b
JOIN ${closed_days} AS c ON c.day = b.trade_date
WHERE b.fetched_at IS NOT NULL
