-- Every row lies on a day on which the exchange was open.
-- remedy: if the exchange was open, update exchange-calendars; otherwise report the bar to the vendor.
SELECT s.symbol, s.trade_date, 'the exchange was closed' AS detail
FROM ${staged_prices} AS s
LEFT JOIN ${sessions} AS c ON c.session = s.trade_date
WHERE c.session IS NULL AND s.trade_date BETWEEN ${first_date} AND ${last_date}
