-- Every symbol that is listed on a requested session has a bar.
-- remedy: raw/daily_prices shows the reason. Load the session again when the vendor has the bar; if the symbol was not
-- listed then, correct its first_session or last_session in the universe file (STOCK_ASSETS_UNIVERSE).
SELECT l.symbol, c.session AS trade_date, 'no bar' AS detail
FROM ${sessions} AS c
JOIN ${expected_listings} AS l
    ON  l.first_session <= c.session
    AND (l.last_session IS NULL OR c.session <= l.last_session)
LEFT JOIN ${typed_prices} AS t
    ON  t.symbol = l.symbol AND t.trade_date = c.session
WHERE c.session BETWEEN ${start_date} AND ${end_date}
  AND t.symbol IS NULL
