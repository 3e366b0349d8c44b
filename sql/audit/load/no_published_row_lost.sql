-- Every published row of a session is replaced or quarantined: a bar that was published before is still in a raw
-- response. Rows of a purged symbol are removed.
-- remedy: a raw response is gone. Restore it under raw/daily_prices, or request the sessions again: stock-assets
-- backfill SESSION SESSION --again --symbol SYMBOL (the universe must contain the symbol).
SELECT p.symbol, p.trade_date, 'published, but not in this load' AS detail
FROM ${published_prices} AS p
JOIN ${sessions} AS c ON c.session = p.trade_date
LEFT JOIN ${staged_prices} AS s
    ON  s.symbol = p.symbol AND s.trade_date = p.trade_date
LEFT JOIN ${quarantined_prices} AS q
    ON  q.symbol = p.symbol AND q.trade_date = p.trade_date
LEFT JOIN ${purged_symbols} AS g ON g.symbol = p.symbol
WHERE p.trade_date BETWEEN ${first_date} AND ${last_date}
  AND s.symbol IS NULL
  AND g.symbol IS NULL
  AND q.symbol IS NULL
