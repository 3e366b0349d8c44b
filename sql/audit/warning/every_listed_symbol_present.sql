-- Every symbol listed on a session asked for has a bar.
-- remedy: see raw/daily_prices for the reason; materialize the session again when the bar is there.
SELECT l.symbol, c.session AS trade_date, 'no bar' AS detail
FROM ${sessions} AS c
JOIN ${listings} AS l
    ON  l.first_session <= c.session
    AND (l.last_session IS NULL OR c.session <= l.last_session)
LEFT JOIN (SELECT DISTINCT symbol, trade_date FROM ${typed_prices}) AS t
    ON t.symbol = l.symbol AND t.trade_date = c.session
WHERE c.session BETWEEN ${start_date} AND ${end_date}
  AND t.symbol IS NULL
