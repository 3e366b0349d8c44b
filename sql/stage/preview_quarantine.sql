-- The first bars that a load quarantined, for the UI.
SELECT symbol, trade_date, audit, detail, payload
FROM ${quarantined_prices} AS q
ORDER BY trade_date, symbol, audit
LIMIT 20
