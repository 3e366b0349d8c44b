-- Shares were traded in the session.
-- remedy: a trading halt shows like this; else ask the vendor again later.
SELECT symbol, trade_date, 'volume 0' AS detail
FROM ${staged_prices} AS s
WHERE volume = 0
  AND trade_date BETWEEN ${start_date} AND ${end_date}
