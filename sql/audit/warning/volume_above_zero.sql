-- Shares were traded in the session.
-- False positives: 0 of 12,154 recorded bars.
-- remedy: none needed if trading was halted; otherwise request the bar again later: stock-assets backfill SESSION
-- SESSION --again --symbol SYMBOL.
SELECT symbol, trade_date, 'volume 0' AS detail
FROM ${staged_prices} AS s
WHERE volume = 0
  AND trade_date BETWEEN ${start_date} AND ${end_date}
