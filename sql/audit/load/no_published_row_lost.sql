-- A published row is replaced or quarantined, never dropped: a bar that once was published is still among the answers.
-- remedy: a stored answer is gone; restore it under raw/daily_prices, or fetch the sessions again.
SELECT p.symbol, p.trade_date, 'published, but not in this load' AS detail
FROM ${published_prices} AS p
LEFT JOIN (SELECT DISTINCT symbol, trade_date FROM ${staged_prices}) AS s
    ON s.symbol = p.symbol AND s.trade_date = p.trade_date
LEFT JOIN (SELECT DISTINCT symbol, trade_date FROM ${quarantined_prices}) AS q
    ON q.symbol = p.symbol AND q.trade_date = p.trade_date
WHERE p.trade_date BETWEEN ${first_date} AND ${last_date}
  AND s.symbol IS NULL
  AND q.symbol IS NULL
