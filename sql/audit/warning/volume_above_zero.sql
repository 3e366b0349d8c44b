-- Shares were traded in the session.
-- remedy: none needed if trading was halted; otherwise request the session again later.
SELECT symbol, trade_date, 'volume 0' AS detail
FROM ${staged_prices} AS s
WHERE volume = 0
  AND trade_date BETWEEN ${start_date} AND ${end_date}
