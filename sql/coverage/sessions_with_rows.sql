-- The sessions that have a published row.
SELECT DISTINCT trade_date FROM ${published_prices} ORDER BY trade_date
